/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a program wrote that answers in JSON, such as our own helpers: the first byte says how it
 * ended, up to a NUL follows its standard error, the rest is its standard output.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "probe/plugin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte: how a program can end. */
static const ChildResult ends[] = {
        {},
        { .exit_status = 1 },
        { .exit_status = 126 },
        { .exit_status = 127 },
        { .signal = 9 },
        { .signal = 64 },
        { .output_truncated = true },
        { .output_truncated = true, .output_endless = true },
        { .error = -2 },
        { .error = -12 },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(sample_done) Sample sample = {};
        _cleanup_free_ char *output = NULL, *errors = NULL;
        const char *text = (const char *) data + 1, *end;
        ChildResult result;

        if (size < 1)
                return 0;
        result = ends[(data[0] + 256U - '0') % ELEMENTS(ends)];
        end = memchr(text, '\0', size - 1) ?: text;
        errors = strndup(text, (size_t) (end - text));
        text += end > text ? end - text + 1 : 0;
        result.output_length = size - (size_t) (text - (const char *) data);
        output = malloc(result.output_length + 1);
        if (!output || !errors)
                return 0;
        memcpy(output, text, result.output_length);
        output[result.output_length] = '\0';
        result.output = output;
        errors[strnlen(errors, CHILD_ERRORS_MAX)] = '\0';
        result.errors = errors;

        plugin_read_json(&result, "/usr/lib/plugin", &sample);
        if (sample.result != SAMPLE_MEASURED && !sample.error)
                abort(); /* bad without saying why */
        for (size_t i = 0; i < sample.n_details; i++)
                if (sample.details[i].type == DETAIL_NUMBER && !isfinite(sample.details[i].number))
                        abort();
        return 0;
}
