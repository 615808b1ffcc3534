/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * "queue_size >= 1000 and consumers == 0", judged against a sample's details. A value may have a
 * unit where that is plain: 85%, 10K, 1.5G (powers of 1024). Every sample has a "duration_ms".
 * A number that is NaN meets no comparison, not even "!=".
 */

#include "base/string-util.h"
#include "check/sample.h"

typedef struct Condition Condition;

typedef enum ConditionResult {
        CONDITION_FALSE,
        CONDITION_TRUE,
        CONDITION_ABSENT,   /* a detail it names is not in the sample */
        CONDITION_MISMATCH, /* "<" on a string, or a number against a word */
} ConditionResult;

/*
 * Parses a line. On -EINVAL sets *ret_why (owned by the caller) to what is wrong and what was
 * meant. Returns 0, -EINVAL or -ENOMEM.
 */
int condition_parse(const char *text, Condition **ret, char **ret_why);
Condition *condition_free(Condition *condition);

/* Appends the names of the details it asks for. Returns 0 or -ENOMEM. */
int condition_add_names(const Condition *condition, StringList *names);

/*
 * Judges. For anything but CONDITION_FALSE *ret_reason says it for people, to a new string that
 * may be NULL if memory is short: "query_result > 10 (is 42)".
 */
ConditionResult condition_eval(const Condition *condition, const Sample *sample, char **ret_reason);
