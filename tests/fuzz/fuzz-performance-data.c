/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The whole output of a Nagios plug-in, cut up and its values read. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "probe/nagios-performance.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void value_check(const PerformanceValue *value) {
        size_t length = strlen(value->label);

        if (length == 0 || length > PERFORMANCE_LABEL_MAX || !isfinite(value->value) ||
            isnan(value->warning.start) || isnan(value->critical.end))
                abort();
        for (size_t i = 0, n = 0; i < length; i += n) {
                n = utf8_sequence_length(value->label + i, length - i);
                if (n == 0 || strchr(" \t<>=!~\"'", value->label[i]))
                        abort(); /* no condition can name it */
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size);
        PerformanceValue value;
        NagiosOutput output;

        if (!text)
                return 0;
        nagios_output_split(text, &output);
        for (size_t i = 0; i < ELEMENTS(output.performance); i++)
                for (const char *rest = output.performance[i]; performance_next(&rest, &value);)
                        value_check(&value);
        return 0;
}
