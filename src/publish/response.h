/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Responses of libmicrohttpd with the headers that all of ours have. */

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "report/body.h"

#define JSON_MEDIA_TYPE "application/json"
#define OTHER_ENDPOINT  "other" /* whatever a client makes up is one endpoint to the counters */

/* An answer is borrowed from who gave it until the next call; MHD_queue_response() keeps it. */
typedef struct Answer {
        unsigned status;
        struct MHD_Response *response; /* NULL: out of memory */
        const char *endpoint;          /* the route's path, for the counters */
        bool in_pieces;                /* it is long, and made while it is sent */
} Answer;

/* Takes text over if mode is MHD_RESPMEM_MUST_FREE, also on failure. Returns NULL for -ENOMEM. */
struct MHD_Response *response_new(const char *text, size_t length, enum MHD_ResponseMemoryMode mode,
                                  const char *content_type, const char *cache_control);

/* Takes the body over, also on failure. Such a response serves one request. */
struct MHD_Response *response_new_in_pieces(Body *body, const char *content_type,
                                            const char *cache_control);

/* Accepts NULL. */
void response_free(struct MHD_Response *response);

/* Returns 0 or -ENOMEM. */
int response_add_header(struct MHD_Response *response, const char *name, const char *value);

/* Asks the client to close its connection; accepts NULL. */
void response_set_closing(struct MHD_Response *response);
