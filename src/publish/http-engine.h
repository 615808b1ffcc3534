/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A daemon of libmicrohttpd on our loop: it has no listening socket and no thread, and runs when
 * one of its connections has something for it. One speaks HTTP in the clear or by TLS, not both.
 */

#include <microhttpd.h>
#include <systemd/sd-event.h>

#include "io/runtime.h"

typedef struct HttpEngine HttpEngine;

/* There is something to do: call http_engine_run(). The engine may be gone afterwards. */
typedef void (*HttpEngineHandler)(HttpEngine *engine, void *userdata);

/* Embedded in its owner; all zero: not started. */
struct HttpEngine {
        struct MHD_Daemon *daemon;
        sd_event_source *io_source;
        Timer again_timer; /* it has work left that no descriptor announces, or says so */
        const uint64_t *n_requests;
        bool counts_moves;
        uint64_t n_moves; /* by TLS: how often a socket gave or took bytes; see http_tls_begin() */
        HttpEngineHandler on_ready;
        void *userdata;
};

/* What an engine is started with; userdata is for both. */
typedef struct HttpEngineSettings {
        unsigned flags; /* MHD_USE_TLS, or 0 */
        MHD_AccessHandlerCallback on_request;
        const struct MHD_OptionItem *options; /* ends with MHD_OPTION_END */
        HttpEngineHandler on_ready;
        void *userdata;
} HttpEngineSettings;

/* Returns 0 or a negative errno; then it is as before. */
int http_engine_start(HttpEngine *engine, Runtime *runtime, const HttpEngineSettings *settings);

/*
 * Goes on while it finds something to do: under load the next requests are there already, and
 * asking for them costs less than a turn of the loop.
 */
void http_engine_run(HttpEngine *engine);

/*
 * After a connection was added: what it has asked already is answered before another one is
 * accepted. A connection that waits in systemd's socket outlives a SIGKILL of ours, an accepted one
 * does not. Since 1.0 libmicrohttpd also needs it to start the connection. on_ready is called
 * before the turn of the loop ends, for what is left to do.
 */
void http_engine_begin(HttpEngine *engine);

/* Ends every connection at once. */
void http_engine_stop(HttpEngine *engine);
