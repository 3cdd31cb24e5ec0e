/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copyright (c) 2026 The hostcare.remediation authors */
/*
 * bomb KIND [option value]...: real fork bombs for a PID namespace of their own.
 *
 *   nap         respawners: each forks until it is refused, sleeps 0.5 s, and tries again
 *   spin        the same without the sleep
 *   setsid      nap, each child in a session and process group of its own
 *   comet       --count chains; each lives for about --life ms, forks and exits: the table is not full
 *   hopper      back to back: forks and exits at once; fills the table first, then keeps it nearly full
 *               (with --count: as many chains, no growth)
 *   zombie      one parent that never reaps; its children (named --child-name) exit at once
 *   headless    --count processes whose first thread has ended (state Z) while another lives on
 *   vfork       --count processes that wait in vfork(2) for a child that never ends
 *   crowd       --count sleepers that do nothing
 *   supervisor  keeps --count sleepers alive: each that dies is started again (named --child-name)
 *
 *   --count N --life MS --limit N (RLIMIT_NPROC) --uid U --gid G --name NAME --child-name NAME --seed N
 *   --ignore SIGNAL (number, may be repeated) --dumpable 0|1 --nap MS
 *   --for SECONDS  (300) after which every process that still runs exits by itself
 */

#include "storm.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct {
    const char *kind, *name, *child_name;
    long count, limit, life, nap, seed, uid, gid, dumpable;
    double seconds;
} option = {.life = 5, .nap = 500, .seed = 1, .uid = -1, .gid = -1, .dumpable = 1, .seconds = 300};

static double deadline; /* fork hands it down, as alarm(2) would not be */
static uint64_t state;

/* splitmix64: any state will do, so a child may simply add its own number to its parent's. */
static uint64_t draw(void)
{
    uint64_t mixed = state += 0x9E3779B97F4A7C15u;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
    return mixed ^ mixed >> 31;
}

static pid_t fork_sown(void)
{
    pid_t child = fork();
    if (child == 0)
        state += (uint64_t)getpid() << 32;
    return child;
}

static int expired(void)
{
    return now() > deadline;
}

static void sleep_to_the_end(void)
{
    while (!expired())
        nap_seconds(deadline - now());
    _exit(0);
}

static void respawn(int naps, int own_session)
{
    while (!expired()) {
        pid_t child = fork();
        if (child == 0 && own_session)
            setsid();
        if (child < 0 && naps)
            nap_seconds((double)option.nap / 1e3);
    }
    _exit(0);
}

/* Fork; the child goes on, the parent is gone. Refused: wait a little and try again. */
static void hop(void)
{
    pid_t child;
    while ((child = fork_sown()) < 0 && !expired())
        nap_seconds(0.001);
    if (child != 0)
        _exit(0);
}

static void comet(void)
{
    while (!expired()) {
        nap_seconds((double)option.life / 1e3 * (0.5 + (double)(draw() % 1024) / 1024));
        hop();
    }
    _exit(0);
}

static void chains(void (*one)(void))
{
    for (long i = 0; i < option.count; i++)
        if (fork_sown() == 0)
            one();
    _exit(0);
}

static void hop_for_ever(void)
{
    while (!expired())
        hop();
    _exit(0);
}

/*
 * First all stay, until one is refused. From then on one hop in eight leaves the parent behind and one refusal in
 * 32 makes room: full, and never at rest.
 */
static void hopper(void)
{
    int refused = 0;
    while (!expired()) {
        pid_t child = fork_sown();
        if (child > 0 && refused && draw() % 8 != 0)
            _exit(0);
        if (child < 0 && refused && draw() % 32 == 0)
            _exit(0);
        refused |= child < 0;
    }
    _exit(0);
}

static void zombie(void)
{
    signal(SIGCHLD, SIG_DFL);
    for (long made = 0; !expired();) {
        pid_t child = (!option.count || made < option.count) ? fork() : -1;
        if (child == 0) {
            if (option.child_name)
                prctl(PR_SET_NAME, option.child_name);
            _exit(0);
        }
        if (child > 0)
            made++;
        else
            nap_seconds(0.05);
    }
    _exit(0);
}

static void *live_on(void *unused)
{
    (void)unused;
    sleep_to_the_end();
    return NULL;
}

static void headless(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, live_on, NULL) != 0)
        die("pthread_create");
    syscall(SYS_exit, 0);
}

static void wait_in_vfork(void)
{
    if (vfork() == 0)
        for (;;)
            pause();
    _exit(0);
}

static void supervise(void)
{
    signal(SIGCHLD, SIG_DFL);
    long alive = 0;
    while (!expired()) {
        pid_t child = alive < option.count ? fork() : -1;
        if (child == 0) {
            if (option.child_name)
                prctl(PR_SET_NAME, option.child_name);
            sleep_to_the_end();
        }
        if (child > 0)
            alive++;
        while (waitpid(-1, NULL, WNOHANG) > 0)
            alive--;
        if (alive >= option.count || child < 0)
            nap_seconds(0.01);
    }
    _exit(0);
}

static void crowd(void)
{
    for (long i = 1; i < option.count; i++)
        if (fork() == 0)
            break;
    sleep_to_the_end();
}

static void explode(void)
{
    const char *kind = option.kind;
    if (strcmp(kind, "nap") == 0)
        respawn(1, 0);
    if (strcmp(kind, "spin") == 0)
        respawn(0, 0);
    if (strcmp(kind, "setsid") == 0)
        respawn(1, 1);
    if (strcmp(kind, "comet") == 0)
        chains(comet);
    if (strcmp(kind, "hopper") == 0 && option.count)
        chains(hop_for_ever);
    if (strcmp(kind, "hopper") == 0)
        hopper();
    if (strcmp(kind, "zombie") == 0)
        zombie();
    if (strcmp(kind, "headless") == 0)
        chains(headless);
    if (strcmp(kind, "vfork") == 0)
        chains(wait_in_vfork);
    if (strcmp(kind, "crowd") == 0)
        crowd();
    if (strcmp(kind, "supervisor") == 0)
        supervise();
    refuse("no such kind of bomb");
}

static void read_options(int argc, char **argv)
{
    struct { const char *name; long *value; } numbers[] = {
        {"--count", &option.count}, {"--limit", &option.limit}, {"--life", &option.life}, {"--nap", &option.nap},
        {"--seed", &option.seed}, {"--uid", &option.uid}, {"--gid", &option.gid}, {"--dumpable", &option.dumpable},
    };
    if (argc < 2 || argc % 2 != 0)
        refuse("usage: bomb KIND [option value]...");
    option.kind = argv[1];
    for (int i = 2; i < argc; i += 2) {
        int known = 0;
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
            if (strcmp(argv[i], numbers[n].name) == 0) {
                *numbers[n].value = atol(argv[i + 1]);
                known = 1;
            }
        if (known)
            continue;
        if (strcmp(argv[i], "--name") == 0)
            option.name = strdup(argv[i + 1]);
        else if (strcmp(argv[i], "--child-name") == 0)
            option.child_name = strdup(argv[i + 1]);
        else if (strcmp(argv[i], "--for") == 0)
            option.seconds = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--ignore") == 0)
            signal(atoi(argv[i + 1]), SIG_IGN);
        else
            refuse("no such option");
    }
    option.kind = strdup(option.kind);
}

int main(int argc, char **argv)
{
    require_private_namespace();
    signal(SIGCHLD, SIG_IGN); /* no zombies but where the kind is about them */
    read_options(argc, argv);
    deadline = now() + option.seconds;
    if (option.limit) {
        struct rlimit processes = {(rlim_t)option.limit, (rlim_t)option.limit};
        if (setrlimit(RLIMIT_NPROC, &processes) != 0)
            die("RLIMIT_NPROC");
    }
    become((int)option.uid, (int)(option.gid < 0 ? option.uid : option.gid), (int)option.dumpable);
    take_name(option.name, argc, argv);
    state = (uint64_t)option.seed;
    explode();
}
