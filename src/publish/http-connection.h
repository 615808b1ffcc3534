/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A connection to the HTTP server and the request under way on it: who may ask, within which limits
 * of size and time, and what is answered. Part of http-server; nobody else sees these.
 */

#include <microhttpd.h>

#include "publish/endpoints.h"
#include "publish/http-engine.h"
#include "publish/http-listener.h"
#include "publish/http-server.h"

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

/* Adds one to the server's; the descriptor stays the caller's. Returns NULL if memory is short. */
HttpConnection *http_connection_new(HttpServer *server, const Peer *peer);
/* Takes it from the server's and gives the peer back to the listeners. */
void http_connection_free(HttpConnection *connection);

/* How long after begun_usec it may last. */
uint64_t http_connection_limit_usec(const HttpConnection *connection);

/*
 * Callbacks of libmicrohttpd. The request line is there: what is returned, the connection, is the
 * request's context in the two others.
 */
void *http_connection_on_request_line(void *userdata, const char *uri, struct MHD_Connection *mhd);

/* Called with the headers, with each part of the body, and when the request is complete. */
enum MHD_Result http_connection_on_request(void *userdata, struct MHD_Connection *mhd,
                                           const char *path, const char *method,
                                           const char *version, const char *body, size_t *body_size,
                                           void **context);

/* The answer was sent, or the connection broke. userdata: the server. */
void http_connection_on_completed(void *userdata, struct MHD_Connection *mhd, void **context,
                                  enum MHD_RequestTerminationCode code);
