/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026 The hostcare.remediation authors */
/* fdlimit count|classify: what the module does, with the fewest system calls. count: the size of each fd directory
   (Linux 6.2). classify: each link once, its kind; of each process its name, its limit and its network namespace; for
   each socket its line in the tables of that; and kcmp of three that it may have in common with the process before. */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KINDS 64
#define SLOTS (1 << 21)

static struct {
    char name[32];
    long count;
} kinds[KINDS];
static unsigned long inodes[SLOTS];
#define NUMBERS 65536
static unsigned long before[NUMBERS], now[NUMBERS];
static long shared;
static long sockets, joined;

static void add(const char *name, size_t length)
{
    for (int i = 0; i < KINDS; i++) {
        if (kinds[i].count == 0 && length < sizeof kinds[i].name)
            memcpy(kinds[i].name, name, length);
        if (strlen(kinds[i].name) == length && memcmp(kinds[i].name, name, length) == 0) {
            kinds[i].count++;
            return;
        }
    }
}

static unsigned long *slot(unsigned long inode)
{
    unsigned long at = inode * 0x9E3779B97F4A7C15ul >> 43;
    while (inodes[at] && inodes[at] != inode)
        at = (at + 1) & (SLOTS - 1);
    return &inodes[at];
}

static void tell(int number, const char *link, size_t length)
{
    unsigned long hash = 1469598103934665603ul;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)link[i]) * 1099511628211ul;
    if (number < NUMBERS)
        now[number] = hash;
    if (link[0] == '/')
        add(length > 10 && memcmp(link + length - 10, " (deleted)", 10) == 0 ? "deleted" : "file", link[length - 1] == ')' ? 7 : 4);
    else if (length > 8 && memcmp(link, "socket:[", 8) == 0) {
        unsigned long inode = strtoul(link + 8, NULL, 10);
        *slot(inode) = inode;
        sockets++;
        add("socket", 6);
    } else if (memcmp(link, "pipe:[", 6) == 0)
        add("pipe", 4);
    else
        add(link, length < 31 ? length : 31);
}

static void classify(int proc, const char *number)
{
    static char entries[262144] __attribute__((aligned(16)));
    char path[32], link[4096];
    snprintf(path, sizeof path, "%s/fd", number);
    int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    long got;
    while ((got = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0)
        for (long at = 0; at < got;) {
            struct dirent64 *entry = (struct dirent64 *)(entries + at);
            at += entry->d_reclen;
            ssize_t length = entry->d_name[0] == '.' ? -1 : readlinkat(fd, entry->d_name, link, sizeof link);
            if (length > 0)
                tell(atoi(entry->d_name), link, (size_t)length);
        }
    close(fd);
}

/* Who it is, what it may have, and what it shares with the process before it. */
static void describe(int proc, const char *number)
{
    static pid_t last;
    char path[32], text[1024];
    struct stat found;
    struct rlimit limit;
    pid_t pid = (pid_t)atoi(number);
    snprintf(path, sizeof path, "%s/stat", number);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, text, sizeof text) < 0 || fstat(fd, &found) < 0)
            perror(path);
        close(fd);
    }
    prlimit(pid, RLIMIT_NOFILE, NULL, &limit);
    snprintf(path, sizeof path, "%s/ns/net", number);
    if (readlinkat(proc, path, text, sizeof text) < 0)
        perror(path);
    int common[NUMBERS], count = 0;
    for (int i = 0; i < NUMBERS && i < 4096; i++)
        if (now[i] && now[i] == before[i])
            common[count++] = i;
    for (int i = 0; i < 3 && i < count; i++)
        shared += syscall(SYS_kcmp, pid, last, 0, common[i * (count - 1) / 2], common[i * (count - 1) / 2]) == 0;
    memcpy(before, now, 4096 * sizeof *now);
    memset(now, 0, 4096 * sizeof *now);
    last = pid;
}

static void join(const char *path, int column)
{
    char line[8192];
    FILE *table = fopen(path, "r");
    if (!table)
        return;
    if (fgets(line, sizeof line, table))
        while (fgets(line, sizeof line, table)) {
            char *at = line, *word = NULL;
            for (int i = 0; i <= column && (word = strtok(i ? NULL : at, " ")); i++)
                ;
            unsigned long inode = word ? strtoul(word, NULL, 10) : 0;
            if (inode && *slot(inode) == inode)
                joined++;
        }
    fclose(table);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    int counting = strcmp(argv[1], "count") == 0, proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long total = 0, processes = 0;
    DIR *listing = fdopendir(proc);
    for (struct dirent *entry; (entry = readdir(listing));) {
        struct stat found;
        char path[32];
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "%.16s/fd", entry->d_name);
        if (fstatat(proc, path, &found, 0) != 0 || found.st_size == 0)
            continue;
        processes++;
        total += found.st_size;
        if (!counting) {
            classify(proc, entry->d_name);
            describe(proc, entry->d_name);
        }
    }
    if (!counting) {
        join("/proc/net/tcp", 9), join("/proc/net/tcp6", 9), join("/proc/net/udp", 9), join("/proc/net/udp6", 9);
        join("/proc/net/unix", 6), join("/proc/net/netlink", 9);
    }
    printf("%ld %ld %ld %ld %ld\n", processes, total, sockets, joined, shared);
    for (int i = 0; i < KINDS && kinds[i].count; i++)
        printf("%s %ld\n", kinds[i].name, kinds[i].count);
    return 0;
}
