/* What the load generator was asked to do, and the request it sends. The words are explained in load.c. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum { HEADS_MAX = 8 };

struct options {
    const char *host, *method, *path, *body_file, *count, *end, *head_files[HEADS_MAX];
    int port, connections, heads;
    double seconds, drain;
    bool stream, stamps, hold;
};

/* Head and body. Where its head holds a traceparent, `trace` is the place of that header's value, else 0. */
struct request {
    char *bytes;
    size_t size, trace;
};

extern struct options want;
extern struct request requests[HEADS_MAX]; /* want.heads of them */
extern size_t count_size, end_size;

void read_words(int count, char **words);
void build_requests(void);

/* Gives the request another trace id and span id than any sent before. */
void trace_anew(struct request *r);

#endif
