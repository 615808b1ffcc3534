/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/http-server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "publish/endpoints.h"
#include "publish/http-engine.h"
#include "publish/http-listener.h"
#include "publish/listen-socket.h"

#define URI_MAX           1024
#define HEADERS_MAX       (8 * 1024)
#define BODY_MAX          (64 * 1024)
/* A body that was not announced is read to its end to be refused, but not for ever. */
#define SWALLOWED_MAX     (1024 * 1024)
#define REQUEST_USEC      (10 * USEC_PER_SEC)
#define IDLE_USEC         (30 * USEC_PER_SEC)
#define PIECES_USEC       (60 * USEC_PER_SEC) /* for what is megabytes */
#define SWEEP_USEC        USEC_PER_SEC
#define DRAIN_SWEEP_USEC  (50 * USEC_PER_MSEC)
#define DRAIN_IDLE_USEC   (100 * USEC_PER_MSEC)
#define JUDGE_USEC        USEC_PER_MIN /* so long a verdict on a certificate holds */

/*
 * What libmicrohttpd keeps a request in, and starts by reading into half of. Beyond it the answer
 * is its own page, so it must hold more than what is refused with one of ours.
 */
#define CONNECTION_MEMORY ((size_t) 24 * 1024)

typedef struct HttpConnection HttpConnection;
struct HttpConnection {
        HttpServer *server;
        HttpConnection *previous, *next;
        int fd; /* libmicrohttpd's */
        PeerKind kind;
        bool local;
        HttpTls *tls; /* what it began with; NULL: in the clear */
        HttpTlsTransport transport;
        HttpTls *judge; /* who judged the client's certificate; NULL: nobody yet */
        TlsPeer verdict;
        uint64_t judged_usec;
        uint64_t begun_usec; /* accepted, or asked, or the previous answer was complete */
        bool served;         /* it has had an answer and may idle for a while */
        /* Of the request under way. */
        bool busy;
        bool in_pieces; /* its answer is */
        bool headers_seen;
        bool uri_too_long;
        size_t body_size;
        bool controls; /* it asks for something to be done */
        bool heard;    /* uid may ask for this */
        bool trusted;  /* ... and for anything else */
        uid_t uid;
        TextBuffer body; /* kept only of those who are heard */
};

struct HttpServer {
        Runtime *runtime;
        DetailsPolicy details;
        ControlAccess access;
        HttpGate gate;
        Endpoints *endpoints;
        HttpListeners listeners;
        HttpEngine plain;
        HttpEngine tls; /* started when it is needed */
        HttpConnection *connections;
        HttpConnection *adding; /* while MHD_add_connection() runs */
        Timer sweep_timer;      /* armed while there are connections */
        uint64_t now_usec;      /* of this turn of the loop */
        uint64_t drain_usec;    /* since when it drains, or 0 */
        void (*on_drained)(void *userdata);
        void *drained_userdata;
};

static void http_connection_free(HttpConnection *connection) {
        HttpServer *server = connection->server;

        if (connection->previous)
                connection->previous->next = connection->next;
        else
                server->connections = connection->next;
        if (connection->next)
                connection->next->previous = connection->previous;
        http_listeners_release(&server->listeners, connection->kind);
        text_buffer_done(&connection->body);
        http_tls_unref(connection->tls);
        http_tls_unref(connection->judge);
        free(connection);
}

static HttpConnection *http_connection_new(HttpServer *server, const Peer *peer) {
        HttpConnection *connection = calloc(1, sizeof(HttpConnection));

        if (!connection)
                return NULL;
        *connection = (HttpConnection){
                .server = server,
                .next = server->connections,
                .fd = peer->fd,
                .transport = { peer->fd, &server->tls.n_moves },
                .kind = peer->kind,
                .local = peer->local,
                .begun_usec = now_monotonic_usec(),
        };
        if (connection->next)
                connection->next->previous = connection;
        server->connections = connection;
        return connection;
}

/* Of one that was let in. */
static bool http_connection_sees_details(const HttpConnection *connection) {
        switch (connection->server->details) {
        case DETAILS_LOCAL:
                return connection->local;
        case DETAILS_AUTHENTICATED:
                return connection->local || http_gate_authenticates(&connection->server->gate);
        case DETAILS_ALWAYS:
                return true;
        case DETAILS_NEVER:
                return false;
        }
        return false;
}

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

/* The request line is there. What is returned comes back as the request's context. */
static void *http_server_on_request_line(void *userdata, const char *uri,
                                         struct MHD_Connection *mhd) {
        HttpConnection *connection;

        (void) userdata;
        connection = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
                                     ->socket_context;
        connection->busy = true;
        connection->in_pieces = false;
        connection->begun_usec = connection->server->now_usec;
        connection->headers_seen = false;
        connection->body_size = 0;
        connection->controls = false;
        connection->heard = false;
        connection->trusted = false;
        connection->uri_too_long = uri && strnlen(uri, URI_MAX + 1) > URI_MAX;
        return connection;
}

static void http_server_on_completed(void *userdata, struct MHD_Connection *mhd, void **context,
                                     enum MHD_RequestTerminationCode code) {
        HttpServer *server = userdata;
        HttpConnection *connection = *context;

        (void) mhd;
        (void) code;
        text_buffer_done(&connection->body);
        connection->body = (TextBuffer){};
        connection->busy = false;
        connection->in_pieces = false;
        connection->served = true;
        connection->begun_usec = server->now_usec;
}

static void http_connection_count(const HttpConnection *connection, const Answer *answer) {
        Statistics *statistics = &connection->server->runtime->statistics;
        unsigned status = answer->status;
        char code[] = { (char) ('0' + status / 100), (char) ('0' + status / 10 % 10),
                        (char) ('0' + status % 10), '\0' };

        statistics->requests++;
        counters_add(&statistics->answers, answer->endpoint ? answer->endpoint : "", code);
        durations_push(&statistics->answer_durations,
                       now_monotonic_usec() - connection->begun_usec);
}

static enum MHD_Result http_connection_queue(HttpConnection *connection, struct MHD_Connection *mhd,
                                             Answer answer) {
        http_connection_count(connection, &answer);
        connection->in_pieces = answer.in_pieces;
        /* Out of memory: the connection is closed. */
        return answer.response ? MHD_queue_response(mhd, answer.status, answer.response) : MHD_NO;
}

static void http_connection_judge_peer(HttpConnection *connection, const char *path) {
        ControlVerb verb;

        connection->controls = true;
        connection->heard = connection->kind == PEER_UNIX && control_find_verb(path, &verb) >= 0 &&
                            control_access_check(&connection->server->access, connection->fd,
                                                 &connection->uid, &connection->trusted) >= 0 &&
                            (connection->trusted || control_is_open(verb));
}

/* A verdict is no longer worth anything once there are other authorities, and grows old. */
static TlsPeer http_connection_judge_certificate(HttpConnection *connection,
                                                 struct MHD_Connection *mhd) {
        HttpServer *server = connection->server;

        if (connection->judge == server->gate.tls &&
            server->now_usec < connection->judged_usec + JUDGE_USEC)
                return connection->verdict;
        connection->verdict = http_tls_judge(server->gate.tls, mhd);
        connection->judged_usec = server->now_usec;
        /* After the judgement, which the session's use of the former one ends with. */
        http_tls_unref(connection->judge);
        connection->judge = http_tls_ref(server->gate.tls);
        return connection->verdict;
}

/* Whether a request is to be answered at all; sets *ret_refusal if it is not. */
static bool http_connection_is_admitted(HttpConnection *connection, struct MHD_Connection *mhd,
                                        Refusal *ret_refusal) {
        static const Refusal refusals[] = {
                [TLS_PEER_WITHOUT_CERTIFICATE] = REFUSAL_NO_CERTIFICATE,
                [TLS_PEER_EXPIRED] = REFUSAL_CERTIFICATE_EXPIRED,
                [TLS_PEER_UNTRUSTED] = REFUSAL_CERTIFICATE_UNTRUSTED,
        };
        const HttpGate *gate = &connection->server->gate;
        const char *authorization;

        if (connection->kind != PEER_TCP)
                return true;
        if (gate->tls && !connection->tls) {
                /* It was open when a reload has brought TLS. */
                *ret_refusal = REFUSAL_IN_THE_CLEAR;
                return false;
        }
        if (gate->tls && http_tls_asks_clients(gate->tls)) {
                TlsPeer peer = http_connection_judge_certificate(connection, mhd);

                if (peer != TLS_PEER_TRUSTED) {
                        *ret_refusal = refusals[peer];
                        return false;
                }
        }
        if (!gate->tokens)
                return true;
        authorization = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND,
                                                    MHD_HTTP_HEADER_AUTHORIZATION);
        *ret_refusal = authorization ? REFUSAL_TOKEN : REFUSAL_NO_TOKEN;
        return http_gate_knows_token(gate, authorization);
}

/*
 * Who may not come in is told so before anything of a body is read, which ends the connection. The
 * body of others is read to its end before an answer, so one that is announced as large is refused.
 */
static enum MHD_Result http_connection_on_headers(HttpConnection *connection,
                                                  struct MHD_Connection *mhd, const char *path) {
        const char *length = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND,
                                                         MHD_HTTP_HEADER_CONTENT_LENGTH);
        Refusal refusal;

        connection->headers_seen = true;
        if (!http_connection_is_admitted(connection, mhd, &refusal))
                return http_connection_queue(
                                connection, mhd,
                                endpoints_refuse(connection->server->endpoints, refusal));
        if (string_after_prefix(path, CONTROL_PREFIX))
                http_connection_judge_peer(connection, path);
        if (!length || strtoull(length, NULL, 10) <= BODY_MAX)
                return MHD_YES;
        return http_connection_queue(
                        connection, mhd,
                        endpoints_refuse(connection->server->endpoints, REFUSAL_BODY_TOO_LARGE));
}

static Answer http_connection_answer(HttpConnection *connection, struct MHD_Connection *mhd,
                                     const char *path, const char *method) {
        HttpServer *server = connection->server;
        const union MHD_ConnectionInfo *info;

        if (connection->uri_too_long)
                return endpoints_refuse(server->endpoints, REFUSAL_URI_TOO_LONG);
        if (connection->body_size > BODY_MAX)
                return endpoints_refuse(server->endpoints, REFUSAL_BODY_TOO_LARGE);
        info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
        if (info && info->header_size > HEADERS_MAX)
                return endpoints_refuse(server->endpoints, REFUSAL_HEADERS_TOO_LARGE);
        if (connection->controls)
                return endpoints_control(server->endpoints,
                                         &(ControlCall){
                                                         .method = method,
                                                         .path = path,
                                                         .body = connection->body.text,
                                                         .size = connection->body.length,
                                                         .heard = connection->heard,
                                                         .trusted = connection->trusted,
                                                         .uid = connection->uid,
                                         });
        return endpoints_answer(server->endpoints, mhd, method, path,
                                http_connection_sees_details(connection), server->now_usec);
}

/* Called with the headers, with each part of the body, and when the request is complete. */
static enum MHD_Result http_server_on_request(void *userdata, struct MHD_Connection *mhd,
                                              const char *path, const char *method,
                                              const char *version, const char *body,
                                              size_t *body_size, void **context) {
        HttpConnection *connection = *context;

        (void) userdata;
        (void) version;
        if (!connection->headers_seen)
                return http_connection_on_headers(connection, mhd, path);
        if (*body_size > 0) {
                if (connection->heard && connection->body_size + *body_size <= BODY_MAX)
                        text_buffer_add(&connection->body, body, *body_size);
                connection->body_size += *body_size;
                *body_size = 0;
                return connection->body_size <= SWALLOWED_MAX ? MHD_YES : MHD_NO;
        }
        return http_connection_queue(connection, mhd,
                                     http_connection_answer(connection, mhd, path, method));
}

static void http_server_arm_sweep(HttpServer *server) {
        uint64_t pause_usec = server->drain_usec > 0 ? DRAIN_SWEEP_USEC : SWEEP_USEC;

        if (server->connections)
                (void) timer_arm_after(&server->sweep_timer, pause_usec);
}

/* Between two requests a client may take its time. */
static uint64_t http_connection_limit_usec(const HttpConnection *connection) {
        if (connection->in_pieces)
                return PIECES_USEC;
        return connection->served && !connection->busy ? IDLE_USEC : REQUEST_USEC;
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
                /* Since 1.0 it takes note of the connection only; the next run starts it. */
                if (server->adding) {
                        server->now_usec = now_monotonic_usec();
                        http_engine_run(engine);
                }
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
                { MHD_OPTION_NOTIFY_COMPLETED, (intptr_t) http_server_on_completed, server },
                { MHD_OPTION_URI_LOG_CALLBACK, (intptr_t) http_server_on_request_line, server },
                tls ? http_tls_option() : (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL },
                { MHD_OPTION_END, 0, NULL },
        };
        const HttpEngineSettings settings = {
                .flags = tls ? MHD_USE_TLS : 0,
                .on_request = http_server_on_request,
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
