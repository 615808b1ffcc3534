/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Two label values of any bytes, apart by a NUL, as /metrics writes them: what reads metrics gets
 * them back, made valid UTF-8, and nothing else. In both dialects.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "probe/exposition.h"
#include "report/metrics-writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Three times as long it still fits into a line. */
#define SIZE_MAX_FED ((size_t) 16 * 1024)

/* Names of labels, and what their values must be read as. */
static const char *const names[] = { "check", "name" };

typedef struct Expected {
        char *values[2];
        size_t lengths[2];
        double value;
        unsigned n_samples;
} Expected;

/*
 * Bytes of the character at text, 0 if it is none. By the code point and not by the bytes, so that
 * it shares no mistake with what the writer uses.
 */
static size_t character_length(const unsigned char *text, size_t size) {
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t length = 1;
        uint32_t point;

        if (*text < 0x80)
                return 1;
        while (length < 5 && (*text << length) & 0x80)
                length++;
        if (length < 2 || length > 4 || length > size)
                return 0;
        point = *text & (0x7fU >> length);
        for (size_t i = 1; i < length; i++) {
                if (text[i] >> 6 != 2)
                        return 0;
                point = point << 6 | (text[i] & 0x3f);
        }
        if (point < smallest[length] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
                return 0;
        return length;
}

static char *make_valid(const char *text, size_t *ret_length) {
        _cleanup_(text_buffer_done) TextBuffer buffer = {};
        size_t left = strlen(text), length;
        char *made;

        for (; left > 0; text += length, left -= length) {
                length = character_length((const unsigned char *) text, left);
                if (length > 0) {
                        text_buffer_add(&buffer, text, length);
                } else {
                        text_buffer_add_string(&buffer, "\xef\xbf\xbd");
                        length = 1;
                }
        }
        if (text_buffer_finish(&buffer, &made, ret_length) < 0)
                abort();
        return made;
}

static bool wants_all(const char *name, size_t length, void *userdata) {
        (void) name;
        (void) length;
        (void) userdata;
        return true;
}

static void on_sample(const ExpositionSample *sample, void *userdata) {
        Expected *expected = userdata;

        expected->n_samples++;
        if (sample->n_labels != ELEMENTS(names) || sample->value != expected->value)
                abort();
        for (size_t i = 0; i < ELEMENTS(names); i++) {
                const ExpositionLabel *label = &sample->labels[i];

                if (label->name_length != strlen(names[i]) ||
                    memcmp(label->name, names[i], label->name_length) != 0 ||
                    label->value_length != expected->lengths[i] ||
                    memcmp(label->value, expected->values[i], label->value_length) != 0)
                        abort();
        }
}

static const ExpositionHandler handler = { wants_all, on_sample };

static void write_and_read(MetricsDialect dialect, const char *first, const char *second,
                           Expected *expected) {
        static const MetricFamily family = { "healthd_check_value", METRIC_GAUGE, NULL, "Tested." };
        const MetricLabel labels[] = { { names[0], first }, { names[1], second }, {} };
        _cleanup_(metrics_writer_done) MetricsWriter writer = { .dialect = dialect };
        _cleanup_(exposition_done) Exposition exposition = {};
        _cleanup_free_ char *text = NULL;
        size_t length;

        metrics_begin_family(&writer, &family);
        metrics_add(&writer, labels, expected->value);
        metrics_end(&writer);
        if (text_buffer_finish(&writer.out, &text, &length) < 0)
                abort();
        expected->n_samples = 0;
        exposition_begin(&exposition, &handler, expected);
        exposition_read(&exposition, text, length);
        if (exposition_end(&exposition) < 0 || expected->n_samples != 1)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *first = NULL, *second = NULL, *valid = NULL, *also_valid = NULL;
        Expected expected = { .value = 42 };
        size_t length;

        if (size > SIZE_MAX_FED)
                return 0;
        first = strndup((const char *) data, size);
        if (!first)
                abort();
        length = strlen(first);
        second = length < size ? strndup((const char *) data + length + 1, size - length - 1)
                               : strdup("");
        if (!second)
                abort();
        expected.values[0] = valid = make_valid(first, &expected.lengths[0]);
        expected.values[1] = also_valid = make_valid(second, &expected.lengths[1]);
        for (MetricsDialect dialect = 0; dialect < _METRICS_DIALECT_MAX; dialect++)
                write_and_read(dialect, first, second, &expected);
        return 0;
}
