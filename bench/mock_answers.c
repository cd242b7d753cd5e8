/* The mock's answers, built once. See mock_answers.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mock_answers.h"

enum { STREAM_SHAPES_MAX = 32 };

struct bytes json_reply, models_reply, missing_reply, bad_reply;
struct bytes stream_head, role_frame, word_frames[WORDS], stamp_frame, last_frames;
size_t stamp_offset;

static struct {
    int chunks;
    struct bytes whole;
} shapes[STREAM_SHAPES_MAX];

void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- growing bytes ---- */

void reserve(struct bytes *b, size_t more)
{
    if (b->size + more <= b->room)
        return;
    size_t room = b->room ? b->room : 1024;
    while (room < b->size + more)
        room *= 2;
    b->data = realloc(b->data, room);
    if (!b->data)
        die("realloc");
    b->room = room;
}

void append(struct bytes *b, const void *data, size_t size)
{
    reserve(b, size);
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void append_text(struct bytes *b, const char *text) { append(b, text, strlen(text)); }

/* ---- answers, built once ---- */

static struct bytes plain_reply(const char *status, const char *json)
{
    struct bytes b = {0};
    char head[256];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", status, strlen(json));
    append(&b, head, (size_t)n);
    append_text(&b, json);
    return b;
}

/* One SSE event in one HTTP chunk, as the common Python model servers send it. */
static void append_frame(struct bytes *b, const char *json)
{
    char size[32];
    snprintf(size, sizeof size, "%zx\r\n", strlen(json) + strlen("data: \n\n"));
    append_text(b, size);
    append_text(b, "data: ");
    append_text(b, json);
    append_text(b, "\n\n\r\n");
}

static void append_chunk(struct bytes *b, const char *choices, const char *usage)
{
    char json[1024];
    snprintf(json, sizeof json,
             "{\"id\":\"chatcmpl-mock000000000000000000000000\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,"
             "\"model\":\"mock\",\"system_fingerprint\":\"fp_mock\",\"choices\":[%s],\"usage\":%s}",
             choices, usage);
    append_frame(b, json);
}

static void append_content(struct bytes *b, const char *text)
{
    char choice[256];
    snprintf(choice, sizeof choice,
             "{\"index\":0,\"delta\":{\"content\":\"%s\"},\"logprobs\":null,\"finish_reason\":null}", text);
    append_chunk(b, choice, "null");
}

static void build_stream_parts(void)
{
    static const char *const words[WORDS] = {
        " voice",   " answers", " voice,", " verse",        " by",     " verse.\\n", " The",    " \\\"choir\\\"",
        " divides", " in",      " two",    " and each h\u00e4lfte", " waits", " for",       " the", " other",
    };
    append_text(&stream_head, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                              "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n");
    append_chunk(&role_frame, "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
                              "\"finish_reason\":null}", "null");
    for (int i = 0; i < WORDS; i++)
        append_content(&word_frames[i], words[i]);
    append_content(&stamp_frame, " @0000000000000000000@");
    stamp_offset = (size_t)((char *)memchr(stamp_frame.data, '@', stamp_frame.size) - stamp_frame.data) + 1;
    append_chunk(&last_frames, "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}", "null");
    append_chunk(&last_frames, "", "{\"prompt_tokens\":12,\"completion_tokens\":20,\"total_tokens\":32}");
    append_frame(&last_frames, "[DONE]");
    append_text(&last_frames, "0\r\n\r\n");
}

static void build_replies(void)
{
    json_reply = plain_reply("200 OK",
        "{\"id\":\"chatcmpl-mock000000000000000000000000\",\"object\":\"chat.completion\",\"created\":1750000000,"
        "\"model\":\"mock\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"In the old practice two half-choirs stand facing each other across the nave. One sings a verse, the "
        "other answers it, and neither has to know how the other breathes: it is enough that the text and its order are "
        "fixed.\\n\\nA front between two programming interfaces is much the same. What one side asks in its own \\\"words\\\" "
        "is put to the other side in the words it knows, and the answer comes back in the form in which it was expected. "
        "The listener hears one piece.\\n\\nWhat must not happen is that a verse gets lost, is sung twice, or waits for a "
        "conductor who has gone home.\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":"
        "{\"prompt_tokens\":12,\"completion_tokens\":148,\"total_tokens\":160,\"prompt_tokens_details\":{\"cached_tokens\":0},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":0}}}");
    models_reply = plain_reply("200 OK", "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\","
                                         "\"created\":1750000000,\"owned_by\":\"mock\"}]}");
    missing_reply = plain_reply("404 Not Found", "{\"error\":{\"message\":\"no such path\",\"type\":\"not_found\"}}");
    bad_reply = plain_reply("400 Bad Request", "{\"error\":{\"message\":\"not HTTP\",\"type\":\"bad_request\"}}");
}

/* The whole burst stream of this many chunks; kept, so that a second request costs one write. */
const struct bytes *burst_stream(int chunks)
{
    int i = 0;
    while (i < STREAM_SHAPES_MAX - 1 && shapes[i].whole.size && shapes[i].chunks != chunks)
        i++;
    struct bytes *whole = &shapes[i].whole;
    if (whole->size && shapes[i].chunks == chunks)
        return whole;
    whole->size = 0;
    shapes[i].chunks = chunks;
    append(whole, stream_head.data, stream_head.size);
    append(whole, role_frame.data, role_frame.size);
    for (int n = 0; n < chunks; n++)
        append(whole, word_frames[n % WORDS].data, word_frames[n % WORDS].size);
    append(whole, last_frames.data, last_frames.size);
    return whole;
}

void build_answers(void)
{
    build_replies();
    build_stream_parts();
}
