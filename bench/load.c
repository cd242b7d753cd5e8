/*
 * A closed-loop HTTP/1.1 load generator: C keep-alive connections, each sends its next request when the last answer is complete.
 * One thread, epoll. Prints one line of JSON. Every answer must be complete, 2xx, and hold what --end says; anything else is an
 * error.
 *
 *   load --port N --connections C --seconds S [--method POST] [--path /p] [--body FILE] [--head FILE]...
 *        [--stream] [--count STR] [--end STR] [--stamps] [--hold] [--drain S] [--host 127.0.0.1]
 *
 *   --head FILE   header fields, one per line, but for Host and Content-Length; the connections take the files in turn. A field
 *                 "traceparent: 00-<32 digits>-<16 digits>-01" gets new ids with every request
 *   --seconds S   after S seconds no request is started; those under way are completed (at most --drain more seconds) and counted
 *                 in "requests", "events" and "counted" (for CPU per unit), but not in the rates
 *   --count STR   counts body lines that hold STR ("counted"), and times the first one of each answer ("first_counted_us")
 *   --end STR     each answer must hold a body line with STR; of a stream it must be a "data:" line
 *   --stamps      lines may hold "@<CLOCK_MONOTONIC nanoseconds, 19 digits>@"; each newer stamp is one "stamp_delay_us" sample
 *   --hold        one request per connection; prints its line when every connection has seen one line holding STR (or one event),
 *                 then keeps them open until standard input ends, at most S seconds
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "load_options.h"
#include "load_samples.h"

enum {
    CONNECTING_AT_ONCE_MAX = 64, /* of the held ones: stays below every listen backlog */
    ERRORS_MAX = 200,            /* then the run is given up */
    EVENTS_PER_WAIT = 256,
    HEAD_BYTES_MAX = 16 << 10,
    READ_BYTES = 256 << 10,
    STAMP_DIGITS = 19,
};

enum part { HEAD, SIZED, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER };

struct connection {
    int fd; /* -1: not open */
    bool active, held;
    struct request *request;
    uint64_t started_ns, first_event_ns, first_counted_ns, last_stamp;
    size_t request_sent;
    /* the answer under way */
    enum part part;
    int status;
    bool chunked, end_seen, closing;
    size_t left; /* bytes of body or chunk still to come */
    char head[HEAD_BYTES_MAX];
    size_t head_size;
    char *line; /* the start of a line whose end has not been read yet */
    size_t line_size, line_room;
};

static struct {
    uint64_t requests, errors, events, counted, reconnects;
    uint64_t window_requests, window_events, window_counted; /* before the deadline: for the rates */
    uint64_t statuses[600];
    struct samples latency, first_event, first_counted, stamp_delay;
    char first_error[256];
} seen;

static struct connection *all;
static int epoll_fd, active, held;
static uint64_t deadline_ns;
static char read_buffer[READ_BYTES];

static void begin(struct connection *c, uint64_t now);

/* ---- connections ---- */

static void open_connection(struct connection *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)want.port)};
    inet_pton(AF_INET, want.host, &to.sin_addr);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        die("connect");
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e))
        die("epoll_ctl");
}

static void close_connection(struct connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void set_active(struct connection *c, bool on)
{
    active += (int)on - (int)c->active;
    c->active = on;
}

/* Counts an error, keeps the first one's words, starts over on a new connection. */
static void fail(struct connection *c, const char *what, const char *detail, size_t detail_size, uint64_t now)
{
    if (!seen.errors++) {
        int n = snprintf(seen.first_error, sizeof seen.first_error, "%s (status %d): %.*s", what, c->status,
                         (int)(detail_size < 160 ? detail_size : 160), detail ? detail : "");
        for (int i = 0; i < n && i < (int)sizeof seen.first_error; i++)
            if (seen.first_error[i] < ' ' || seen.first_error[i] == '"' || seen.first_error[i] == '\\')
                seen.first_error[i] = seen.first_error[i] ? '\'' : 0;
    }
    close_connection(c);
    set_active(c, false);
    if (!want.hold && seen.errors < ERRORS_MAX)
        begin(c, now);
}

static void send_request(struct connection *c)
{
    const struct request *r = c->request;
    if (!c->request_sent && r->trace)
        trace_anew(c->request);
    while (c->request_sent < r->size) {
        ssize_t n = send(c->fd, r->bytes + c->request_sent, r->size - c->request_sent, MSG_NOSIGNAL);
        if (n < 0)
            return; /* not yet, or broken: then the next read says so */
        c->request_sent += (size_t)n;
    }
}

static void begin(struct connection *c, uint64_t now)
{
    if (now >= deadline_ns)
        return;
    set_active(c, true);
    c->part = HEAD;
    c->head_size = c->line_size = c->request_sent = 0;
    c->status = 0;
    c->end_seen = c->closing = false;
    c->first_event_ns = c->first_counted_ns = 0;
    c->started_ns = now;
    if (c->fd < 0)
        open_connection(c);
    send_request(c);
}

/* The answer is whole. Returns false when the connection may not be read further in this round. */
static bool complete(struct connection *c, uint64_t now)
{
    if (want.end && !c->end_seen) {
        fail(c, "an answer without its end", c->line, c->line_size, now);
        return false;
    }
    seen.requests++;
    seen.window_requests += now < deadline_ns;
    add_sample(&seen.latency, now - c->started_ns);
    if (c->first_event_ns)
        add_sample(&seen.first_event, c->first_event_ns - c->started_ns);
    if (c->first_counted_ns)
        add_sample(&seen.first_counted, c->first_counted_ns - c->started_ns);
    set_active(c, false);
    if (c->closing) {
        close_connection(c);
        seen.reconnects++;
        begin(c, now);
        return false;
    }
    begin(c, now);
    return true;
}

/* ---- lines of the body ---- */

static void take_stamp(struct connection *c, const char *line, size_t size, uint64_t now)
{
    const char *at = memchr(line, '@', size);
    if (!at || (size_t)(line + size - at) < STAMP_DIGITS + 2 || at[STAMP_DIGITS + 1] != '@')
        return;
    uint64_t stamp = strtoull(at + 1, NULL, 10);
    if (stamp <= c->last_stamp || stamp > now)
        return; /* the text again, in one of the closing events */
    c->last_stamp = stamp;
    add_sample(&seen.stamp_delay, now - stamp);
}

static void take_line(struct connection *c, const char *line, size_t size, uint64_t now)
{
    bool in_window = now < deadline_ns, data = size >= 5 && !memcmp(line, "data:", 5);
    if (want.end && (data || !want.stream) && memmem(line, size, want.end, end_size))
        c->end_seen = true;
    if (data) {
        if (size >= 12 && !memcmp(line, "data: [DONE]", 12))
            return;
        seen.events++;
        seen.window_events += in_window;
        if (!c->first_event_ns)
            c->first_event_ns = now;
        if (want.stamps)
            take_stamp(c, line, size, now);
        if (!want.count && !c->held) {
            c->held = true;
            held++;
        }
    }
    if (want.count && memmem(line, size, want.count, count_size)) {
        seen.counted++;
        seen.window_counted += in_window;
        if (!c->first_counted_ns)
            c->first_counted_ns = now;
        held += !c->held;
        c->held = true;
    }
}

static void keep_line(struct connection *c, const char *p, size_t n)
{
    if (c->line_size + n > c->line_room) {
        c->line_room = (c->line_size + n) * 2;
        c->line = realloc(c->line, c->line_room);
        if (!c->line)
            die("realloc");
    }
    memcpy(c->line + c->line_size, p, n);
    c->line_size += n;
}

static void take_body(struct connection *c, const char *p, size_t n, uint64_t now)
{
    while (n) {
        const char *end = memchr(p, '\n', n);
        if (!end) {
            keep_line(c, p, n);
            return;
        }
        if (c->line_size) {
            keep_line(c, p, (size_t)(end - p));
            take_line(c, c->line, c->line_size, now);
            c->line_size = 0;
        } else if (end > p) {
            take_line(c, p, (size_t)(end - p), now);
        }
        n -= (size_t)(end + 1 - p);
        p = end + 1;
    }
}

/* ---- the answer's frame ---- */

static const char *header_value(const char *head, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = strchr(head, '\n'); p; p = strchr(p + 1, '\n'))
        if (!strncasecmp(p + 1, name, n) && p[n + 1] == ':')
            return p + n + 2 + strspn(p + n + 2, " ");
    return NULL;
}

/* Reads the head. False: no use reading on. */
static bool take_head(struct connection *c)
{
    c->head[c->head_size] = 0;
    if (sscanf(c->head, "HTTP/1.%*d %d", &c->status) != 1 || c->status < 100 || c->status > 599)
        return false;
    seen.statuses[c->status]++;
    const char *length = header_value(c->head, "content-length"), *coding = header_value(c->head, "transfer-encoding");
    const char *after = header_value(c->head, "connection");
    c->closing = after && !strncasecmp(after, "close", 5);
    c->chunked = coding && !strncasecmp(coding, "chunked", 7);
    c->left = length ? strtoul(length, NULL, 10) : 0;
    c->part = c->chunked ? CHUNK_SIZE : SIZED;
    c->head_size = 0; /* from here on: chunk sizes and trailers */
    return c->chunked || length;
}

/* Gathers bytes up to and with "\n" in head; false while the line is incomplete. */
static bool gather_line(struct connection *c, const char **p, size_t *n)
{
    const char *end = memchr(*p, '\n', *n);
    size_t take = end ? (size_t)(end + 1 - *p) : *n;
    if (c->head_size + take >= sizeof c->head)
        take = sizeof c->head - 1 - c->head_size;
    memcpy(c->head + c->head_size, *p, take);
    c->head_size += take;
    *p += take;
    *n -= take;
    return end != NULL;
}

/* One step of reading an answer. Returns 1 to go on, 0 when the answer is complete, -1 when it cannot be read. */
static int step(struct connection *c, const char **p, size_t *n, uint64_t now)
{
    size_t take;
    switch (c->part) {
    case HEAD:
        if (gather_line(c, p, n) && c->head_size >= 4 && !memcmp(c->head + c->head_size - 4, "\r\n\r\n", 4)) {
            if (!take_head(c))
                return -1;
            return c->part != SIZED || c->left;
        }
        return c->head_size < sizeof c->head - 1 ? 1 : -1;
    case CHUNK_SIZE:
        if (gather_line(c, p, n)) {
            c->head[c->head_size] = 0;
            c->head_size = 0;
            c->left = strtoul(c->head, NULL, 16);
            c->part = c->left ? CHUNK : TRAILER;
        }
        return 1;
    case SIZED:
    case CHUNK:
        take = *n < c->left ? *n : c->left;
        take_body(c, *p, take, now);
        *p += take;
        *n -= take;
        c->left -= take;
        if (c->left)
            return 1;
        if (c->part == SIZED)
            return 0;
        c->part = CHUNK_END;
        return 1;
    case CHUNK_END:
        if (gather_line(c, p, n)) {
            c->head_size = 0;
            c->part = CHUNK_SIZE;
        }
        return 1;
    case TRAILER:
        if (gather_line(c, p, n)) {
            bool last = c->head_size <= 2;
            c->head_size = 0;
            return !last;
        }
        return 1;
    }
    return -1;
}

static void readable(struct connection *c, bool ending, uint64_t now)
{
    for (;;) {
        ssize_t got = recv(c->fd, read_buffer, sizeof read_buffer, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            if (c->active)
                fail(c, got ? strerror(errno) : "closed early", c->line, c->line_size, now);
            else
                close_connection(c);
            return;
        }
        const char *p = read_buffer;
        size_t n = (size_t)got;
        while (n) {
            if (!c->active) {
                fail(c, "bytes after the answer", p, n, now);
                return;
            }
            int going = step(c, &p, &n, now);
            bool refused = going == 0 && (c->status < 200 || c->status > 299);
            if (going == 0 && c->line_size && !refused)
                take_line(c, c->line, c->line_size, now);
            if (going < 0 || refused) {
                fail(c, going < 0 ? "unreadable answer" : "refused", c->line, c->line_size, now);
                return;
            }
            if (going == 0 && !complete(c, now))
                return;
        }
        if ((size_t)got < sizeof read_buffer && !ending)
            return; /* edge-triggered, and a short read means empty, unless the end is already there */
    }
}

/* ---- the run ---- */

static void print_result(double seconds)
{
    printf("{\"requests\":%llu,\"errors\":%llu,\"reconnects\":%llu,\"seconds\":%.6f,\"rps\":%.1f,\"events\":%llu,"
           "\"events_per_second\":%.1f,\"counted\":%llu,\"counted_per_second\":%.1f,\"held\":%d,",
           (unsigned long long)seen.requests, (unsigned long long)seen.errors, (unsigned long long)seen.reconnects, seconds,
           (double)seen.window_requests / seconds, (unsigned long long)seen.events, (double)seen.window_events / seconds,
           (unsigned long long)seen.counted, (double)seen.window_counted / seconds, held);
    print_samples("latency_us", &seen.latency);
    print_samples("first_event_us", &seen.first_event);
    print_samples("first_counted_us", &seen.first_counted);
    print_samples("stamp_delay_us", &seen.stamp_delay);
    printf("\"statuses\":{");
    const char *comma = "";
    for (int i = 0; i < 600; i++)
        if (seen.statuses[i]) {
            printf("%s\"%d\":%llu", comma, i, (unsigned long long)seen.statuses[i]);
            comma = ",";
        }
    printf("},\"first_error\":\"%s\"}\n", seen.first_error);
    fflush(stdout);
}

/* Returns after the next events, or timeout_ms. True when standard input has ended (watched only while holding). */
static bool wait_events(int timeout_ms)
{
    struct epoll_event ready[EVENTS_PER_WAIT];
    int n = epoll_wait(epoll_fd, ready, EVENTS_PER_WAIT, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct connection *c = ready[i].data.ptr;
        if (!c)
            return true;
        if (c->fd >= 0 && c->active && c->request_sent < c->request->size)
            send_request(c);
        if (c->fd >= 0 && ready[i].events & ~(uint32_t)EPOLLOUT)
            readable(c, ready[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR), now_ns());
    }
    return false;
}

static void run_closed_loop(uint64_t start)
{
    for (int i = 0; i < want.connections; i++)
        begin(&all[i], now_ns());
    uint64_t end = deadline_ns + (uint64_t)(want.drain * 1e9);
    for (uint64_t now; (now = now_ns()) < end && seen.errors < ERRORS_MAX && (now < deadline_ns || active);) {
        if (now >= deadline_ns && !active)
            break;
        uint64_t until = now < deadline_ns ? deadline_ns : end;
        wait_events((int)((until - now) / 1000000u) + 1);
    }
    for (int i = 0; i < want.connections; i++)
        if (all[i].active)
            fail(&all[i], "not complete in time", all[i].line, all[i].line_size, deadline_ns);
    uint64_t stopped = now_ns();
    print_result((double)((stopped < deadline_ns ? stopped : deadline_ns) - start) / 1e9);
}

static void run_holding(uint64_t start)
{
    int opened = 0;
    while (held < want.connections && now_ns() < deadline_ns && !seen.errors) {
        while (opened < want.connections && opened - held < CONNECTING_AT_ONCE_MAX)
            begin(&all[opened++], now_ns());
        wait_events(100);
    }
    print_result((double)(now_ns() - start) / 1e9);
    struct epoll_event e = {.events = EPOLLIN};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &e);
    while (now_ns() < deadline_ns && !wait_events(100)) {}
}

int main(int count, char **words)
{
    read_words(count, words);
    build_requests();
    all = calloc((size_t)want.connections, sizeof *all);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!all || epoll_fd < 0)
        die("start");
    for (int i = 0; i < want.connections; i++) {
        all[i].fd = -1;
        all[i].request = &requests[i % want.heads];
    }
    uint64_t start = now_ns();
    deadline_ns = start + (uint64_t)(want.seconds * 1e9);
    if (want.hold)
        run_holding(start);
    else
        run_closed_loop(start);
    return 0;
}
