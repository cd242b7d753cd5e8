/* Durations in nanoseconds, all of them kept; printed as percentiles in microseconds. */
#ifndef LOAD_SAMPLES_H
#define LOAD_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
    uint64_t *ns;
    size_t size, room;
};

void add_sample(struct samples *s, uint64_t ns);

/* Prints "name":{"count":N,"p50":..,"p95":..,"p99":..,"max":..}, with the comma; without samples the values are null. */
void print_samples(const char *name, struct samples *s);

uint64_t now_ns(void);
void die(const char *what);

#endif
