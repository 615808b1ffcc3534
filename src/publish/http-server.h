/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Serves the endpoints on listening sockets that systemd or --listen= opened, with libmicrohttpd
 * on the loop. A GET never runs a check. What changes something is asked for by POST, over unix
 * sockets only.
 */

#include "io/runtime.h"
#include "publish/control.h"
#include "publish/http-gate.h"
#include "report/health-json.h"

typedef struct HttpServer HttpServer;

/*
 * Who sees more than statuses. Local: unix sockets and loopback peers; authenticated: these, and
 * whoever has shown a certificate or a token.
 */
typedef enum DetailsPolicy {
        DETAILS_LOCAL,
        DETAILS_ALWAYS,
        DETAILS_NEVER,
        DETAILS_AUTHENTICATED,
} DetailsPolicy;

/* runtime and view are borrowed. Looks a group up, which may block: for the start only. */
int http_server_new(Runtime *runtime, const HealthView *view, HttpServer **ret);
/* Ends open connections at once; never from inside one of its callbacks but on_drained. */
HttpServer *http_server_free(HttpServer *server);

void http_server_set_details(HttpServer *server, DetailsPolicy policy);

/*
 * Who may come in over TCP from now on; takes the gate over, on success only. Open connections stay
 * open; their next request is let in or not by the new gate. Returns 0 or a negative errno.
 */
int http_server_set_gate(HttpServer *server, HttpGate *gate);

/* Who does what peers who may ask for it ask for; called from the loop. */
void http_server_set_control_handler(HttpServer *server, ControlHandler handler, void *userdata);

/*
 * Called from the loop when listening pauses because descriptors or memory ran out (error:
 * -EMFILE, -ENFILE, -ENOBUFS or -ENOMEM); once until everybody who waited was let in.
 */
void http_server_set_shortage_handler(HttpServer *server,
                                      void (*on_shortage)(int error, void *userdata),
                                      void *userdata);

/*
 * Takes a listening stream socket (unix or TCP) over, on success only, and serves on it.
 * Returns 0, -ENOTSOCK or -EINVAL if fd is no such socket, or another negative errno.
 */
int http_server_add_listener(HttpServer *server, int fd);

/*
 * Opens, binds and listens on "host:port", "[::1]:port" or "/path" (numeric hosts and localhost
 * only). *ret_error says what went wrong and what to do, to a new string that may be NULL.
 */
int http_server_listen(HttpServer *server, const char *address, char **ret_error);

/* How many listeners there are. */
size_t http_server_listeners(const HttpServer *server);

/*
 * A clean stop: accepts nothing more, lets requests that have begun be answered, closes what idles
 * a tenth of a second later (a request may be on its way). on_drained is called from the loop when
 * the last connection is gone, at once if there is none; the caller bounds the wait.
 */
void http_server_drain(HttpServer *server, void (*on_drained)(void *userdata), void *userdata);
