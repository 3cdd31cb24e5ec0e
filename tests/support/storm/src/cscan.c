/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026 The hostcare.remediation authors */
/*
 * cscan NAME UID: stop every match, pass after pass until one found none running and none gone, then kill: the limit
 * to compare with.
 */

#include "proc.h"

enum { MOST = 1 << 22 };

static pid_t matches[MOST];
static int matched, unsettled;

static void stop(pid_t pid, char state)
{
    if (state == 0)
        unsettled++;
    if (state == 0 || state == 'Z' || state == 'X')
        return;
    matches[matched++] = pid;
    if (state != 'T' && state != 't') {
        unsettled++;
        kill(pid, SIGSTOP);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        refuse("usage: cscan NAME UID");
    struct wanted wanted = {argv[1], strlen(argv[1]), (uid_t)atoi(argv[2])};
    int proc = open_proc(), passes = 0;
    do {
        if (passes++)
            nap_seconds(0.001);
        matched = unsettled = 0;
        pass(proc, &wanted, stop);
    } while (unsettled);
    for (int i = matched - 1; i >= 0; i--)
        kill(matches[i], SIGKILL);
    printf("{\"passes\": %d, \"killed\": %d}\n", passes, matched);
    return 0;
}
