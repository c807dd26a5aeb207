/* What the load, the policy and the other proxies' configurations have in common: the key and the address of caller `n`, and
 * the room that it asks for.
 *
 * Every text has a fixed length, so that each request's head has the same number of bytes, and hangs on numbers alone, so
 * that the program which writes policies (keys.c) and the one which sends requests (load.c) agree without a file. */
#ifndef WORK_H
#define WORK_H

#include <stdint.h>

enum { KEY_LENGTH = 43, ADDRESS_LENGTH = 15, ROOM_LENGTH = 19 };

/* Steele, Lea, Flood 2014: enough to make keys that look random. */
static inline uint64_t splitmix(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* The form that `signgate keys new` gives: `sg_` and 40 characters of base 32. */
static inline void key_text(uint32_t n, char out[KEY_LENGTH]) {
    uint64_t state = (uint64_t)n << 20, bits = 0;
    out[0] = 's', out[1] = 'g', out[2] = '_';
    for (int i = 0; i < 40; i++) {
        if (i % 12 == 0) bits = splitmix(&state);
        out[3 + i] = "abcdefghijklmnopqrstuvwxyz234567"[bits & 31];
        bits >>= 5;
    }
}

static inline void three_digits(unsigned value, char *out) {
    out[0] = (char)('0' + value / 100), out[1] = (char)('0' + value / 10 % 10), out[2] = (char)('0' + value % 10);
}

/* A million addresses in 151.100.100.0 to 151.199.199.199: in no blocked prefix, and three digits a byte. */
static inline void address_text(uint32_t n, char out[ADDRESS_LENGTH]) {
    three_digits(151, out);
    three_digits(100 + n / 10000 % 100, out + 4);
    three_digits(100 + n / 100 % 100, out + 8);
    three_digits(100 + n % 100, out + 12);
    out[3] = out[7] = out[11] = '.';
}

/* Calm traffic, whose every request is to be admitted without a finding: five callers in a room, each of them asks for it six
 * times, as tools do that reconnect, and goes on to a next one with others than before. A caller that asked for one room
 * without end would be found to repeat itself, and a room that everybody comes to, to be attacked. */
enum { CALLERS_PER_ROOM = 5, TIMES_PER_ROOM = 6 };

/* What caller `n` of `callers` asks for when all have asked `turn` times. */
static inline void room_text(uint32_t n, uint32_t callers, uint64_t turn, char out[ROOM_LENGTH]) {
    uint64_t stage = turn / TIMES_PER_ROOM, rooms = callers / CALLERS_PER_ROOM + 1;
    uint64_t room = 7300000000000000000ULL + stage * rooms + (n % rooms + n / rooms * stage * 37) % rooms;
    for (int i = ROOM_LENGTH - 1; i >= 0; i--, room /= 10) out[i] = (char)('0' + room % 10);
}

#endif
