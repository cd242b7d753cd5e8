/* See load_options.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_options.h"
#include "load_samples.h"

struct options want = {.host = "127.0.0.1", .method = "GET", .path = "/", .connections = 1, .seconds = 1, .drain = 10};
char *request;
size_t request_size, count_size;

void build_request(void)
{
    char *body = NULL;
    size_t body_size = 0;
    if (want.body_file) {
        FILE *f = fopen(want.body_file, "rb");
        if (!f)
            die(want.body_file);
        fseek(f, 0, SEEK_END);
        body_size = (size_t)ftell(f);
        rewind(f);
        body = malloc(body_size + 1);
        if (!body || fread(body, 1, body_size, f) != body_size)
            die(want.body_file);
        fclose(f);
    }
    char *head;
    int n = asprintf(&head,
                     "%s %s HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: bench\r\nAccept: */*\r\n"
                     "Content-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n",
                     want.method, want.path, want.host, want.port, want.headers, body_size);
    if (n < 0)
        die("asprintf");
    request_size = (size_t)n + body_size;
    request = realloc(head, request_size + 1);
    if (!request)
        die("realloc");
    if (body_size)
        memcpy(request + n, body, body_size);
    free(body);
}

void read_words(int count, char **words)
{
    for (int i = 1; i < count; i++) {
        const char *w = words[i];
        if (!strcmp(w, "--stream")) { want.stream = true; continue; }
        if (!strcmp(w, "--stamps")) { want.stamps = true; continue; }
        if (!strcmp(w, "--hold")) { want.hold = true; continue; }
        const char *v = ++i < count ? words[i] : "";
        if (!strcmp(w, "--host")) want.host = v;
        else if (!strcmp(w, "--port")) want.port = atoi(v);
        else if (!strcmp(w, "--connections")) want.connections = atoi(v);
        else if (!strcmp(w, "--seconds")) want.seconds = atof(v);
        else if (!strcmp(w, "--drain")) want.drain = atof(v);
        else if (!strcmp(w, "--method")) want.method = v;
        else if (!strcmp(w, "--path")) want.path = v;
        else if (!strcmp(w, "--body")) want.body_file = v;
        else if (!strcmp(w, "--count")) want.count = v;
        else if (!strcmp(w, "--header") && strlen(want.headers) + strlen(v) + 3 < sizeof want.headers) {
            strcat(want.headers, v);
            strcat(want.headers, "\r\n");
        } else {
            fprintf(stderr, "load: unknown word %s\n", w);
            exit(2);
        }
    }
    if (want.port <= 0 || want.connections <= 0) {
        fprintf(stderr, "load: --port and --connections must be positive\n");
        exit(2);
    }
    count_size = want.count ? strlen(want.count) : 0;
}
