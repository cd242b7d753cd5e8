/* The two dialects' JSON and frames, one function per piece. Only mock_answers.c uses them. */
#ifndef MOCK_FRAMES_H
#define MOCK_FRAMES_H

#include "mock_bytes.h"

enum { STAMP_DIGITS = 19 };

/* What every plain answer says, as it stands within JSON quotes. */
extern const char *const REPLY_TEXT;

/* Plain answers. */
void append_chat_json(struct bytes *b);
void append_responses_json(struct bytes *b);

/* Frames of a stream: what comes before the first text, one text chunk (the index-th), what comes after the last. `said` is the
   whole text, as it stands within JSON quotes. */
void append_chat_first(struct bytes *b);
void append_chat_text(struct bytes *b, const char *text);
void append_chat_last(struct bytes *b, int chunks);
void append_responses_first(struct bytes *b);
void append_responses_text(struct bytes *b, const char *text, int index);
void append_responses_last(struct bytes *b, int chunks, const struct bytes *said);

#endif
