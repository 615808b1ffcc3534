/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Writes JSON into a growing text, comma by comma, with no tree in between. Strings are escaped
 * and made valid UTF-8; numbers that JSON has no word for (NaN, infinity) become null.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/string-util.h"

typedef struct JsonWriter {
        TextBuffer out;
        bool needs_comma;
} JsonWriter;

/* Each takes the member's name inside an object, NULL inside an array or at the top. */
void json_object_begin(JsonWriter *writer, const char *name);
void json_object_end(JsonWriter *writer);
void json_array_begin(JsonWriter *writer, const char *name);
void json_array_end(JsonWriter *writer);
void json_add_string(JsonWriter *writer, const char *name, const char *value);
void json_add_number(JsonWriter *writer, const char *name, double value);
void json_add_unsigned(JsonWriter *writer, const char *name, uint64_t value);
void json_add_boolean(JsonWriter *writer, const char *name, bool value);
/* A number as it is written already. */
void json_add_literal(JsonWriter *writer, const char *name, const char *number);
void json_add_null(JsonWriter *writer, const char *name);
/* Seconds with six digits, from microseconds. */
void json_add_seconds(JsonWriter *writer, const char *name, uint64_t usec);

/* Hands over the text; the writer is empty afterwards. Returns 0 or -ENOMEM. */
int json_writer_finish(JsonWriter *writer, char **ret_text, size_t *ret_length);
void json_writer_done(JsonWriter *writer);
