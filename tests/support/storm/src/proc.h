/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026 The hostcare.remediation authors */
/* One pass over /proc with the fewest system calls: getdents64, and open, read, fstat (on a match), close for each. */

#ifndef PROC_H
#define PROC_H

#include "storm.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>

struct wanted {
    const char *name;
    size_t length;
    uid_t uid;
};

/* State 0: it was listed and is gone, so whatever it left behind was not listed. */
typedef void (*found)(pid_t pid, char state);

static inline int open_proc(void)
{
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        die("/proc");
    return fd;
}

static inline void look_at(int proc, const char *number, const struct wanted *wanted, found tell)
{
    char path[32], line[512];
    struct stat file;
    size_t digits = strlen(number);
    memcpy(path, number, digits);
    memcpy(path + digits, "/stat", 6);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        tell((pid_t)atoi(number), 0);
        return;
    }
    ssize_t got = read(fd, line, sizeof line - 1);
    if (got > 0) {
        line[got] = 0;
        char *name = strchr(line, '('), *end = strrchr(line, ')');
        if (name && end && (size_t)(end - name - 1) == wanted->length &&
            memcmp(name + 1, wanted->name, wanted->length) == 0 && fstat(fd, &file) == 0 && file.st_uid == wanted->uid)
            tell((pid_t)atoi(number), end[2]);
    }
    close(fd);
}

static inline void pass(int proc, const struct wanted *wanted, found tell)
{
    static char entries[262144] __attribute__((aligned(16)));
    lseek(proc, 0, SEEK_SET);
    for (;;) {
        long got = syscall(SYS_getdents64, proc, entries, sizeof entries);
        if (got <= 0)
            return;
        for (long at = 0; at < got;) {
            struct dirent64 *entry = (struct dirent64 *)(entries + at);
            if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
                look_at(proc, entry->d_name, wanted, tell);
            at += entry->d_reclen;
        }
    }
}

#endif
