/* The growing byte buffer the mock's answers are made with, and bytes with places for an answer's own number. */
#ifndef MOCK_BYTES_H
#define MOCK_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
    char *data;
    size_t size, room;
};

void reserve(struct bytes *b, size_t more);
void append(struct bytes *b, const void *data, size_t size);
void append_text(struct bytes *b, const char *text);

/* As printf; what one call writes must be shorter than 8 KB. */
void append_print(struct bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

void die(const char *what);

/* NUMBER_PLACE stands in an answer where its own number belongs: two answers never have the same id. TOKENS_PLACE("00148") stands
   where 148 more than the tokens of the question belong. */
#define NUMBER_PLACE "NUMBER0PLACE0000"
#define TOKENS_MARK "TOKENS+"
#define TOKENS_PLACE(more) TOKENS_MARK more

enum { NUMBER_DIGITS = sizeof NUMBER_PLACE - 1, TOKENS_DIGITS = sizeof TOKENS_PLACE("00000") - 1 };

struct place {
    size_t at, more;
};

/* Bytes in which the places may occur. */
struct form {
    struct bytes bytes;
    struct place *numbers, *tokens;
    size_t number_count, token_count;
};

/* Looks for the places, once the bytes are complete. */
void find_places(struct form *f);

/* Writes the answer's number and the question's tokens into every place. */
const struct bytes *filled(struct form *f, uint64_t number, size_t tokens);

/* Writes `count` characters of the decimal value at `at`, filled up with `fill` on the left. */
void put_digits(char *at, int count, uint64_t value, char fill);

#endif
