/* See load_options.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_options.h"
#include "load_samples.h"

struct options want = {.host = "127.0.0.1", .method = "GET", .path = "/", .connections = 1, .seconds = 1, .drain = 10};
struct request requests[HEADS_MAX];
size_t count_size, end_size;

static const char TRACE_FIELD[] = "\r\ntraceparent: 00-";
enum { TRACE_ID_DIGITS = 32, SPAN_ID_DIGITS = 16 };

static char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        die(path);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    char *data = calloc(1, *size + 1);
    if (!data || fread(data, 1, *size, f) != *size)
        die(path);
    fclose(f);
    return data;
}

/* The file's lines as header fields; its line ends become CRLF. */
static char *read_fields(const char *path)
{
    size_t size = 0, used = 0;
    char *text = read_file(path, &size), *fields = malloc(size * 2 + 1);
    if (!fields)
        die("malloc");
    for (char *rest, *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
        used += (size_t)sprintf(fields + used, "%s\r\n", line);
    fields[used] = 0;
    free(text);
    return fields;
}

static void build_request(struct request *r, const char *fields, const char *body, size_t body_size)
{
    char *head;
    int n = asprintf(&head, "%s %s HTTP/1.1\r\nHost: %s:%d\r\n%sContent-Length: %zu\r\n\r\n", want.method, want.path, want.host,
                     want.port, fields, body_size);
    if (n < 0)
        die("asprintf");
    r->size = (size_t)n + body_size;
    r->bytes = realloc(head, r->size + 1);
    if (!r->bytes)
        die("realloc");
    char *trace = memmem(r->bytes, (size_t)n, TRACE_FIELD, sizeof TRACE_FIELD - 1);
    r->trace = trace ? (size_t)(trace - r->bytes) + sizeof TRACE_FIELD - 1 : 0;
    if (body_size)
        memcpy(r->bytes + n, body, body_size);
}

void build_requests(void)
{
    size_t body_size = 0;
    char *body = want.body_file ? read_file(want.body_file, &body_size) : NULL;
    for (int i = 0; i < want.heads; i++) {
        char *fields = read_fields(want.head_files[i]);
        build_request(&requests[i], fields, body, body_size);
        free(fields);
    }
    if (!want.heads)
        build_request(&requests[want.heads++], "Content-Type: application/json\r\n", body, body_size);
    free(body);
}

void trace_anew(struct request *r)
{
    static unsigned long long last;
    char digits[TRACE_ID_DIGITS + 1];
    snprintf(digits, sizeof digits, "%032llx", ++last);
    memcpy(r->bytes + r->trace, digits, TRACE_ID_DIGITS);
    memcpy(r->bytes + r->trace + TRACE_ID_DIGITS + 1, digits + TRACE_ID_DIGITS - SPAN_ID_DIGITS, SPAN_ID_DIGITS);
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
        else if (!strcmp(w, "--end")) want.end = v;
        else if (!strcmp(w, "--head") && want.heads < HEADS_MAX) want.head_files[want.heads++] = v;
        else {
            fprintf(stderr, "load: unknown word %s\n", w);
            exit(2);
        }
    }
    if (want.port <= 0 || want.connections <= 0) {
        fprintf(stderr, "load: --port and --connections must be positive\n");
        exit(2);
    }
    count_size = want.count ? strlen(want.count) : 0;
    end_size = want.end ? strlen(want.end) : 0;
}
