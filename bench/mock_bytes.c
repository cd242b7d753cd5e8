/* See mock_bytes.h. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mock_bytes.h"

enum { PRINT_BYTES_MAX = 8192 };

void die(const char *what)
{
    perror(what);
    exit(1);
}

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

void append_text(struct bytes *b, const char *text) { append(b, text, strlen(text)); }

void append_print(struct bytes *b, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    reserve(b, PRINT_BYTES_MAX);
    int n = vsnprintf(b->data + b->size, PRINT_BYTES_MAX, format, values);
    va_end(values);
    if (n < 0 || n >= PRINT_BYTES_MAX) {
        fprintf(stderr, "mock: too long to print: %s\n", format);
        exit(1);
    }
    b->size += (size_t)n;
}

static struct place *find_all(const struct bytes *b, const char *mark, size_t mark_size, size_t *count, struct place *places)
{
    const char *end = b->data + b->size, *p = b->data;
    for (*count = 0; (p = memmem(p, (size_t)(end - p), mark, mark_size)); p += mark_size) {
        places = realloc(places, (*count + 1) * sizeof *places);
        if (!places)
            die("realloc");
        places[(*count)++] = (struct place){(size_t)(p - b->data), strtoul(p + mark_size, NULL, 10)};
    }
    return places;
}

void find_places(struct form *f)
{
    f->numbers = find_all(&f->bytes, NUMBER_PLACE, NUMBER_DIGITS, &f->number_count, f->numbers);
    f->tokens = find_all(&f->bytes, TOKENS_MARK, sizeof TOKENS_MARK - 1, &f->token_count, f->tokens);
}

void put_digits(char *at, int count, uint64_t value, char fill)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        at[i] = value || i == count - 1 ? (char)('0' + value % 10) : fill;
}

const struct bytes *filled(struct form *f, uint64_t number, size_t tokens)
{
    char digits[NUMBER_DIGITS];
    put_digits(digits, NUMBER_DIGITS, number, '0');
    for (size_t i = 0; i < f->number_count; i++)
        memcpy(f->bytes.data + f->numbers[i].at, digits, NUMBER_DIGITS);
    for (size_t i = 0; i < f->token_count; i++)
        put_digits(f->bytes.data + f->tokens[i].at, TOKENS_DIGITS, tokens + f->tokens[i].more, ' ');
    return &f->bytes;
}
