/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/json-writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/time-util.h"

static void json_add_escaped(JsonWriter *writer, unsigned char c) {
        switch (c) {
        case '"':
                text_buffer_add(&writer->out, "\\\"", 2);
                break;
        case '\\':
                text_buffer_add(&writer->out, "\\\\", 2);
                break;
        case '\n':
                text_buffer_add(&writer->out, "\\n", 2);
                break;
        case '\t':
                text_buffer_add(&writer->out, "\\t", 2);
                break;
        default:
                text_buffer_printf(&writer->out, "\\u%04x", c);
        }
}

static void json_add_quoted(JsonWriter *writer, const char *text) {
        const unsigned char *run = (const unsigned char *) text, *p = run;

        text_buffer_add(&writer->out, "\"", 1);
        while (*p) {
                /* An end of the text within a sequence is no continuation byte: never read past. */
                size_t length = utf8_sequence_length((const char *) p, 4);

                if (length > 0 && *p >= 0x20 && *p != '"' && *p != '\\' && *p != 0x7f) {
                        p += length;
                        continue;
                }
                text_buffer_add(&writer->out, (const char *) run, (size_t) (p - run));
                if (length == 0)
                        text_buffer_add(&writer->out, "\xef\xbf\xbd", 3); /* U+FFFD */
                else
                        json_add_escaped(writer, *p);
                run = ++p;
        }
        text_buffer_add(&writer->out, (const char *) run, (size_t) (p - run));
        text_buffer_add(&writer->out, "\"", 1);
}

static void json_add_name(JsonWriter *writer, const char *name) {
        if (writer->needs_comma)
                text_buffer_add(&writer->out, ",", 1);
        writer->needs_comma = true;
        if (name) {
                json_add_quoted(writer, name);
                text_buffer_add(&writer->out, ":", 1);
        }
}

static void json_begin(JsonWriter *writer, const char *name, const char *bracket) {
        json_add_name(writer, name);
        text_buffer_add(&writer->out, bracket, 1);
        writer->needs_comma = false;
}

static void json_end(JsonWriter *writer, const char *bracket) {
        text_buffer_add(&writer->out, bracket, 1);
        writer->needs_comma = true;
}

void json_object_begin(JsonWriter *writer, const char *name) {
        json_begin(writer, name, "{");
}

void json_object_end(JsonWriter *writer) {
        json_end(writer, "}");
}

void json_array_begin(JsonWriter *writer, const char *name) {
        json_begin(writer, name, "[");
}

void json_array_end(JsonWriter *writer) {
        json_end(writer, "]");
}

void json_add_string(JsonWriter *writer, const char *name, const char *value) {
        json_add_name(writer, name);
        json_add_quoted(writer, value);
}

void json_add_literal(JsonWriter *writer, const char *name, const char *number) {
        json_add_name(writer, name);
        text_buffer_add_string(&writer->out, number);
}

void json_add_null(JsonWriter *writer, const char *name) {
        json_add_literal(writer, name, "null");
}

void json_add_number(JsonWriter *writer, const char *name, double value) {
        if (!isfinite(value)) {
                json_add_null(writer, name);
                return;
        }
        json_add_name(writer, name);
        /* Counters and sizes stay whole: every integer that a double holds exactly. */
        if (value == trunc(value) && fabs(value) < 9007199254740992.0)
                text_buffer_add_whole(&writer->out, value);
        else
                text_buffer_printf(&writer->out, "%.10g", value);
}

void json_add_unsigned(JsonWriter *writer, const char *name, uint64_t value) {
        json_add_name(writer, name);
        text_buffer_add_unsigned(&writer->out, value, 0);
}

void json_add_boolean(JsonWriter *writer, const char *name, bool value) {
        json_add_name(writer, name);
        text_buffer_add_string(&writer->out, value ? "true" : "false");
}

void json_add_seconds(JsonWriter *writer, const char *name, uint64_t usec) {
        json_add_name(writer, name);
        text_buffer_add_unsigned(&writer->out, usec / USEC_PER_SEC, 0);
        text_buffer_add(&writer->out, ".", 1);
        text_buffer_add_unsigned(&writer->out, usec % USEC_PER_SEC, 6);
}

int json_writer_finish(JsonWriter *writer, char **ret_text, size_t *ret_length) {
        writer->needs_comma = false;
        return text_buffer_finish(&writer->out, ret_text, ret_length);
}

void json_writer_done(JsonWriter *writer) {
        text_buffer_done(&writer->out);
}
