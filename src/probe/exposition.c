/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/exposition.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Of a line, in an error. */
#define SHOWN_MAX  60
#define NUMBER_MAX 63

/* What is left of the line being read. */
typedef struct Cursor {
        const char *at, *end;
} Cursor;

static void exposition_forget_line(Exposition *exposition) {
        text_buffer_done(&exposition->partial);
        free(exposition->unescaped);
        exposition->unescaped = NULL;
}

void exposition_begin(Exposition *exposition, const ExpositionHandler *handler, void *userdata) {
        exposition_done(exposition);
        exposition->handler = handler;
        exposition->userdata = userdata;
}

void exposition_done(Exposition *exposition) {
        exposition_forget_line(exposition);
        free(exposition->error);
        exposition->error = NULL;
        exposition->n_lines = exposition->n_samples = 0;
        exposition->result = 0;
}

/* ---- what is wrong ---- */

static void exposition_refuse(Exposition *exposition, const char *line, size_t length,
                              const char *why) {
        _cleanup_free_ char *shown = strndup(line, length < SHOWN_MAX ? length : SHOWN_MAX);

        exposition->result = -EBADMSG;
        if (!shown ||
            string_printf(&exposition->error, "line %" PRIu64 " (\"%s%s\") %s", exposition->n_lines,
                          shown, length > SHOWN_MAX ? "..." : "", why) < 0)
                exposition->result = -ENOMEM;
}

/* ---- one line ---- */

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

static void cursor_skip_blanks(Cursor *cursor) {
        while (cursor->at < cursor->end && is_blank(*cursor->at))
                cursor->at++;
}

static bool cursor_is_at(const Cursor *cursor, char c) {
        return cursor->at < cursor->end && *cursor->at == c;
}

static bool cursor_take(Cursor *cursor, char c) {
        if (!cursor_is_at(cursor, c))
                return false;
        cursor->at++;
        return true;
}

size_t exposition_name_length(const char *text, size_t size, bool label) {
        size_t length = 0;

        for (; length < size; length++) {
                char c = text[length];

                if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                    (c == ':' && !label) || (c >= '0' && c <= '9' && length > 0))
                        continue;
                break;
        }
        return length;
}

/* A value between quotes, without its backslashes; *cursor is behind the opening quote. */
static const char *read_label_value(Exposition *exposition, Cursor *cursor, size_t *ret_length) {
        char *out = exposition->unescaped + exposition->unescaped_length, *start = out;

        while (cursor->at < cursor->end && *cursor->at != '"') {
                char c = *cursor->at++;

                if (c == '\\') {
                        if (cursor->at == cursor->end)
                                return NULL;
                        c = *cursor->at++;
                        if (c != '\\' && c != '"' && c != 'n')
                                return NULL;
                        if (c == 'n')
                                c = '\n';
                }
                *out++ = c;
        }
        if (!cursor_take(cursor, '"'))
                return NULL;
        exposition->unescaped_length += (size_t) (out - start);
        *ret_length = (size_t) (out - start);
        return start;
}

static const char *read_label(Exposition *exposition, Cursor *cursor) {
        ExpositionLabel *label = &exposition->labels[exposition->n_labels];

        if (exposition->n_labels == EXPOSITION_LABELS_MAX)
                return "has more labels than healthd reads";
        label->name = cursor->at;
        label->name_length = exposition_name_length(cursor->at, (size_t) (cursor->end - cursor->at),
                                                    true);
        cursor->at += label->name_length;
        cursor_skip_blanks(cursor);
        if (label->name_length == 0 || !cursor_take(cursor, '='))
                return "has a label that is not written as name=\"value\"";
        cursor_skip_blanks(cursor);
        if (!cursor_take(cursor, '"'))
                return "has a label whose value is not in quotes";
        label->value = read_label_value(exposition, cursor, &label->value_length);
        if (!label->value)
                return "has a label whose value does not end, or an escape that is none of "
                       "\\\\, \\\" and \\n";
        exposition->n_labels++;
        return NULL;
}

/* NULL, or what is wrong. *cursor is behind the "{". */
static const char *read_labels(Exposition *exposition, Cursor *cursor) {
        const char *why;

        for (;;) {
                cursor_skip_blanks(cursor);
                if (cursor_take(cursor, '}'))
                        return NULL;
                why = read_label(exposition, cursor);
                if (why)
                        return why;
                cursor_skip_blanks(cursor);
                if (!cursor_take(cursor, ',') && !cursor_is_at(cursor, '}'))
                        return "has labels that are not separated by commas, or no } after them";
        }
}

static bool read_number(Cursor *cursor, double *ret) {
        char text[NUMBER_MAX + 1], *end;
        const char *start = cursor->at;
        size_t length;

        while (cursor->at < cursor->end && !is_blank(*cursor->at))
                cursor->at++;
        length = (size_t) (cursor->at - start);
        if (length == 0 || length > NUMBER_MAX)
                return false;
        memcpy(text, start, length);
        text[length] = '\0';
        *ret = strtod(text, &end);
        return end == text + length;
}

/* What may follow a value: a time, and an exemplar, of which neither counts here. */
static bool read_trailer(Cursor *cursor) {
        double timestamp;

        cursor_skip_blanks(cursor);
        if (cursor->at == cursor->end || *cursor->at == '#')
                return true;
        if (!read_number(cursor, &timestamp))
                return false;
        cursor_skip_blanks(cursor);
        return cursor->at == cursor->end || *cursor->at == '#';
}

/* NULL, or what is wrong. *cursor is behind the name. */
static const char *read_sample(Exposition *exposition, const char *line, Cursor *cursor) {
        ExpositionSample sample = { .series = line, .labels = exposition->labels };
        const char *why;

        exposition->n_labels = exposition->unescaped_length = 0;
        sample.series_length = sample.name_length = (size_t) (cursor->at - line);
        cursor_skip_blanks(cursor);
        if (cursor_take(cursor, '{')) {
                why = read_labels(exposition, cursor);
                if (why)
                        return why;
                sample.series_length = (size_t) (cursor->at - line);
        }
        cursor_skip_blanks(cursor);
        if (!read_number(cursor, &sample.value))
                return "has no number as its value";
        if (!read_trailer(cursor))
                return "has something after its value that is no time";
        sample.n_labels = exposition->n_labels;
        exposition->handler->on_sample(&sample, exposition->userdata);
        return NULL;
}

static void exposition_read_line(Exposition *exposition, const char *line, size_t length) {
        Cursor cursor = { line, line + length };
        const char *why = NULL;
        size_t name_length;

        exposition->n_lines++;
        cursor_skip_blanks(&cursor);
        if (cursor.at == cursor.end || *cursor.at == '#')
                return;
        line = cursor.at;
        name_length = exposition_name_length(line, (size_t) (cursor.end - line), false);
        cursor.at += name_length;
        if (name_length == 0 ||
            (cursor.at < cursor.end && !is_blank(*cursor.at) && *cursor.at != '{')) {
                exposition_refuse(exposition, line, (size_t) (cursor.end - line),
                                  "is no metric in the Prometheus text format");
                return;
        }
        exposition->n_samples++;
        if (!exposition->handler->wants(line, name_length, exposition->userdata))
                return;
        if (!exposition->unescaped)
                exposition->unescaped = malloc(EXPOSITION_LINE_MAX);
        if (!exposition->unescaped) {
                exposition->result = -ENOMEM;
                return;
        }
        why = read_sample(exposition, line, &cursor);
        if (why)
                exposition_refuse(exposition, line, (size_t) (cursor.end - line), why);
}

/* ---- a body ---- */

static void exposition_keep_partial(Exposition *exposition, const char *data, size_t length) {
        TextBuffer *partial = &exposition->partial;

        if (partial->length + length <= EXPOSITION_LINE_MAX) {
                text_buffer_add(partial, data, length);
                return;
        }
        exposition->n_lines++;
        exposition_refuse(exposition, partial->length ? partial->text : data,
                          partial->length ? partial->length : length,
                          "is longer than the 64 KiB that healthd reads");
}

void exposition_read(Exposition *exposition, const char *data, size_t length) {
        TextBuffer *partial = &exposition->partial;

        while (length > 0 && exposition->result == 0) {
                const char *end = memchr(data, '\n', length);
                size_t line_length = end ? (size_t) (end - data) : length;

                if (!end || partial->length > 0 || line_length > EXPOSITION_LINE_MAX)
                        exposition_keep_partial(exposition, data, line_length);
                if (!end || exposition->result < 0)
                        break;
                if (partial->failed) {
                        exposition->result = -ENOMEM;
                        break;
                }
                if (partial->length > 0) {
                        exposition_read_line(exposition, partial->text, partial->length);
                        text_buffer_done(partial);
                } else {
                        exposition_read_line(exposition, data, line_length);
                }
                data += line_length + 1;
                length -= line_length + 1;
        }
}

int exposition_end(Exposition *exposition) {
        TextBuffer *partial = &exposition->partial;

        if (exposition->result == 0 && partial->failed)
                exposition->result = -ENOMEM;
        /* Cut off, "12345" may read "12": a line counts with its end only. "# EOF" needs none. */
        if (exposition->result == 0 && partial->length > 0 && *partial->text != '#') {
                exposition->n_lines++;
                exposition_refuse(exposition, partial->text, partial->length,
                                  "has no line feed at its end, as if the rest were cut off");
        }
        exposition_forget_line(exposition);
        return exposition->result;
}
