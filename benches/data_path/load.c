/* The clients: COUNT requests over CONNECTIONS kept-alive connections, each with the next key, address and room.
 *
 *     load PORT COUNT CONNECTIONS KEYS [FIRST [WARM-UP]]
 *
 * Closed loop: a connection sends its next request when it has its answer. The head is a text of 528 bytes in which only
 * fixed slots are written, so that this program costs next to nothing beside what it measures. Prints one line of
 * JSON: how many answers of which status, bytes, reconnects, seconds. The requests of one gateway go on from FIRST. With a
 * WARM-UP, in milliseconds, it asks for so long first, says "warm", and counts from when it has read a line. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "work.h"

#define HEAD_LENGTH 528
static const char HEAD[] =
    "GET /webcast/fetch?client=ttlive-python&room_id=RRRRRRRRRRRRRRRRRRR&user_agent=Mozilla%2F5.0%20(Windows%20NT%2010."
    "0%3B%20Win64%3B%20x64)%20AppleWebKit%2F537.36&client_enter=true&platform=web&tt_target_idc=useast1a HTTP/1.1\r\n"
    "Host: signer.example.org\r\n"
    "Accept: */*\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Connection: keep-alive\r\n"
    "User-Agent: TikTokLive.py/7.0.1\r\n"
    "X-Api-Key: KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK\r\n"
    "X-Forwarded-For: AAAAAAAAAAAAAAA\r\n"
    "Accept-Language: en-US,en;q=0.9,de-DE;q=0.8,de;q=0.7,fr-FR;q=0.6,fr;q=0.5,it;q=0.4\r\n\r\n";
_Static_assert(sizeof HEAD == HEAD_LENGTH + 1, "the head of the work has 528 bytes");

enum { CONNECTIONS_MAX = 1024, ANSWER_MAX = 1 << 20 };

struct connection {
    int fd;
    char *head;           /* the request, with this connection's slots */
    char *answer;         /* what came so far */
    size_t length, whole; /* of the answer; whole is 0 until its head is in */
};

static struct connection connections[CONNECTIONS_MAX];
static struct sockaddr_in server;
static int poller, open_requests;
static uint32_t keys;
static uint64_t next_request;
static long left, answered, reconnects, statuses[600];
static int warming;
static unsigned long long bytes;
static char *key_texts;
static size_t room_slot, key_slot, address_slot;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void dial(struct connection *c) {
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof server)) die("load: connect");
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) die("load: epoll_ctl");
}

static void send_head(struct connection *c) {
    c->length = c->whole = 0;
    if (send(c->fd, c->head, HEAD_LENGTH, MSG_NOSIGNAL) == HEAD_LENGTH) return;
    close(c->fd); /* it was closed meanwhile */
    if (++reconnects > 100000) die("load: the proxy closes every connection");
    dial(c);
    if (send(c->fd, c->head, HEAD_LENGTH, MSG_NOSIGNAL) != HEAD_LENGTH) die("load: send");
}

static void ask(struct connection *c) {
    if (left == 0) return;
    if (!warming) left--;
    open_requests++;
    uint64_t turn = next_request / keys;
    uint32_t n = (uint32_t)(next_request++ % keys);
    memcpy(c->head + key_slot, key_texts + (size_t)n * KEY_LENGTH, KEY_LENGTH);
    address_text(n, c->head + address_slot);
    room_text(n, keys, turn, c->head + room_slot);
    send_head(c);
}

static void hear(struct connection *c) {
    ssize_t got = recv(c->fd, c->answer + c->length, ANSWER_MAX - c->length - 1, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN) return;
        close(c->fd);
        if (++reconnects > 100000) die("load: the proxy closes every connection");
        dial(c);
        send_head(c);
        return;
    }
    c->length += (size_t)got;
    if (c->whole == 0) {
        char *end = memmem(c->answer, c->length, "\r\n\r\n", 4);
        if (!end) return;
        *end = 0;
        char *length = strcasestr(c->answer, "\r\ncontent-length:");
        if (!length) {
            fprintf(stderr, "load: an answer without Content-Length:\n%s\n", c->answer);
            exit(1);
        }
        c->whole = (size_t)(end - c->answer) + 4 + strtoul(length + 17, NULL, 10);
    }
    if (c->length < c->whole) return;
    int status = atoi(c->answer + 9);
    statuses[status > 0 && status < 600 ? status : 0]++;
    bytes += c->whole;
    answered++;
    open_requests--;
    ask(c);
}

static void hear_some(void) {
    struct epoll_event events[64];
    int ready = epoll_wait(poller, events, 64, 60000);
    if (ready < 0 && errno == EINTR) return;
    if (ready <= 0) {
        fprintf(stderr, "load: no answer for a minute, %ld of them are in\n", answered);
        exit(1);
    }
    for (int i = 0; i < ready; i++) hear(events[i].data.ptr);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int count, char **words) {
    if (count < 5) {
        fprintf(stderr, "usage: load PORT COUNT CONNECTIONS KEYS [FIRST [WARM-UP]]\n");
        return 2;
    }
    server = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(words[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    left = atol(words[2]);
    int wanted = atoi(words[3]);
    keys = (uint32_t)atol(words[4]);
    next_request = count > 5 ? strtoull(words[5], NULL, 10) : 0;
    double warm_up = count > 6 ? atof(words[6]) / 1e3 : 0;
    if (wanted < 1 || wanted > CONNECTIONS_MAX || keys < 1 || keys > 1000000) {
        fprintf(stderr, "load: 1 to %d connections, 1 to 1000000 keys\n", CONNECTIONS_MAX);
        return 2;
    }
    key_texts = malloc((size_t)keys * KEY_LENGTH);
    for (uint32_t n = 0; n < keys; n++) key_text(n, key_texts + (size_t)n * KEY_LENGTH);

    room_slot = (size_t)(strstr(HEAD, "RRRR") - HEAD);
    key_slot = (size_t)(strstr(HEAD, "KKKK") - HEAD);
    address_slot = (size_t)(strstr(HEAD, "AAAA") - HEAD);

    poller = epoll_create1(0);
    double start = now();
    for (int i = 0; i < wanted; i++) {
        connections[i].head = memcpy(malloc(HEAD_LENGTH), HEAD, HEAD_LENGTH);
        connections[i].answer = malloc(ANSWER_MAX);
        dial(&connections[i]);
    }
    warming = warm_up > 0;
    for (int i = 0; i < wanted; i++) ask(&connections[i]);
    if (warming) {
        while (now() - start < warm_up) hear_some();
        puts("warm");
        fflush(stdout);
        if (getchar() < 0) return 1;
        warming = 0;
        answered = reconnects = 0;
        bytes = 0;
        memset(statuses, 0, sizeof statuses);
        start = now();
    }
    /* After a warm-up some wait from before it, and may wait for long: as many answers count as were to be asked for. */
    long whole = left;
    while (warm_up > 0 ? answered < whole : open_requests > 0) hear_some();
    double seconds = now() - start;
    printf("{\"answers\": %ld, \"seconds\": %.6f, \"bytes\": %llu, \"reconnects\": %ld, \"statuses\": {", answered, seconds,
           bytes, reconnects);
    const char *comma = "";
    for (int status = 0; status < 600; status++)
        if (statuses[status]) printf("%s\"%d\": %ld", comma, status, statuses[status]), comma = ", ";
    printf("}}\n");
    return 0;
}
