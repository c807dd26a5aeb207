/* The least that a proxy of this shape can cost: takes connections, makes one to the upstream for each, and passes bytes on both
 * ways without a look at them.
 *
 *     passer UPSTREAM_PORT
 *
 * Listens on a port of 127.0.0.1 that the system picks, and prints it. One thread; level-triggered epoll; one `recv` and one
 * `send` for whatever has arrived. What it costs is the kernel's four calls for a request, and nearly nothing else. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* As much as the other proxies read at once of an answer, or more. */
enum { AT_ONCE = 64 << 10, BATCH = 64 };

/* One end of a pair. What came from it and the other end could not take yet waits in `bytes`; it is not read meanwhile. */
struct end {
    int fd;
    struct end *other;
    size_t start, length;
    char bytes[AT_ONCE];
};

static int poller;
static struct sockaddr_in upstream;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(struct end *end, int how, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = end};
    if (epoll_ctl(poller, how, end->fd, &event)) die("passer: epoll_ctl");
}

static struct end *new_end(int fd) {
    struct end *end = malloc(sizeof *end);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    end->fd = fd, end->start = end->length = 0;
    return end;
}

/* What waits at `from` goes to the other end, as far as that takes it. */
static void pass_on(struct end *from) {
    struct end *to = from->other;
    while (from->length > 0) {
        ssize_t sent = send(to->fd, from->bytes + from->start, from->length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            /* Any other error is seen when that end is read. */
            if (errno != EAGAIN) from->length = 0;
            return;
        }
        from->start += (size_t)sent;
        from->length -= (size_t)sent;
    }
}

/* It is read when all that it sent before has gone on, and told when there is room for what waits for it. */
static void wait_for(struct end *end) {
    watch(end, EPOLL_CTL_MOD, (end->length > 0 ? 0 : EPOLLIN) | (end->other->length > 0 ? EPOLLOUT : 0));
}

/* Whether the pair is over. */
static int serve(struct end *end, uint32_t events) {
    if (events & EPOLLOUT) {
        pass_on(end->other);
        wait_for(end);
        wait_for(end->other);
        return 0;
    }
    /* What it sent before has to go first; an error is told all the same. */
    if (end->length > 0) return (events & (EPOLLERR | EPOLLHUP)) != 0;
    ssize_t got = recv(end->fd, end->bytes, AT_ONCE, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) return 1;
    end->start = 0, end->length = (size_t)got;
    pass_on(end);
    if (end->length > 0) {
        wait_for(end);
        wait_for(end->other);
    }
    return 0;
}

static void accept_one(int listener) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) return;
    int there = socket(AF_INET, SOCK_STREAM, 0);
    if (there < 0 || connect(there, (struct sockaddr *)&upstream, sizeof upstream)) die("passer: connect");
    struct end *client = new_end(fd), *generator = new_end(there);
    client->other = generator, generator->other = client;
    watch(client, EPOLL_CTL_ADD, EPOLLIN);
    watch(generator, EPOLL_CTL_ADD, EPOLLIN);
}

int main(int count, char **words) {
    if (count != 2) {
        fprintf(stderr, "usage: passer UPSTREAM_PORT\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* never left behind */
    upstream = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    poller = epoll_create1(0);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof here;
    if (bind(listener, (struct sockaddr *)&here, length) || listen(listener, 1024)) die("passer: listen");
    getsockname(listener, (struct sockaddr *)&here, &length);
    printf("listening on %d\n", ntohs(here.sin_port));
    fflush(stdout);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[BATCH];
    struct end *over[BATCH];
    int pairs_over = 0;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event)) die("passer: epoll_ctl");
    for (;;) {
        int ready = epoll_wait(poller, events, BATCH, -1);
        for (int i = 0; i < ready; i++) {
            struct end *end = events[i].data.ptr;
            if (!end) {
                accept_one(listener);
            } else if (end->fd >= 0 && serve(end, events[i].events)) {
                /* Their memory stays until the batch is through, for the other one may be in it too. */
                close(end->fd), close(end->other->fd);
                end->fd = end->other->fd = -1;
                over[pairs_over++] = end;
            }
        }
        while (pairs_over > 0) {
            struct end *end = over[--pairs_over];
            free(end->other);
            free(end);
        }
    }
}
