/* See load_samples.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "load_samples.h"

void die(const char *what)
{
    perror(what);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void add_sample(struct samples *s, uint64_t ns)
{
    if (s->size == s->room) {
        s->room = s->room ? s->room * 2 : 4096;
        s->ns = realloc(s->ns, s->room * sizeof *s->ns);
        if (!s->ns)
            die("realloc");
    }
    s->ns[s->size++] = ns;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(const struct samples *s, double share)
{
    return (double)s->ns[(size_t)((double)(s->size - 1) * share)] / 1000.0;
}

void print_samples(const char *name, struct samples *s)
{
    if (!s->size) {
        printf("\"%s\":{\"count\":0,\"p50\":null,\"p95\":null,\"p99\":null,\"max\":null},", name);
        return;
    }
    qsort(s->ns, s->size, sizeof *s->ns, by_value);
    printf("\"%s\":{\"count\":%zu,\"p50\":%.1f,\"p95\":%.1f,\"p99\":%.1f,\"max\":%.1f},", name, s->size,
           percentile_us(s, 0.5), percentile_us(s, 0.95), percentile_us(s, 0.99), percentile_us(s, 1));
}
