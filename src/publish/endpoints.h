/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is answered under which path. Knows nothing of sockets. A rendered answer serves every
 * request until the state changes or a second has passed.
 */

#include <microhttpd.h>

#include "publish/control.h"
#include "publish/refusals.h"
#include "report/health-json.h"

typedef struct Endpoints Endpoints;

/* view is borrowed. Returns 0 or a negative errno. */
int endpoints_new(const HealthView *view, Endpoints **ret);
Endpoints *endpoints_free(Endpoints *endpoints);

/* The daemon is going: every answer from now on asks the client to close its connection. */
void endpoints_set_closing(Endpoints *endpoints);

/* path: unescaped, without the query. details: whether the reader may see more than statuses. */
Answer endpoints_answer(Endpoints *endpoints, struct MHD_Connection *connection, const char *method,
                        const char *path, bool details, uint64_t now_usec);

/* A request below CONTROL_PREFIX, whole. */
typedef struct ControlCall {
        const char *method;
        const char *path;
        const char *body; /* size bytes */
        size_t size;
        bool heard;   /* uid may ask for this */
        bool trusted; /* ... and for anything else */
        uid_t uid;
} ControlCall;

/* Who does what is asked below CONTROL_PREFIX. */
void endpoints_set_control_handler(Endpoints *endpoints, ControlHandler handler, void *userdata);
Answer endpoints_control(Endpoints *endpoints, const ControlCall *call);
Answer endpoints_refuse(const Endpoints *endpoints, Refusal refusal);
