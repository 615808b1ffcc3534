/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A body that is made piece by piece. What thousands of checks have to say is megabytes, and takes
 * longer to write than the loop may be held up. Between two pieces anything may happen, a reload
 * too: so a body keeps names, never checks.
 */

#include <stdint.h>

#include "base/string-util.h"

/* With more checks than this, what is said of all of them is made in pieces. */
#define BODY_WHOLE_CHECKS 500
/* Checks a piece. */
#define BODY_PIECE_CHECKS 32

typedef struct BodyType {
        /* Adds the next piece. Returns 1 if there is more, 0 after the last one, or -ENOMEM. */
        int (*write)(void *body, uint64_t now_usec, TextBuffer *out);
        void (*free)(void *body);
} BodyType;

typedef struct Body {
        const BodyType *type; /* NULL: none */
        void *body;           /* owned */
} Body;

static inline void body_done(Body *body) {
        if (body->type)
                body->type->free(body->body);
        *body = (Body){};
}
