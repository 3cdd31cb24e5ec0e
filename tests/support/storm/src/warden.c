/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026 The hostcare.remediation authors */
/*
 * warden PID_MAX: holds a PID namespace with a /proc of its own until its standard input ends.
 *
 * Prints "ready PID", the number of the namespace's init as seen from outside. When the input ends, or the warden
 * dies in whatever way, init is killed, and with it the kernel kills all that lives in the namespace.
 * PID_MAX 0 leaves kernel.pid_max alone: before Linux 6.14 it is the whole machine's.
 */

#include "storm.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

static void write_pid_max(const char *value)
{
    int fd = open("/proc/sys/kernel/pid_max", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
        die("kernel.pid_max");
    close(fd);
}

static void be_init(const char *pid_max, int report)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid(); /* a scheduling group of its own, apart from bombs */
    signal(SIGCHLD, SIG_IGN); /* the kernel reaps orphans at once */
    prctl(PR_SET_NAME, "storm-init");
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        die("making mounts private");
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
        die("mounting /proc");
    if (strcmp(pid_max, "0") != 0)
        write_pid_max(pid_max);
    if (write(report, "+", 1) != 1)
        die("report");
    close(report);
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    int report[2];
    char byte;
    if (argc != 2)
        refuse("usage: warden PID_MAX");
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0 || pipe2(report, O_CLOEXEC) != 0)
        die("unshare");
    pid_t init = fork();
    if (init < 0)
        die("fork");
    if (init == 0)
        be_init(argv[1], report[1]);
    close(report[1]);
    if (read(report[0], &byte, 1) != 1)
        return 75;
    printf("ready %d\n", (int)init);
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    kill(init, SIGKILL);
    waitpid(init, NULL, 0);
    return 0;
}
