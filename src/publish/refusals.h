/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is refused, and in which words: answers that are made once. */

#include "publish/response.h"

/* Requests that are refused whatever they ask for. */
typedef enum Refusal {
        REFUSAL_BODY_TOO_LARGE,
        REFUSAL_URI_TOO_LONG,
        REFUSAL_HEADERS_TOO_LARGE,
        REFUSAL_METHOD,
        REFUSAL_CONTROL_METHOD,
        REFUSAL_CONTROL_PEER,
        REFUSAL_NO_SUCH_CONTROL,
        REFUSAL_EXCLUDE,
        REFUSAL_RECENT,
        REFUSAL_ALWAYS,
        REFUSAL_DETAILS,
        REFUSAL_NO_SUCH_CHECK,
        REFUSAL_NO_SUCH_GROUP,
        REFUSAL_IN_THE_CLEAR,
        REFUSAL_NO_CERTIFICATE,
        REFUSAL_CERTIFICATE_EXPIRED,
        REFUSAL_CERTIFICATE_UNTRUSTED,
        REFUSAL_NO_TOKEN,
        REFUSAL_TOKEN,
        _REFUSAL_MAX,
} Refusal;

/* Embedded in its owner, zeroed at first. */
typedef struct Refusals {
        struct MHD_Response *responses[_REFUSAL_MAX];
} Refusals;

/* Returns 0 or -ENOMEM; refusals_done() in either case. */
int refusals_init(Refusals *refusals);
void refusals_done(Refusals *refusals);

/* As endpoints_set_closing(). */
void refusals_set_closing(Refusals *refusals);

Answer refusals_answer(const Refusals *refusals, Refusal refusal);
