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

/* Stands in an answer where its own number belongs: two answers never have the same id. */
#define NUMBER_PLACE "NUMBER0PLACE0000"

enum { NUMBER_DIGITS = sizeof NUMBER_PLACE - 1 };

/* Bytes in which NUMBER_PLACE may occur. */
struct form {
    struct bytes bytes;
    size_t *places, place_count;
};

/* Looks for the places, once the bytes are complete. */
void find_places(struct form *f);

/* Writes the number's digits into every place. */
const struct bytes *numbered(struct form *f, uint64_t number);

/* Writes `count` decimal digits of value at `at`. */
void put_digits(char *at, int count, uint64_t value);

#endif
