/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026 The hostcare.remediation authors */
/*
 * enter INIT [--gate] [--cgroup DIRECTORY]... -- PROGRAM [ARGUMENT]...
 *
 * Runs a program inside the namespaces of INIT, in a session of its own, in the given cgroups (the process outside
 * that waits for it joins none of them). Exits as the program does, with 128 + N after signal N, and with 75 where
 * no process could be had. With --gate the program is not started before its turn: "ready" is printed once the
 * process exists, and exec follows the first line of standard input.
 */

#include "storm.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>

enum { MOST_CGROUPS = 8 };

static int open_or_die(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        die(path);
    return fd;
}

static int namespace_of(const char *init, const char *kind)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/ns/%s", init, kind);
    return open_or_die(path, O_RDONLY);
}

static void wait_at_the_gate(void)
{
    char byte = 0;
    if (write(1, "ready\n", 6) != 6)
        die("gate");
    while (byte != '\n')
        if (read(0, &byte, 1) != 1)
            exit(75);
}

int main(int argc, char **argv)
{
    int gate = 0, cgroups[MOST_CGROUPS], joined = 0, at = 2;
    for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
        char path[4096];
        if (strcmp(argv[at], "--gate") == 0) {
            gate = 1;
        } else if (strcmp(argv[at], "--cgroup") == 0 && at + 1 < argc && joined < MOST_CGROUPS) {
            snprintf(path, sizeof path, "%s/cgroup.procs", argv[++at]);
            cgroups[joined++] = open_or_die(path, O_WRONLY);
        } else {
            refuse("no such option");
        }
    }
    if (at + 1 >= argc)
        refuse("usage: enter INIT [--gate] [--cgroup DIRECTORY]... -- PROGRAM [ARGUMENT]...");
    int pids = namespace_of(argv[1], "pid"), mounts = namespace_of(argv[1], "mnt");
    if (setns(pids, CLONE_NEWPID) != 0 || setns(mounts, CLONE_NEWNS) != 0)
        die("setns");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        setsid();
        for (int i = 0; i < joined; i++)
            if (write(cgroups[i], "0", 1) != 1)
                die("joining a cgroup");
        if (gate)
            wait_at_the_gate();
        execvp(argv[at + 1], argv + at + 1);
        die(argv[at + 1]);
    }
    close(0); /* or the end of the input would never be seen inside */
    close(1);
    int status;
    if (waitpid(child, &status, 0) != child)
        die("wait");
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
