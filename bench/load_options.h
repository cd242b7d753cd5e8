/* What the load generator was asked to do, and the request it sends. The words are explained in load.c. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct options {
    const char *host, *method, *path, *body_file, *count;
    char headers[4096];
    int port, connections;
    double seconds, drain;
    bool stream, stamps, hold;
};

extern struct options want;
extern char *request; /* head and body */
extern size_t request_size, count_size;

void read_words(int count, char **words);
void build_request(void);

#endif
