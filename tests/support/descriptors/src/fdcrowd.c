/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026 The hostcare.remediation authors */
/* fdcrowd PROCESSES DESCRIPTORS [shared]: as many processes, each with as many descriptors of a mix of kinds: of every
   twenty four pipe ends, four UNIX sockets, five files, four eventfds, two epolls, one TCP socket. Each opens its own; with
   "shared" the first opens all and the others inherit them. Says "ready" when all are there, and ends with its input. */

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

static int check(int fd, const char *what)
{
    if (fd < 0)
        fail(what);
    return fd;
}

static void twenty(int room)
{
    int two[2];
    for (int made = 0; made < 4 && made + 2 <= room; made += 2)
        check(pipe(two), "pipe");
    for (int made = 4; made < 8 && made + 2 <= room; made += 2)
        check(socketpair(AF_UNIX, SOCK_STREAM, 0, two), "socketpair");
    for (int made = 8; made < 13 && made < room; made++)
        check(open("/proc/self/exe", O_RDONLY), "open");
    for (int made = 13; made < 17 && made < room; made++)
        check(eventfd(0, 0), "eventfd");
    for (int made = 17; made < 19 && made < room; made++)
        check(epoll_create1(0), "epoll_create1");
    if (room > 19)
        check(socket(AF_INET, SOCK_STREAM, 0), "socket");
}

static void open_all(int count)
{
    for (int made = 0; made < count; made += 20)
        twenty(count - made < 20 ? count - made : 20);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    int processes = atoi(argv[1]), count = atoi(argv[2]), shared = argc > 3 && strcmp(argv[3], "shared") == 0;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int ready[2], parent = getpid();
    check(pipe(ready), "pipe");
    fcntl(ready[1], F_SETFD, FD_CLOEXEC);
    if (shared)
        open_all(count);
    for (int made = 0; made < processes; made++) {
        int child = fork();
        check(child, "fork");
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, 9);
            if (getppid() != parent)
                _exit(0);
            close(0), close(1), close(2), close(ready[0]);
            if (!shared)
                open_all(count);
            if (write(ready[1], "x", 1) != 1)
                _exit(1);
            close(ready[1]);
            for (;;)
                pause();
        }
    }
    close(ready[1]);
    char byte;
    int told = 0;
    while (told < processes && read(ready[0], &byte, 1) == 1)
        told++;
    if (told < processes)
        return 1;
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) == 1)
        ;
    return 0;
}
