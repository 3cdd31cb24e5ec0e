/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026 The hostcare.remediation authors */
/* clist NAME UID: the numbers of the processes with this name and owner. */

#include "proc.h"

static void print(pid_t pid, char state)
{
    if (state != 0)
        printf("%d\n", (int)pid);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        refuse("usage: clist NAME UID");
    struct wanted wanted = {argv[1], strlen(argv[1]), (uid_t)atoi(argv[2])};
    pass(open_proc(), &wanted, print);
    return 0;
}
