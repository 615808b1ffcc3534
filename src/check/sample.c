/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/sample.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/prefetch.h"
#include "base/string-util.h"
#include "check/detail-names.h"

#define SAMPLE_TEXT_MAX (256 * 1024)

static void sample_forget_names(Sample *sample) {
        while (sample->n_names > sample->n_details)
                detail_name_release(sample->details[--sample->n_names].name);
}

void sample_reset(Sample *sample) {
        free(sample->error);
        sample->error = NULL;
        sample->result = SAMPLE_MEASURED;
        sample->n_details = 0;
        sample->text_size = 0;
        sample->truncated = false;
        sample->duration_usec = 0;
}

void sample_add_needs(const Sample *sample, Needs *needs) {
        needs_add(needs, sample->details, sample->n_names * sizeof(Detail));
        needs_add(needs, sample->text, CACHE_LINE);
}

void sample_done(Sample *sample) {
        sample->n_details = 0;
        sample_forget_names(sample);
        free(sample->error);
        free(sample->details);
        free(sample->text);
        *sample = (Sample){};
}

/* Copies at most length bytes with an end; returns the offset, or -1 if it does not fit. */
static int64_t sample_add_text(Sample *sample, const char *text, size_t length) {
        size_t needed = sample->text_size + length + 1, offset = sample->text_size;

        if (needed > SAMPLE_TEXT_MAX)
                return -1;
        if (needed > sample->text_allocated) {
                size_t allocated = sample->text_allocated ? sample->text_allocated : 128;
                char *grown;

                while (allocated < needed)
                        allocated *= 2;
                grown = realloc(sample->text, allocated);
                if (!grown)
                        return -1;
                sample->text = grown;
                sample->text_allocated = allocated;
        }
        memcpy(sample->text + offset, text, length);
        sample->text[offset + length] = '\0';
        sample->text_size = needed;
        return (int64_t) offset;
}

const char *detail_name(const Detail *detail) {
        return detail_name_text(detail->name);
}

const char *detail_string(const Sample *sample, const Detail *detail) {
        return sample->text + detail->string;
}

const Detail *sample_find(const Sample *sample, const char *name) {
        for (size_t i = 0; i < sample->n_details; i++) {
                const char *other = detail_name(&sample->details[i]);

                /* Called for each detail that is added: the first letter nearly always tells. */
                if (*other == *name && strcmp(other, name) == 0)
                        return &sample->details[i];
        }
        return NULL;
}

static Detail *sample_append(Sample *sample, const char *name) {
        uint32_t id;

        if (sample->n_details >= SAMPLE_DETAILS_MAX)
                return NULL;
        if (sample->n_details >= sample->details_allocated) {
                size_t allocated = sample->details_allocated ? 2 * sample->details_allocated : 8;
                Detail *grown = reallocarray(sample->details, allocated, sizeof(Detail));
                if (!grown)
                        return NULL;
                sample->details = grown;
                sample->details_allocated = allocated;
        }
        id = detail_name_take(name, strnlen(name, SAMPLE_STRING_MAX));
        if (!id)
                return NULL;
        sample_forget_names(sample);
        sample->details[sample->n_details] = (Detail){ .name = id };
        sample->n_names = ++sample->n_details;
        return &sample->details[sample->n_details - 1];
}

/* The detail that had its place the time before, if it is of that name; then no other one is. */
static Detail *sample_get_kept(Sample *sample, const char *name) {
        Detail *detail = &sample->details[sample->n_details];

        if (sample->n_details >= sample->n_names || strcmp(detail_name(detail), name) != 0)
                return NULL;
        sample->n_details++;
        return detail;
}

/* The detail of that name, made if it is new. */
static Detail *sample_get(Sample *sample, const char *name) {
        Detail *detail = sample_get_kept(sample, name);

        if (!detail)
                detail = (Detail *) sample_find(sample, name);
        if (!detail)
                detail = sample_append(sample, name);
        if (!detail)
                sample->truncated = true;
        return detail;
}

void sample_add_number(Sample *sample, const char *name, double value) {
        Detail *detail = sample_get(sample, name);

        if (!detail)
                return;
        detail->type = DETAIL_NUMBER;
        detail->number = value;
}

void sample_add_boolean(Sample *sample, const char *name, bool value) {
        Detail *detail = sample_get(sample, name);

        if (!detail)
                return;
        detail->type = DETAIL_BOOLEAN;
        detail->boolean = value;
}

void sample_add_string(Sample *sample, const char *name, const char *value) {
        size_t length = strnlen(value, SAMPLE_STRING_MAX + 1);
        int64_t offset;
        Detail *detail;

        if (length > SAMPLE_STRING_MAX) {
                sample->truncated = true;
                length = SAMPLE_STRING_MAX;
                /* Not in the middle of a UTF-8 sequence. */
                while (length > 0 && ((unsigned char) value[length] & 0xc0) == 0x80)
                        length--;
        }
        /* Text first: a detail without its string must not exist. */
        offset = sample_add_text(sample, value, length);
        detail = offset < 0 ? NULL : sample_get(sample, name);
        if (!detail) {
                sample->truncated = true;
                return;
        }
        detail->type = DETAIL_STRING;
        detail->string = (uint32_t) offset;
}

static void sample_vset_result(Sample *sample, SampleResult result, const char *format,
                               va_list arguments) __attribute__((format(printf, 3, 0)));
static void sample_vset_result(Sample *sample, SampleResult result, const char *format,
                               va_list arguments) {
        (void) string_vprintf(&sample->error, format, arguments);
        sample->result = result;
}

void sample_fail(Sample *sample, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        sample_vset_result(sample, SAMPLE_FAILED, format, arguments);
        va_end(arguments);
}

void sample_fail_internal(Sample *sample, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        sample_vset_result(sample, SAMPLE_INTERNAL_ERROR, format, arguments);
        va_end(arguments);
}

void sample_set_result(Sample *sample, SampleResult result, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        sample_vset_result(sample, result, format, arguments);
        va_end(arguments);
}
