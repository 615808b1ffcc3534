/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/judge.h"

#include "base/cleanup.h"

/* A reason is a line in a log, not a catalogue. */
#define DETAILS_LISTED 12

/* The details there are, to be named beside the one that is missing. */
static void reason_list_details(char **reason, const Sample *sample) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        char *listed;

        text_buffer_printf(&text, "%s; there are:", *reason);
        text_buffer_add_string(&text, " duration_ms");
        for (size_t i = 0; i < sample->n_details && i < DETAILS_LISTED; i++)
                text_buffer_printf(&text, " %s", detail_name(&sample->details[i]));
        if (sample->n_details > DETAILS_LISTED)
                text_buffer_add_string(&text, " ...");
        if (text_buffer_finish(&text, &listed, NULL) < 0)
                return;
        free(*reason);
        *reason = listed;
}

/* The first condition of a list that holds, or else one that cannot be judged. */
static ConditionResult judge_list(const ConditionList *list, const Sample *sample,
                                  char **ret_reason) {
        ConditionResult worst = CONDITION_FALSE;

        for (size_t i = 0; i < list->n_items; i++) {
                _cleanup_free_ char *reason = NULL;
                ConditionResult result = condition_eval(list->items[i], sample, &reason);

                if (result == CONDITION_FALSE ||
                    (worst != CONDITION_FALSE && result != CONDITION_TRUE))
                        continue;
                if (result == CONDITION_ABSENT && reason)
                        reason_list_details(&reason, sample);
                free(*ret_reason);
                *ret_reason = TAKE_PTR(reason);
                worst = result;
                if (result == CONDITION_TRUE)
                        break;
        }
        return worst;
}

Status judge_sample(const CheckSettings *settings, const Sample *sample, char **ret_reason) {
        _cleanup_free_ char *bad = NULL, *poor = NULL;
        ConditionResult unhealthy, degraded;

        *ret_reason = NULL;
        if (sample->result == SAMPLE_FAILED || sample->result == SAMPLE_UNHEALTHY ||
            sample->result == SAMPLE_INTERNAL_ERROR) {
                (void) string_replace(ret_reason, sample->error);
                return sample->result == SAMPLE_INTERNAL_ERROR ? STATUS_ERROR : STATUS_UNHEALTHY;
        }
        unhealthy = judge_list(&settings->unhealthy_when, sample, &bad);
        if (unhealthy == CONDITION_TRUE) {
                *ret_reason = TAKE_PTR(bad);
                return STATUS_UNHEALTHY;
        }
        degraded = judge_list(&settings->degraded_when, sample, &poor);
        if (unhealthy != CONDITION_FALSE ||
            (degraded != CONDITION_FALSE && degraded != CONDITION_TRUE)) {
                *ret_reason = unhealthy != CONDITION_FALSE ? TAKE_PTR(bad) : TAKE_PTR(poor);
                return STATUS_ERROR;
        }
        if (sample->result == SAMPLE_DEGRADED) {
                (void) string_replace(ret_reason, sample->error);
                return STATUS_DEGRADED;
        }
        if (degraded == CONDITION_TRUE) {
                *ret_reason = TAKE_PTR(poor);
                return STATUS_DEGRADED;
        }
        return STATUS_HEALTHY;
}
