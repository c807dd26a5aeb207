/* The generator behind every proxy: answers each request with the same good answer to a connect.
 *
 *     upstream BODY_BYTES ...
 *
 * One listening socket of 127.0.0.1 for each length of a body, on ports that the system picks; prints them on one line.
 * The body is a `ProtoMessageFetchResult` with what clients (and the gateway's judge) need, filled up in field 1, the
 * messages, as a real one is. Requests have no bodies: the end of a head is the end of a request. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORTS_MAX = 8, HEAD_MAX = 16 << 10 };

struct answer {
    char *bytes;
    size_t length;
};

struct connection {
    int fd;
    int listens;                  /* 1: accept here */
    struct answer *answer;
    size_t length, sent, owed;    /* of the request; of the answer that is under way */
    char head[HEAD_MAX];
};

static int poller;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static size_t varint(size_t value, char *out) {
    size_t length = 0;
    for (; value > 127; value >>= 7) out[length++] = (char)(value | 128);
    out[length++] = (char)value;
    return length;
}

static struct answer make_answer(size_t body) {
    static const char NEEDED[] = /* cursor, fetch_interval, route_params, heartbeat, push_server, is_first */
        "\x12\x14" "t-1700000000000_r-1_"
        "\x18\xe8\x07"
        "\x3a\x21" "\x0a\x05imprp" "\x12\x18" "0123456789abcdef01234567"
        "\x40\x90\x4e"
        "\x52\x3f" "wss://w.web.tiktok.com/webcast/im/ws_proxy/ws_reuse_supplement/"
        "\x58\x01";
    size_t needed = sizeof NEEDED - 1;
    struct answer answer = {.bytes = malloc(body + 1024)};
    int head = sprintf(answer.bytes,
                       "HTTP/1.1 200 OK\r\n"
                       "Content-Type: application/protobuf\r\n"
                       "X-Agent-ID: bench\r\n"
                       "X-Set-TT-Cookie: ttwid=1%%7Cabcdefghijklmnopqrstuvwxyz0123456789; msToken=abcdefghijklmnop\r\n"
                       "X-Log-Id: 20260101000000ABCDEF0123456789\r\n"
                       "Content-Length: %zu\r\n\r\n",
                       body);
    char *at = answer.bytes + head;
    memcpy(at, NEEDED, needed);
    at += needed;
    /* Messages of at most 400 bytes each, the last one shorter. */
    for (size_t left = body - needed; left > 0;) {
        size_t take = left > 500 ? 400 : left;
        size_t inner = take - 2 - (take - 2 > 128 ? 1 : 0);
        if (take < 2) exit(2);
        *at++ = 0x0a;
        at += varint(inner, at);
        memset(at, 'm', inner);
        at += inner;
        left -= take;
    }
    answer.length = (size_t)(at - answer.bytes);
    if (answer.length != (size_t)head + body) {
        fprintf(stderr, "upstream: a body of %zu bytes cannot be made\n", body);
        exit(2);
    }
    return answer;
}

static void watch(struct connection *c, int how, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, how, c->fd, &event)) die("upstream: epoll_ctl");
}

static void pass_on(struct connection *c) {
    while (c->sent < c->owed) {
        ssize_t sent = send(c->fd, c->answer->bytes + c->sent, c->owed - c->sent, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN) watch(c, EPOLL_CTL_MOD, EPOLLOUT);
            return; /* any other error is seen when reading */
        }
        c->sent += (size_t)sent;
    }
}

static void serve(struct connection *c, uint32_t events) {
    if (events & EPOLLOUT) {
        pass_on(c);
        if (c->sent == c->owed) watch(c, EPOLL_CTL_MOD, EPOLLIN);
        return;
    }
    ssize_t got = recv(c->fd, c->head + c->length, HEAD_MAX - c->length, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 || c->length + (size_t)got == HEAD_MAX) {
        close(c->fd);
        free(c);
        return;
    }
    c->length += (size_t)got;
    if (c->length < 4 || memcmp(c->head + c->length - 4, "\r\n\r\n", 4) != 0) return;
    c->length = 0;
    c->sent = 0;
    c->owed = c->answer->length;
    pass_on(c);
}

int main(int count, char **words) {
    if (count < 2 || count > PORTS_MAX + 1) {
        fprintf(stderr, "usage: upstream BODY_BYTES ...\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* never left behind */
    poller = epoll_create1(0);
    static struct answer answers[PORTS_MAX];
    for (int i = 0; i + 1 < count; i++) {
        answers[i] = make_answer(strtoul(words[i + 1], NULL, 10));
        struct connection *c = calloc(1, sizeof *c);
        *c = (struct connection){.fd = socket(AF_INET, SOCK_STREAM, 0), .listens = 1, .answer = &answers[i]};
        struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof here;
        if (bind(c->fd, (struct sockaddr *)&here, length) || listen(c->fd, 1024)) die("upstream: listen");
        getsockname(c->fd, (struct sockaddr *)&here, &length);
        printf("%d ", ntohs(here.sin_port));
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
    printf("\n");
    fflush(stdout);
    struct epoll_event events[64];
    for (;;) {
        int ready = epoll_wait(poller, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c->listens) {
                serve(c, events[i].events);
                continue;
            }
            int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK);
            if (fd < 0) continue;
            int on = 1;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            struct connection *new = malloc(sizeof *new);
            new->fd = fd, new->listens = 0, new->answer = c->answer, new->length = new->sent = new->owed = 0;
            watch(new, EPOLL_CTL_ADD, EPOLLIN);
        }
    }
}
