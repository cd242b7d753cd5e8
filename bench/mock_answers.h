/* What the mock upstream says: bytes ready to be written. Each pointer returned is good until the next call. */
#ifndef MOCK_ANSWERS_H
#define MOCK_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mock_bytes.h"

enum { WORDS = 16 };

/* POST /v1/chat/completions or POST /v1/responses: the same text in the frames of one or the other. */
enum dialect { CHAT, RESPONSES };

/* One streamed answer under way. `said`: its text so far, as it stands within JSON quotes. */
struct telling {
    enum dialect dialect;
    uint64_t number;
    size_t tokens;
    int chunks;
    struct bytes said;
};

extern struct bytes models_reply, health_reply, missing_reply, bad_reply;

/* models: names for GET /v1/models, joined with commas. */
void build_answers(const char *models);

/* A whole ~1 KB answer that is not streamed. asked_bytes: size of the question, which its usage tells as tokens of 4 bytes. */
const struct bytes *json_answer(enum dialect dialect, size_t asked_bytes);

/* A whole stream of this many text chunks; built once per number of chunks. */
const struct bytes *burst_stream(enum dialect dialect, int chunks, size_t asked_bytes);

/* Head and first frames of a stream told piece by piece, with one text chunk if with_text. */
const struct bytes *begin_telling(struct telling *t, enum dialect dialect, size_t asked_bytes, bool with_text);

/* One text chunk that carries " @<ns, 19 digits>@". */
const struct bytes *tell_stamp(struct telling *t, uint64_t ns);

/* Closing frames, which for Responses hold the whole text again. Empties `said`. */
const struct bytes *end_telling(struct telling *t);

#endif
