/* See mock_answers.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mock_answers.h"
#include "mock_frames.h"

enum { STREAM_SHAPES_MAX = 32, TOKEN_BYTES = 4 };

struct bytes models_reply, health_reply, missing_reply, bad_reply;

static const char *const words[WORDS] = {
    " voice",   " answers", " voice,", " verse",        " by",     " verse.\\n", " The",    " \\\"choir\\\"",
    " divides", " in",      " two",    " and each h\u00e4lfte", " waits", " for",       " the", " other",
};
static const char STREAM_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                                  "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

static struct form json_forms[2];
static struct {
    int chunks;
    enum dialect dialect;
    struct form form;
} shapes[STREAM_SHAPES_MAX];
static uint64_t last_number;

static void append_first(struct bytes *b, enum dialect d) { (d == CHAT ? append_chat_first : append_responses_first)(b); }

static void append_word(struct bytes *b, enum dialect d, const char *text, int index)
{
    if (d == CHAT)
        append_chat_text(b, text);
    else
        append_responses_text(b, text, index);
}

static void append_last(struct bytes *b, enum dialect d, int chunks, const struct bytes *said)
{
    if (d == CHAT)
        append_chat_last(b, chunks);
    else
        append_responses_last(b, chunks, said);
}

static struct bytes plain_reply(const char *status, const char *json, size_t size)
{
    struct bytes b = {0};
    append_print(&b, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", status, size);
    append(&b, json, size);
    return b;
}

static struct bytes short_reply(const char *status, const char *json) { return plain_reply(status, json, strlen(json)); }

static void build_models(const char *names)
{
    struct bytes json = {0};
    append_text(&json, "{\"object\":\"list\",\"data\":[");
    const char *comma = "";
    for (const char *name = names; *name;) {
        size_t size = strcspn(name, ",");
        append_print(&json, "%s{\"id\":\"%.*s\",\"object\":\"model\",\"created\":1750000000,\"owned_by\":\"mock\"}", comma,
                     (int)size, name);
        comma = ",";
        name += size + (name[size] == ',');
    }
    append_text(&json, "]}");
    models_reply = plain_reply("200 OK", json.data, json.size);
    free(json.data);
}

void build_answers(const char *models)
{
    struct bytes json = {0};
    append_chat_json(&json);
    json_forms[CHAT].bytes = plain_reply("200 OK", json.data, json.size);
    json.size = 0;
    append_responses_json(&json);
    json_forms[RESPONSES].bytes = plain_reply("200 OK", json.data, json.size);
    free(json.data);
    for (int i = 0; i < 2; i++)
        find_places(&json_forms[i]);
    build_models(models);
    health_reply = short_reply("200 OK", "{\"status\":\"ok\"}");
    missing_reply = short_reply("404 Not Found", "{\"error\":{\"message\":\"no such path\",\"type\":\"not_found\"}}");
    bad_reply = short_reply("400 Bad Request", "{\"error\":{\"message\":\"not HTTP\",\"type\":\"bad_request\"}}");
}

const struct bytes *json_answer(enum dialect dialect, size_t asked_bytes)
{
    return filled(&json_forms[dialect], ++last_number, asked_bytes / TOKEN_BYTES);
}

const struct bytes *burst_stream(enum dialect dialect, int chunks, size_t asked_bytes)
{
    int i = 0;
    while (i < STREAM_SHAPES_MAX - 1 && shapes[i].form.bytes.size && (shapes[i].chunks != chunks || shapes[i].dialect != dialect))
        i++;
    struct bytes *whole = &shapes[i].form.bytes;
    if (!whole->size || shapes[i].chunks != chunks || shapes[i].dialect != dialect) {
        struct bytes said = {0};
        whole->size = 0;
        shapes[i].chunks = chunks;
        shapes[i].dialect = dialect;
        append_text(whole, STREAM_HEAD);
        append_first(whole, dialect);
        for (int n = 0; n < chunks; n++) {
            append_word(whole, dialect, words[n % WORDS], n);
            append_text(&said, words[n % WORDS]);
        }
        append_last(whole, dialect, chunks, &said);
        free(said.data);
        find_places(&shapes[i].form);
    }
    return filled(&shapes[i].form, ++last_number, asked_bytes / TOKEN_BYTES);
}

/* ---- told piece by piece: made anew each time, for every piece differs ---- */

static struct form piece;

static const struct bytes *told(const struct telling *t)
{
    find_places(&piece);
    return filled(&piece, t->number, t->tokens);
}

static void tell(struct telling *t, const char *text)
{
    append_word(&piece.bytes, t->dialect, text, t->chunks++);
    if (t->dialect == RESPONSES)
        append_text(&t->said, text);
}

const struct bytes *begin_telling(struct telling *t, enum dialect dialect, size_t asked_bytes, bool with_text)
{
    *t = (struct telling){
        .dialect = dialect, .number = ++last_number, .tokens = asked_bytes / TOKEN_BYTES, .said = t->said};
    t->said.size = piece.bytes.size = 0;
    append_text(&piece.bytes, STREAM_HEAD);
    append_first(&piece.bytes, dialect);
    if (with_text)
        tell(t, words[0]);
    return told(t);
}

const struct bytes *tell_stamp(struct telling *t, uint64_t ns)
{
    char text[] = " @0000000000000000000@";
    put_digits(text + 2, STAMP_DIGITS, ns, '0');
    piece.bytes.size = 0;
    tell(t, text);
    return told(t);
}

const struct bytes *end_telling(struct telling *t)
{
    piece.bytes.size = 0;
    append_last(&piece.bytes, t->dialect, t->chunks, &t->said);
    t->said.size = 0;
    return told(t);
}
