/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026 The hostcare.remediation authors */
/*
 * innocent RECORD [--generations N] [--uid U] [--gid G] [--name NAME] [--stopped]
 *
 * A process that must not be harmed, and notices if it is. Its heartbeat and every signal that reached it stand in
 * RECORD, a file of `struct life`, one for each generation: parent, child, grandchild, ... With --stopped each stops
 * itself after the first beat, as an operator would have stopped it.
 */

#include "storm.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

struct life { /* read by innocents.py */
    int32_t pid;
    uint32_t beats;
    uint32_t signals;
    uint32_t last_signal;
};

static struct life *own;

static void note(int number)
{
    own->last_signal = (uint32_t)number;
    own->signals++;
}

/* All that can be caught, but what the program's own faults and children would send. */
static void listen(void)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
    const int not_these[] = {SIGKILL, SIGSTOP, SIGCHLD, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    for (int number = 1; number <= SIGRTMAX; number++) {
        int skipped = 0;
        for (size_t i = 0; i < sizeof not_these / sizeof *not_these; i++)
            skipped |= number == not_these[i];
        if (!skipped)
            sigaction(number, &action, NULL); /* refused for the two that libc keeps for threads */
    }
}

int main(int argc, char **argv)
{
    int uid = -1, gid = -1, stopped = 0, generations = 1;
    const char *name = NULL;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--stopped") == 0)
            stopped = 1;
        else if (i + 1 == argc)
            refuse("an option without its value");
        else if (strcmp(argv[i], "--uid") == 0)
            uid = atoi(argv[++i]);
        else if (strcmp(argv[i], "--gid") == 0)
            gid = atoi(argv[++i]);
        else if (strcmp(argv[i], "--generations") == 0)
            generations = atoi(argv[++i]);
        else if (strcmp(argv[i], "--name") == 0)
            name = strdup(argv[++i]);
        else
            refuse("no such option");
    }
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        die("opening the record");
    size_t length = sizeof *own * (size_t)generations;
    own = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (own == MAP_FAILED)
        die("mapping the record");
    become(uid, gid < 0 ? uid : gid, 1);
    take_name(name, argc, argv);
    for (int i = 1; i < generations && fork() == 0; i++)
        own++;
    listen();
    own->pid = getpid();
    own->beats = 1;
    if (stopped)
        raise(SIGSTOP);
    for (;;) {
        nap_seconds(0.02);
        own->beats++;
    }
}
