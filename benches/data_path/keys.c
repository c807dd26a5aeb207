/* Prints the hash that signgate stores of each key of the work: one line a key, 64 hexadecimal digits.
 *
 *     keys COUNT
 *
 * BLAKE3 of an input of at most 64 bytes is one call of its compression function (BLAKE3 paper, section 2.2). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "work.h"

static const uint32_t START[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
static const int PERMUTED[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
enum { CHUNK_START = 1, CHUNK_END = 2, ROOT = 8, ROUNDS = 7 };

static uint32_t turned(uint32_t word, int by) { return word >> by | word << (32 - by); }

static void mix(uint32_t *v, int a, int b, int c, int d, uint32_t x, uint32_t y) {
    v[a] += v[b] + x, v[d] = turned(v[d] ^ v[a], 16), v[c] += v[d], v[b] = turned(v[b] ^ v[c], 12);
    v[a] += v[b] + y, v[d] = turned(v[d] ^ v[a], 8), v[c] += v[d], v[b] = turned(v[b] ^ v[c], 7);
}

static void print_hash(const char *text, uint32_t length) {
    uint32_t m[16] = {0}, v[16];
    memcpy(m, text, length); /* little-endian machines only, as everything here */
    memcpy(v, START, 32);
    memcpy(v + 8, START, 16);
    v[12] = v[13] = 0, v[14] = length, v[15] = CHUNK_START | CHUNK_END | ROOT;
    for (int round = 0; round < ROUNDS; round++) {
        mix(v, 0, 4, 8, 12, m[0], m[1]), mix(v, 1, 5, 9, 13, m[2], m[3]);
        mix(v, 2, 6, 10, 14, m[4], m[5]), mix(v, 3, 7, 11, 15, m[6], m[7]);
        mix(v, 0, 5, 10, 15, m[8], m[9]), mix(v, 1, 6, 11, 12, m[10], m[11]);
        mix(v, 2, 7, 8, 13, m[12], m[13]), mix(v, 3, 4, 9, 14, m[14], m[15]);
        uint32_t next[16];
        for (int i = 0; i < 16; i++) next[i] = m[PERMUTED[i]];
        memcpy(m, next, sizeof m);
    }
    for (int i = 0; i < 8; i++) {
        uint32_t word = v[i] ^ v[i + 8];
        for (int byte = 0; byte < 4; byte++) printf("%02x", word >> (8 * byte) & 255);
    }
    printf("\n");
}

int main(int count, char **words) {
    long keys = count == 2 ? atol(words[1]) : 0;
    if (keys < 1) {
        fprintf(stderr, "usage: keys COUNT\n");
        return 2;
    }
    for (long n = 0; n < keys; n++) {
        char key[KEY_LENGTH];
        key_text((uint32_t)n, key);
        print_hash(key, KEY_LENGTH);
    }
    return 0;
}
