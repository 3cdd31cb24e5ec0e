/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright (c) 2026 The hostcare.remediation authors
 *
 * csem make COUNT UID: that many arrays, made by a hundred processes that are dead at the end.
 * csem once UID: removes that user's arrays whose last toucher is dead and on which nobody sleeps.
 * csem looks UID: the same with the system calls that sysv_ipc makes: a look at objects and processes, one more at both
 * but for the arrays that are looked at once more anyhow, each right before it is removed.
 */

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 40000

struct array {
    int id, pid, value;
    unsigned uid;
    long used, changed;
};

static struct array first[MOST], second[MOST];
static char alive[1 << 22];

static void make(int count, uid_t uid)
{
    for (int maker = 0; maker < 100; maker++) {
        pid_t child = fork();
        if (child == 0) {
            if (setresuid(uid, uid, uid) != 0)
                _exit(1);
            for (int number = maker; number < count; number += 100) {
                int array = semget(IPC_PRIVATE, 1, 0600);
                if (array < 0 || semctl(array, 0, SETVAL, 1) < 0)
                    _exit(1);
            }
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        if (status != 0) {
            fprintf(stderr, "not all arrays could be made\n");
            exit(1);
        }
    }
}

static int table(struct array *found, unsigned uid)
{
    FILE *file = fopen("/proc/sysvipc/sem", "r");
    char line[512];
    int count = 0, key, mode, nsems;
    unsigned gid, cuid, cgid;
    if (file == NULL || fgets(line, sizeof line, file) == NULL)
        exit(1);
    while (count < MOST && fgets(line, sizeof line, file) != NULL) {
        struct array *one = &found[count];
        if (sscanf(line, "%d %d %o %d %u %u %u %u %ld %ld", &key, &one->id, &mode, &nsems, &one->uid, &gid, &cuid,
                   &cgid, &one->used, &one->changed) == 10 && one->uid == uid)
            count++;
    }
    fclose(file);
    return count;
}

static int sleepers(int id)
{
    return semctl(id, 0, GETNCNT) + semctl(id, 0, GETZCNT);
}

/* What is read of each process: its line of stat and its users. */
static void processes(void)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    char path[64], text[4096];
    memset(alive, 0, sizeof alive);
    while ((entry = readdir(proc)) != NULL) {
        int pid = atoi(entry->d_name);
        if (pid <= 0)
            continue;
        for (int file = 0; file < 2; file++) {
            snprintf(path, sizeof path, "/proc/%d/%s", pid, file ? "status" : "stat");
            int fd = open(path, O_RDONLY);
            if (fd >= 0 && read(fd, text, sizeof text) > 0)
                alive[pid] = 1;
            if (fd >= 0)
                close(fd);
        }
    }
    closedir(proc);
}

static int look(struct array *found, unsigned uid, const struct array *before)
{
    int count = table(found, uid);
    for (int at = 0; at < count; at++) {
        if (before != NULL && before[at].pid > 0 && before[at].id == found[at].id &&
            before[at].used == found[at].used && before[at].changed == found[at].changed) {
            found[at].pid = before[at].pid;
            continue;
        }
        found[at].pid = semctl(found[at].id, 0, GETPID);
        if (found[at].pid == 0)
            found[at].value = semctl(found[at].id, 0, GETVAL);
        if (sleepers(found[at].id) > 0)
            found[at].pid = -1;
    }
    processes();
    return count;
}

int main(int count, char **words)
{
    int removed = 0;
    if (count == 4 && strcmp(words[1], "make") == 0) {
        make(atoi(words[2]), (uid_t)atoi(words[3]));
        return 0;
    }
    if (count != 3)
        return 2;
    unsigned uid = (unsigned)atoi(words[2]);
    if (strcmp(words[1], "once") == 0) {
        int all = table(first, uid);
        for (int at = 0; at < all; at++) {
            int pid = semctl(first[at].id, 0, GETPID);
            if (pid > 0 && kill(pid, 0) < 0 && sleepers(first[at].id) == 0)
                removed += semctl(first[at].id, 0, IPC_RMID) == 0;
        }
    } else {
        int all = look(first, uid, NULL), again = look(second, uid, first);
        for (int at = 0; at < all && at < again; at++) {
            struct array *one = &second[at];
            if (memcmp(one, &first[at], sizeof *one) != 0 || one->pid <= 0 || alive[one->pid])
                continue;
            if (semctl(one->id, 0, GETPID) == one->pid && sleepers(one->id) == 0)
                removed += semctl(one->id, 0, IPC_RMID) == 0;
        }
    }
    printf("%d\n", removed);
    return 0;
}
