/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/http-server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "publish/http-connection.h"
#include "publish/listen-socket.h"

#define SWEEP_USEC        USEC_PER_SEC
#define DRAIN_SWEEP_USEC  (50 * USEC_PER_MSEC)
#define DRAIN_IDLE_USEC   (100 * USEC_PER_MSEC)

/*
 * What libmicrohttpd keeps a request in, and starts by reading into half of. Beyond it the answer
 * is its own page, so it must hold more than what is refused with one of ours.
 */
#define CONNECTION_MEMORY ((size_t) 24 * 1024)

/* libmicrohttpd says that a connection starts or is gone. */
static void http_server_on_connection(void *userdata, struct MHD_Connection *mhd, void **context,
                                      enum MHD_ConnectionNotificationCode what) {
        HttpServer *server = userdata;
        HttpConnection *connection;

        if (what != MHD_CONNECTION_NOTIFY_STARTED) {
                if (*context)
                        http_connection_free(TAKE_PTR(*context));
                return;
        }
        connection = *context = TAKE_PTR(server->adding);
        if (connection->tls)
                (void) http_tls_begin(connection->tls, mhd, &connection->transport);
}

static void http_server_arm_sweep(HttpServer *server) {
        uint64_t pause_usec = server->drain_usec > 0 ? DRAIN_SWEEP_USEC : SWEEP_USEC;

        if (server->connections)
                (void) timer_arm_after(&server->sweep_timer, pause_usec);
}

/* libmicrohttpd knows idle connections only; whoever is slow on purpose is never idle. */
static void http_server_on_sweep(Timer *timer, void *userdata) {
        HttpServer *server = userdata;
        uint64_t now_usec = now_monotonic_usec();
        bool close_idle = server->drain_usec > 0 &&
                          now_usec >= server->drain_usec + DRAIN_IDLE_USEC;

        (void) timer;
        for (HttpConnection *connection = server->connections; connection;
             connection = connection->next)
                if (now_usec >= connection->begun_usec + http_connection_limit_usec(connection) ||
                    (close_idle && !connection->busy))
                        (void) shutdown(connection->fd, SHUT_RDWR);
        http_server_arm_sweep(server);
}

/* Nobody is served by less than what was configured: neither in the clear nor without being asked.
 */
static int http_server_on_peer(const Peer *peer, void *userdata) {
        HttpServer *server = userdata;
        bool over_tcp = peer->kind == PEER_TCP;
        HttpEngine *engine = over_tcp && server->gate.tls ? &server->tls : &server->plain;

        server->adding = over_tcp && server->gate.closed ? NULL : http_connection_new(server, peer);
        if (!server->adding) {
                close(peer->fd);
                http_listeners_release(&server->listeners, peer->kind);
                return over_tcp && server->gate.closed ? 0 : -ENOMEM;
        }
        if (engine == &server->tls)
                server->adding->tls = http_tls_ref(server->gate.tls);
        if (!timer_is_armed(&server->sweep_timer))
                http_server_arm_sweep(server);
        if (MHD_add_connection(engine->daemon, peer->fd, (const struct sockaddr *) &peer->address,
                               peer->address_length) == MHD_YES) {
                server->now_usec = now_monotonic_usec();
                http_engine_begin(engine);
                if (!server->adding)
                        return 0;
        }
        /* It closed the descriptor; and if it had said that the connection starts, that it is gone.
         */
        if (server->adding)
                http_connection_free(TAKE_PTR(server->adding));
        return -ENOMEM;
}

/* The last thing a turn does: on_drained may free the server. */
static void http_server_check_drained(HttpServer *server) {
        if (server->drain_usec > 0 && !server->connections && server->on_drained)
                TAKE_PTR(server->on_drained)(server->drained_userdata);
}

static void http_server_on_engine(HttpEngine *engine, void *userdata) {
        HttpServer *server = userdata;

        server->now_usec = now_monotonic_usec();
        http_engine_run(engine);
        http_server_check_drained(server);
}

HttpServer *http_server_free(HttpServer *server) {
        if (!server)
                return NULL;
        http_listeners_done(&server->listeners);
        /* Ends every connection, through http_server_on_connection(). */
        http_engine_stop(&server->plain);
        http_engine_stop(&server->tls);
        assert(!server->connections);
        timer_disarm(&server->sweep_timer);
        endpoints_free(server->endpoints);
        http_gate_done(&server->gate);
        free(server);
        return NULL;
}
DEFINE_CLEANUP(HttpServer, http_server_free)

static int http_server_start_engine(HttpServer *server, HttpEngine *engine) {
        bool tls = engine == &server->tls;
        const struct MHD_OptionItem options[] = {
                { MHD_OPTION_CONNECTION_LIMIT, _PEER_MAX * CONNECTIONS_MAX, NULL },
                { MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL },
                { MHD_OPTION_NOTIFY_CONNECTION, (intptr_t) http_server_on_connection, server },
                { MHD_OPTION_NOTIFY_COMPLETED, (intptr_t) http_connection_on_completed, server },
                { MHD_OPTION_URI_LOG_CALLBACK, (intptr_t) http_connection_on_request_line, server },
                tls ? http_tls_option() : (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL },
                { MHD_OPTION_END, 0, NULL },
        };
        const HttpEngineSettings settings = {
                .flags = tls ? MHD_USE_TLS : 0,
                .on_request = http_connection_on_request,
                .options = options,
                .on_ready = http_server_on_engine,
                .userdata = server,
        };

        return http_engine_start(engine, server->runtime, &settings);
}

int http_server_new(Runtime *runtime, const HealthView *view, HttpServer **ret) {
        _cleanup_(http_server_freep) HttpServer *server = calloc(1, sizeof(HttpServer));
        int r;

        if (!server)
                return -ENOMEM;
        server->runtime = runtime;
        http_listeners_init(&server->listeners, runtime, http_server_on_peer, server);
        timer_init(&server->sweep_timer, runtime->scheduler, http_server_on_sweep, server);
        control_access_init(&server->access);
        r = endpoints_new(view, &server->endpoints);
        if (r < 0)
                return r;
        r = http_server_start_engine(server, &server->plain);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(server);
        return 0;
}

void http_server_set_details(HttpServer *server, DetailsPolicy policy) {
        server->details = policy;
}

int http_server_set_gate(HttpServer *server, HttpGate *gate) {
        int r;

        if (gate->tls && !server->tls.daemon) {
                r = http_server_start_engine(server, &server->tls);
                if (r < 0)
                        return r;
        }
        /* Connections hold what they began with, and their next request is judged by the new. */
        http_gate_done(&server->gate);
        server->gate = *gate;
        server->runtime->statistics.certificate_expires = gate->tls ? http_tls_expires(gate->tls)
                                                                    : 0;
        *gate = (HttpGate){};
        return 0;
}

void http_server_set_control_handler(HttpServer *server, ControlHandler handler, void *userdata) {
        endpoints_set_control_handler(server->endpoints, handler, userdata);
}

void http_server_set_shortage_handler(HttpServer *server,
                                      void (*on_shortage)(int error, void *userdata),
                                      void *userdata) {
        server->listeners.on_shortage = on_shortage;
        server->listeners.shortage_userdata = userdata;
}

int http_server_add_listener(HttpServer *server, int fd) {
        return http_listeners_add(&server->listeners, fd, NULL);
}

int http_server_listen(HttpServer *server, const char *address, char **ret_error) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        r = listen_socket_open(address, &fd, &path, ret_error);
        if (r < 0)
                return r;
        r = http_listeners_add(&server->listeners, fd, path);
        if (r < 0) {
                if (path)
                        (void) unlink(path);
                (void) string_printf(ret_error, "cannot serve on %s: %s", address, strerror(-r));
                return r;
        }
        (void) TAKE_FD(fd);
        return 0;
}

size_t http_server_listeners(const HttpServer *server) {
        return server->listeners.n_items;
}

void http_server_drain(HttpServer *server, void (*on_drained)(void *userdata), void *userdata) {
        server->on_drained = on_drained;
        server->drained_userdata = userdata;
        server->drain_usec = now_monotonic_usec();
        endpoints_set_closing(server->endpoints);
        http_listeners_done(&server->listeners);
        /* What has been sent already counts as begun. */
        server->now_usec = now_monotonic_usec();
        http_engine_run(&server->plain);
        http_engine_run(&server->tls);
        http_server_arm_sweep(server);
        http_server_check_drained(server);
}
