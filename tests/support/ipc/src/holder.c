/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright (c) 2026 The hostcare.remediation authors
 *
 * holder LIFE UID: makes a private array, lives with it in one way or another, and says which array it is.
 */

#include <errno.h>
#include <linux/sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uid_t owner;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void drop(void)
{
    if (setresgid(owner, owner, owner) != 0 || setresuid(owner, owner, owner) != 0)
        die("setresuid");
}

static int make(void)
{
    int array = semget(IPC_PRIVATE, 1, 0600);
    if (array < 0)
        die("semget");
    return array;
}

static void set(int array, int value)
{
    if (semctl(array, 0, SETVAL, value) < 0)
        die("SETVAL");
}

static int operate(int array, int change, int flags)
{
    struct sembuf one = {0, (short)change, (short)flags};
    return semop(array, &one, 1);
}

static void give(int array)
{
    struct semid_ds status;
    if (semctl(array, 0, IPC_STAT, &status) < 0)
        die("IPC_STAT");
    status.sem_perm.uid = owner;
    if (semctl(array, 0, IPC_SET, &status) < 0)
        die("IPC_SET");
}

static void touch_and_die(int array)
{
    pid_t child = fork();
    if (child == 0) {
        operate(array, 1, 0);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void say(int array)
{
    printf("%d\n", array);
    fflush(stdout);
}

static void sleep_for_ever(void)
{
    for (;;)
        pause();
}

/* Makes arrays all the time, keeps the last fifty, and ends when one of those has gone. */
static void churn(void)
{
    int kept[50], count = 0, at = 0;
    say(-1);
    for (;;) {
        if (count == 50) {
            if (semctl(kept[at], 0, IPC_RMID) < 0) {
                printf("lost %d: %s\n", kept[at], strerror(errno));
                exit(3);
            }
        } else
            count++;
        kept[at] = make();
        if (at % 2)
            set(kept[at], 1);
        at = (at + 1) % 50;
        usleep(2000);
    }
}

/* A process with that number, which was another's. */
static void reborn(pid_t number)
{
    struct clone_args arguments = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&number, .set_tid_size = 1};
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child < 0)
        die("clone3");
    if (child == 0) {
        drop();
        say((int)getpid());
        sleep_for_ever();
    }
    waitpid((pid_t)child, NULL, 0);
    exit(0);
}

int main(int count, char **words)
{
    if (count < 3)
        return 2;
    const char *life = words[1];
    owner = (uid_t)atoi(words[2]);
    if (strcmp(life, "reborn") == 0 && count == 4)
        reborn((pid_t)atoi(words[3]));
    if (strcmp(life, "server") == 0) {
        /* As Apache: made by root, given to the user of the workers, last touched by a worker that is dead. */
        int array = make();
        set(array, 1);
        give(array);
        touch_and_die(array);
        usleep(2500000);
        if (fork() == 0) {
            drop();
            sleep_for_ever();
        }
        say(array);
        sleep_for_ever();
    }
    drop();
    if (strcmp(life, "churn") == 0)
        churn();
    int array = make();
    if (strcmp(life, "untouched") == 0)
        ;
    else if (strcmp(life, "set") == 0)
        set(array, 1);
    else if (strcmp(life, "used") == 0)
        set(array, 1), operate(array, -1, 0);
    else if (strcmp(life, "undo") == 0)
        set(array, 1), operate(array, -1, SEM_UNDO);
    else if (strcmp(life, "idle") == 0)
        set(array, 1), touch_and_die(array);
    else if (strcmp(life, "waiter") == 0) {
        set(array, 0);
        if (fork() == 0) {
            operate(array, -1, 0);
            printf("lost %d: %s\n", array, strerror(errno));
            _exit(3);
        }
        usleep(200000);
        say(array);
        _exit(0);
    } else if (strcmp(life, "worker") == 0) {
        set(array, 1);
        usleep(2500000);
        if (fork() == 0)
            sleep_for_ever();
        say(array);
        _exit(0);
    } else
        return 2;
    say(array);
    sleep_for_ever();
}
