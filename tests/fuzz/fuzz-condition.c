/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Conditions as they stand in a file, judged against a sample with every type of detail. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/condition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size);
        _cleanup_free_ char *why = NULL, *reason = NULL;
        _cleanup_(string_list_freep) StringList names = NULL;
        _cleanup_(sample_done) Sample sample = {};
        Condition *condition = NULL;

        /* The C library needs gigabytes for "a++++++": its regular expressions are not tested. */
        if (!text || size > 4096 || strpbrk(text, "({*+?"))
                return 0;
        sample_add_number(&sample, "n", 42);
        sample_add_string(&sample, "s", "text");
        sample_add_boolean(&sample, "b", true);
        if (condition_parse(text, &condition, &why) >= 0) {
                (void) condition_eval(condition, &sample, &reason);
                (void) condition_add_names(condition, &names);
        } else if (!why) {
                abort(); /* refused without saying why */
        }
        condition_free(condition);
        return 0;
}
