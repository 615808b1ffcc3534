/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/http-connection.h"

#include <stdlib.h>
#include <string.h>

#include "base/time-util.h"

#define URI_MAX       1024
#define HEADERS_MAX   (8 * 1024)
#define BODY_MAX      (64 * 1024)
/* A body that was not announced is read to its end to be refused, but not for ever. */
#define SWALLOWED_MAX (1024 * 1024)
#define REQUEST_USEC  (10 * USEC_PER_SEC)
#define IDLE_USEC     (30 * USEC_PER_SEC)
#define PIECES_USEC   (60 * USEC_PER_SEC) /* for what is megabytes */
#define JUDGE_USEC    USEC_PER_MIN        /* so long a verdict on a certificate holds */

HttpConnection *http_connection_new(HttpServer *server, const Peer *peer) {
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

void http_connection_free(HttpConnection *connection) {
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

/* Between two requests a client may take its time. */
uint64_t http_connection_limit_usec(const HttpConnection *connection) {
        if (connection->in_pieces)
                return PIECES_USEC;
        return connection->served && !connection->busy ? IDLE_USEC : REQUEST_USEC;
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

void *http_connection_on_request_line(void *userdata, const char *uri, struct MHD_Connection *mhd) {
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

void http_connection_on_completed(void *userdata, struct MHD_Connection *mhd, void **context,
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

enum MHD_Result http_connection_on_request(void *userdata, struct MHD_Connection *mhd,
                                           const char *path, const char *method,
                                           const char *version, const char *body, size_t *body_size,
                                           void **context) {
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
