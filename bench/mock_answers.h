/* What the mock upstream says, as bytes ready to be written, and the growing byte buffer they are made with. */
#ifndef MOCK_ANSWERS_H
#define MOCK_ANSWERS_H

#include <stddef.h>

enum { STAMP_DIGITS = 19, WORDS = 16 };

struct bytes {
    char *data;
    size_t size, room;
};

/* Whole HTTP answers: a ~1 KB chat completion, the list of models, 404, 400. */
extern struct bytes json_reply, models_reply, missing_reply, bad_reply;

/* Parts of a streamed answer, in this order: head, role, any number of words or stamps, last. */
extern struct bytes stream_head, role_frame, word_frames[WORDS], stamp_frame, last_frames;

/* Where the STAMP_DIGITS digits stand in stamp_frame. */
extern size_t stamp_offset;

void build_answers(void);

/* The whole burst stream of this many text chunks; kept, so that a second request costs one write. */
const struct bytes *burst_stream(int chunks);

void reserve(struct bytes *b, size_t more);
void append(struct bytes *b, const void *data, size_t size);
void die(const char *what);

#endif
