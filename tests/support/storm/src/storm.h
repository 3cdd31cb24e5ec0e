/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026 The hostcare.remediation authors */
/* What the bench's programs share: errors, time, names, users. */

#ifndef STORM_H
#define STORM_H

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INITIAL_PID_NAMESPACE 0xEFFFFFFCu /* PROC_PID_INIT_INO, include/linux/proc_ns.h */

static inline void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(75);
}

static inline void refuse(const char *why)
{
    fprintf(stderr, "refused: %s\n", why);
    exit(2);
}

/* A bomb lives and dies with its PID namespace; loose on a machine it never starts. */
static inline void require_private_namespace(void)
{
    struct stat own;
    if (stat("/proc/self/ns/pid", &own) != 0 || own.st_ino == INITIAL_PID_NAMESPACE)
        refuse("not inside a PID namespace of its own");
}

static inline double now(void)
{
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return (double)moment.tv_sec + (double)moment.tv_nsec / 1e9;
}

static inline void nap_seconds(double seconds)
{
    if (seconds <= 0)
        return;
    struct timespec span = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&span, NULL);
}

/* After setresuid the kernel hides a process like a setuid program; one that its user had started is not hidden. */
static inline void become(int uid, int gid, int dumpable)
{
    if (uid < 0)
        return;
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        die("setresuid");
    prctl(PR_SET_DUMPABLE, dumpable);
}

/* As setproctitle does it: comm, and the memory that /proc/PID/cmdline shows. */
static inline void take_name(const char *name, int argc, char **argv)
{
    if (!name)
        return;
    prctl(PR_SET_NAME, name);
    char *end = argv[argc - 1] + strlen(argv[argc - 1]);
    size_t room = (size_t)(end - argv[0]);
    char copy[256];
    snprintf(copy, sizeof copy, "%s", name);
    memset(argv[0], 0, room);
    memcpy(argv[0], copy, strlen(copy) < room ? strlen(copy) : room);
}

#endif
