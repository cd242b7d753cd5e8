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

void find_places(struct form *f)
{
    const char *data = f->bytes.data, *end = data + f->bytes.size, *p = data;
    while ((p = memmem(p, (size_t)(end - p), NUMBER_PLACE, NUMBER_DIGITS))) {
        f->places = realloc(f->places, (f->place_count + 1) * sizeof *f->places);
        if (!f->places)
            die("realloc");
        f->places[f->place_count++] = (size_t)(p - data);
        p += NUMBER_DIGITS;
    }
}

void put_digits(char *at, int count, uint64_t value)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
}

const struct bytes *numbered(struct form *f, uint64_t number)
{
    char digits[NUMBER_DIGITS];
    put_digits(digits, NUMBER_DIGITS, number);
    for (size_t i = 0; i < f->place_count; i++)
        memcpy(f->bytes.data + f->places[i], digits, NUMBER_DIGITS);
    return &f->bytes;
}
