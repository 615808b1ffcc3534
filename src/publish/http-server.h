/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Serves the endpoints on listening sockets that systemd or --listen= opened, with libmicrohttpd
 * on the loop. A GET never runs a check.
 */

#include "io/runtime.h"
#include "report/health-json.h"

typedef struct HttpServer HttpServer;

/* Who sees more than statuses; local: unix sockets and loopback peers. */
typedef enum DetailsPolicy {
        DETAILS_LOCAL,
        DETAILS_ALWAYS,
        DETAILS_NEVER,
} DetailsPolicy;

int http_server_new(Runtime *runtime, const HealthView *view, HttpServer **ret);
HttpServer *http_server_free(HttpServer *server);

void http_server_set_details(HttpServer *server, DetailsPolicy policy);

/* Takes a listening stream socket (unix or TCP) over and serves on it. */
int http_server_add_listener(HttpServer *server, int fd);

/* Opens, binds and listens on "host:port", "[::1]:port" or "/path" (numeric hosts and localhost only). */
int http_server_listen(HttpServer *server, const char *address, char **ret_error);

/* How many listeners there are. */
size_t http_server_listeners(const HttpServer *server);

/*
 * A clean stop: accepts nothing more, lets requests that have begun be answered. on_drained is
 * called from the loop when the last is, at once if there is none; the caller bounds the wait.
 */
void http_server_drain(HttpServer *server, void (*on_drained)(void *userdata), void *userdata);
