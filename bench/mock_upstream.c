/*
 * A model server that is never the bottleneck: one thread, epoll, HTTP/1.1 keep-alive, answers built once.
 *
 *   mock_upstream --port N [--models A,B,C]    N = 0 picks a free port; the port is printed as "port N"
 *
 *   POST /v1/chat/completions       answers by the words in the model's name, joined with "-":
 *        mock                       a ~1 KB reply, or with "stream":true 20 text chunks
 *        stream-N                   N text chunks (each ~230 bytes)
 *        burst                      the whole stream in one write (the default)
 *        paced-MS                   one text chunk per write, one write every MS milliseconds; each text carries
 *                                   "@<CLOCK_MONOTONIC nanoseconds, 19 digits>@", so that a reader on this machine can tell
 *                                   how long that chunk was on its way
 *        delay-MS                   nothing for the first MS milliseconds
 *        idle                       one text chunk, then an open, silent stream
 *                                   "usage" tells the size of the question, 4 bytes to the token
 *   POST /v1/responses              the same text as a Response, or as its events (without "[DONE]"); every answer has its own id
 *   GET /v1/models                  the models named after --models, else "mock"; any model is answered for
 *   GET /health                     200
 *
 * Not covered: TLS, Expect: 100-continue, pipelining while a stream is being written (the next request waits).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "mock_answers.h"

enum {
    BODY_BYTES_MAX = 64 << 20,
    CHUNKS_DEFAULT = 20,
    CHUNKS_MAX = 99999,
    EVENTS_PER_WAIT = 256,
    READ_BYTES_MIN = 16 << 10,
};

enum phase { READING, DELAYED, PACED, SILENT };

struct plan {
    enum dialect dialect;
    size_t asked_bytes;
    bool stream, idle;
    int chunks;
    uint64_t pace_ns, delay_ns; /* 0: burst, at once */
};

struct connection {
    int fd;
    enum phase phase;
    bool writable_wanted;
    struct bytes in, out;
    size_t out_sent;
    struct plan plan;
    struct telling telling;
    uint64_t due_ns;
    ptrdiff_t place; /* in the heap of timers; -1: none */
};

static int epoll_fd, listen_fd, timer_fd;
static char listen_tag, timer_tag; /* their addresses tell these descriptors from connections */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- timers: a binary heap by due time, one timer per connection ---- */

static struct connection **heap;
static ptrdiff_t heap_size, heap_room;
static uint64_t armed_ns;

static void heap_set(ptrdiff_t at, struct connection *c)
{
    heap[at] = c;
    c->place = at;
}

static void heap_up(ptrdiff_t at)
{
    struct connection *c = heap[at];
    for (; at > 0 && heap[(at - 1) / 2]->due_ns > c->due_ns; at = (at - 1) / 2)
        heap_set(at, heap[(at - 1) / 2]);
    heap_set(at, c);
}

static void heap_down(ptrdiff_t at)
{
    struct connection *c = heap[at];
    for (ptrdiff_t child; (child = 2 * at + 1) < heap_size; at = child) {
        if (child + 1 < heap_size && heap[child + 1]->due_ns < heap[child]->due_ns)
            child++;
        if (heap[child]->due_ns >= c->due_ns)
            break;
        heap_set(at, heap[child]);
    }
    heap_set(at, c);
}

static void timer_cancel(struct connection *c)
{
    ptrdiff_t at = c->place;
    if (at < 0)
        return;
    c->place = -1;
    struct connection *last = heap[--heap_size];
    if (last == c)
        return;
    heap_set(at, last);
    heap_down(at);
    heap_up(last->place);
}

static void timer_set(struct connection *c, uint64_t due_ns)
{
    timer_cancel(c);
    if (heap_size == heap_room) {
        heap_room = heap_room ? heap_room * 2 : 256;
        heap = realloc(heap, (size_t)heap_room * sizeof *heap);
        if (!heap)
            die("realloc");
    }
    c->due_ns = due_ns;
    heap_set(heap_size++, c);
    heap_up(c->place);
}

static void arm_timer(void)
{
    uint64_t due = heap_size ? heap[0]->due_ns : 0;
    if (due == armed_ns)
        return;
    armed_ns = due;
    struct itimerspec when = {.it_value = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* ---- connections ---- */

static void close_connection(struct connection *c)
{
    timer_cancel(c);
    close(c->fd);
    free(c->in.data);
    free(c->out.data);
    free(c->telling.said.data);
    free(c);
}

static void want_writable(struct connection *c, bool wanted)
{
    if (c->writable_wanted == wanted)
        return;
    c->writable_wanted = wanted;
    struct epoll_event e = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

/* Writes now if it can, keeps the rest. A broken connection shows itself at the next read. */
static void send_bytes(struct connection *c, const char *data, size_t size)
{
    if (c->out.size == 0) {
        ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);
        if (n == (ssize_t)size)
            return;
        if (n < 0 && errno != EAGAIN)
            return;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    append(&c->out, data, size);
    want_writable(c, true);
}

static void flush_out(struct connection *c)
{
    ssize_t n = send(c->fd, c->out.data + c->out_sent, c->out.size - c->out_sent, MSG_NOSIGNAL);
    if (n > 0)
        c->out_sent += (size_t)n;
    if (c->out_sent < c->out.size && (n >= 0 || errno == EAGAIN))
        return;
    c->out.size = c->out_sent = 0;
    want_writable(c, false);
}

static void send_kept(struct connection *c, const struct bytes *b) { send_bytes(c, b->data, b->size); }

static void start_answer(struct connection *c, uint64_t now)
{
    c->phase = READING;
    if (!c->plan.stream) {
        send_kept(c, json_answer(c->plan.dialect, c->plan.asked_bytes));
        return;
    }
    if (!c->plan.idle && !c->plan.pace_ns) {
        send_kept(c, burst_stream(c->plan.dialect, c->plan.chunks, c->plan.asked_bytes));
        return;
    }
    send_kept(c, begin_telling(&c->telling, c->plan.dialect, c->plan.asked_bytes, c->plan.idle));
    c->phase = c->plan.idle ? SILENT : PACED;
    if (!c->plan.idle)
        timer_set(c, now + (uint64_t)((double)c->plan.pace_ns * drand48())); /* else all streams tick together */
}

static void read_requests(struct connection *c, uint64_t now);

static void timer_due(struct connection *c, uint64_t now)
{
    uint64_t due = c->due_ns;
    timer_cancel(c);
    if (c->phase == DELAYED) {
        start_answer(c, now);
    } else if (c->telling.chunks < c->plan.chunks) {
        send_kept(c, tell_stamp(&c->telling, now_ns()));
        timer_set(c, due + c->plan.pace_ns); /* from the due time: pace does not drift */
    } else {
        send_kept(c, end_telling(&c->telling));
        c->phase = READING;
    }
    if (c->phase == READING)
        read_requests(c, now);
}

/* ---- requests ---- */

static struct plan plan_for(const char *body, size_t size)
{
    struct plan plan = {.chunks = CHUNKS_DEFAULT, .asked_bytes = size};
    plan.stream = memmem(body, size, "\"stream\":true", 13) || memmem(body, size, "\"stream\": true", 14);
    char name[128] = "";
    const char *end = body + size, *p = memmem(body, size, "\"model\"", 7);
    for (p = p ? p + 7 : end; p < end && (*p == ' ' || *p == ':'); p++) {}
    if (p < end && *p == '"') {
        const char *close_quote = memchr(p + 1, '"', (size_t)(end - p - 1));
        if (close_quote && close_quote - p <= (ptrdiff_t)sizeof name)
            memcpy(name, p + 1, (size_t)(close_quote - p - 1));
    }
    char *rest = NULL;
    for (char *word = strtok_r(name, "-", &rest); word; word = strtok_r(NULL, "-", &rest)) {
        bool counted = !strcmp(word, "stream") || !strcmp(word, "paced") || !strcmp(word, "delay");
        char *number = counted ? strtok_r(NULL, "-", &rest) : NULL;
        double value = number ? atof(number) : 0;
        if (!strcmp(word, "idle"))
            plan.idle = true;
        else if (!strcmp(word, "stream") && value > 0)
            plan.chunks = value < CHUNKS_MAX ? (int)value : CHUNKS_MAX;
        else if (!strcmp(word, "paced"))
            plan.pace_ns = (uint64_t)(value * 1e6);
        else if (!strcmp(word, "delay"))
            plan.delay_ns = (uint64_t)(value * 1e6);
    }
    return plan;
}

/* Joins a chunked body's pieces at its own start. Returns bytes consumed, 0 while incomplete, -1 when malformed. */
static ptrdiff_t join_chunks(char *data, size_t size, size_t *joined)
{
    char *p = data, *end = data + size, *line_end;
    size_t total = 0;
    /* First pass: is it all here? Joining moves bytes, so it must happen once only. */
    for (int pass = 0; pass < 2; pass++) {
        for (p = data, total = 0;;) {
            line_end = memchr(p, '\n', (size_t)(end - p));
            if (!line_end)
                return 0;
            char *stop;
            size_t n = strtoul(p, &stop, 16);
            if (stop == p || n > BODY_BYTES_MAX)
                return -1;
            p = line_end + 1;
            if ((size_t)(end - p) < n + 2)
                return 0;
            if (pass == 1)
                memmove(data + total, p, n);
            total += n;
            p += n + 2;
            if (n == 0)
                break;
        }
    }
    *joined = total;
    return p - data;
}

static const char *header_value(const char *head, const char *end, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = head; p && p < end; p = memchr(p, '\n', (size_t)(end - p))) {
        if (*p == '\n')
            p++;
        if ((size_t)(end - p) > n && p[n] == ':' && !strncasecmp(p, name, n)) {
            for (p += n + 1; *p == ' '; p++) {}
            return p;
        }
    }
    return NULL;
}

static void answer(struct connection *c, const char *head, const char *body, size_t body_size, uint64_t now)
{
    bool chat = !strncmp(head, "POST /v1/chat/completions", 25);
    if (!strncmp(head, "GET /v1/models", 14)) {
        send_kept(c, &models_reply);
    } else if (!strncmp(head, "GET /health", 11)) {
        send_kept(c, &health_reply);
    } else if (!chat && strncmp(head, "POST /v1/responses ", 19)) {
        send_kept(c, &missing_reply);
    } else {
        c->plan = plan_for(body, body_size);
        c->plan.dialect = chat ? CHAT : RESPONSES;
        if (!c->plan.delay_ns) {
            start_answer(c, now);
        } else {
            c->phase = DELAYED;
            timer_set(c, now + c->plan.delay_ns);
        }
    }
}

/* Answers every complete request that has been read, until one of them takes time. */
static void read_requests(struct connection *c, uint64_t now)
{
    while (c->phase == READING && c->in.size) {
        char *head = c->in.data, *head_end = memmem(head, c->in.size, "\r\n\r\n", 4);
        if (!head_end)
            return;
        char *body = head_end + 4;
        size_t got = c->in.size - (size_t)(body - head), body_size = 0;
        ptrdiff_t used;
        const char *length = header_value(head, head_end, "content-length");
        const char *coding = header_value(head, head_end, "transfer-encoding");
        if (coding && !strncasecmp(coding, "chunked", 7)) {
            used = join_chunks(body, got, &body_size);
            if (used == 0)
                return;
        } else {
            body_size = length ? strtoul(length, NULL, 10) : 0;
            used = body_size <= BODY_BYTES_MAX ? (ptrdiff_t)body_size : -1;
            if (used >= 0 && got < body_size)
                return;
        }
        if (used < 0) {
            send_kept(c, &bad_reply);
            shutdown(c->fd, SHUT_WR);
            c->in.size = 0;
            return;
        }
        answer(c, head, body, body_size, now);
        size_t eaten = (size_t)(body - head) + (size_t)used;
        c->in.size -= eaten;
        memmove(c->in.data, c->in.data + eaten, c->in.size);
    }
}

static void readable(struct connection *c, uint64_t now)
{
    reserve(&c->in, READ_BYTES_MIN + 1);
    ssize_t n = recv(c->fd, c->in.data + c->in.size, c->in.room - c->in.size - 1, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN) || c->in.size > BODY_BYTES_MAX) {
        close_connection(c);
        return;
    }
    if (n < 0)
        return;
    c->in.size += (size_t)n;
    c->in.data[c->in.size] = 0; /* number parsing stops here */
    read_requests(c, now);
}

static void accept_all(void)
{
    for (int fd; (fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct connection *c = calloc(1, sizeof *c);
        if (!c)
            die("calloc");
        c->fd = fd;
        c->place = -1;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e))
            die("epoll_ctl");
    }
}

static void run_timers(uint64_t now)
{
    while (heap_size && heap[0]->due_ns <= now)
        timer_due(heap[0], now);
    arm_timer();
}

static int listen_on(int port)
{
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    if (bind(listen_fd, (struct sockaddr *)&at, size) || listen(listen_fd, 4096))
        die("listen");
    getsockname(listen_fd, (struct sockaddr *)&at, &size);
    return ntohs(at.sin_port);
}

int main(int count, char **words)
{
    if ((count != 3 && count != 5) || strcmp(words[1], "--port") || (count == 5 && strcmp(words[3], "--models"))) {
        fprintf(stderr, "usage: %s --port N [--models A,B,C]   (port 0: pick one)\n", words[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    build_answers(count == 5 ? words[4] : "mock");
    int port = listen_on(atoi(words[2]));
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &listen_tag};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &e);
    e.data.ptr = &timer_tag;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &e);
    printf("port %d\n", port);
    fflush(stdout);
    for (;;) {
        struct epoll_event ready[EVENTS_PER_WAIT];
        int n = epoll_wait(epoll_fd, ready, EVENTS_PER_WAIT, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        uint64_t now = now_ns();
        for (int i = 0; i < n; i++) {
            struct connection *c = ready[i].data.ptr;
            if ((void *)c == &listen_tag) {
                accept_all();
            } else if ((void *)c == &timer_tag) {
                uint64_t ticks;
                armed_ns = 0;
                if (read(timer_fd, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
                    die("read timer");
            } else {
                if (ready[i].events & EPOLLOUT)
                    flush_out(c);
                if (ready[i].events & ~(uint32_t)EPOLLOUT)
                    readable(c, now); /* may free it: last */
            }
        }
        run_timers(now);
    }
}
