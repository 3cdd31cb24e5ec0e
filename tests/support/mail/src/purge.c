/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026 The hostcare.remediation authors */

/* purge DIRECTORY [look]: list it and unlink every file, with no system call more than that takes; with "look" also
   one stat of each file, which is what it takes to know whose it is. */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct entry {
    unsigned long inode;
    long offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

int main(int argc, char **argv)
{
    static char buffer[1 << 16];
    struct stat facts;
    long got, removed = 0;
    int look = argc > 2 && !strcmp(argv[2], "look");

    int directory = open(argv[argc > 1 ? 1 : 0], O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (argc < 2 || directory < 0) {
        perror("usage: purge DIRECTORY [look]");
        return 2;
    }
    while ((got = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0) {
        for (char *at = buffer; at < buffer + got;) {
            struct entry *entry = (struct entry *) at;
            at += entry->length;
            if (entry->type != DT_REG)
                continue;
            if (look && fstatat(directory, entry->name, &facts, AT_SYMLINK_NOFOLLOW) < 0)
                perror(entry->name);
            if (unlinkat(directory, entry->name, 0) < 0) {
                perror(entry->name);
                return 1;
            }
            removed++;
        }
    }
    printf("%ld\n", removed);
    return got < 0;
}
