/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026 The hostcare.remediation authors */

/* fill DIRECTORY FILES SIZE: as many files as postdrop would leave in a maildrop, with names of its kind: the
   microsecond, then the inode, in hexadecimal. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char line[] = "A message of a cron job that nobody has asked for, line after line.\n";

int main(int argc, char **argv)
{
    static char text[65536];
    char temporary[64], name[64];
    struct stat facts;
    unsigned usec = 1;

    if (argc != 4 || chdir(argv[1]) < 0) {
        perror("usage: fill DIRECTORY FILES SIZE");
        return 2;
    }
    long files = atol(argv[2]);
    size_t size = (size_t) atol(argv[3]);
    for (size_t at = 0; at < sizeof text; at++)
        text[at] = line[at % (sizeof line - 1)];
    if (size > sizeof text)
        size = sizeof text;
    for (long number = 0; number < files; number++) {
        usec = (usec * 1103515245u + 12345u) & 0x7fffffff;
        snprintf(temporary, sizeof temporary, "%u.%d", usec % 1000000, (int) getpid());
        int file = open(temporary, O_RDWR | O_CREAT | O_EXCL, 0644);
        if (file < 0 || fstat(file, &facts) < 0) {
            perror(temporary);
            return 1;
        }
        snprintf(name, sizeof name, "%05X%lX", usec % 1000000, (unsigned long) facts.st_ino);
        if (rename(temporary, name) < 0 || write(file, text, size) != (ssize_t) size || fchmod(file, 0744) < 0) {
            perror(name);
            return 1;
        }
        close(file);
    }
    return 0;
}
