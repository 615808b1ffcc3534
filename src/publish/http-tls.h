/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * TLS of the TCP port: our certificate, and whose clients' certificates we accept. libmicrohttpd
 * speaks TLS with what it is given when a connection starts; so certificates change from one
 * connection to the next, and none that is open is touched. Nothing else uses GnuTLS.
 */

#include <microhttpd.h>
#include <stdbool.h>
#include <time.h>

#include "config/config-type.h"

/* Immutable and counted: it lives as long as the connections that began with it. */
typedef struct HttpTls HttpTls;

/* In PEM. The key may stand in the certificate's text, which begins with our own certificate. */
typedef struct HttpTlsTexts {
        const char *certificate;
        const char *key;
        const char *client_ca; /* NULL: clients are not asked for a certificate */
} HttpTlsTexts;

/* What a client's certificate is worth. */
typedef enum TlsPeer {
        TLS_PEER_TRUSTED,
        TLS_PEER_WITHOUT_CERTIFICATE,
        TLS_PEER_EXPIRED, /* or not valid yet */
        TLS_PEER_UNTRUSTED,
} TlsPeer;

/* Returns 0, -EINVAL with setup->why, or -ENOMEM. */
int http_tls_new(const HttpTlsTexts *texts, TypeSetup *setup, HttpTls **ret);
HttpTls *http_tls_ref(HttpTls *tls);
HttpTls *http_tls_unref(HttpTls *tls);
DEFINE_CLEANUP(HttpTls, http_tls_unref)

/* Whether clients must show a certificate: ClientCA= is set. */
bool http_tls_asks_clients(const HttpTls *tls);
/* When our certificate, or the first of those above it that we send, becomes and ceases to be
 * valid. */
time_t http_tls_begins(const HttpTls *tls);
time_t http_tls_expires(const HttpTls *tls);

/* For MHD_start_daemon() with MHD_USE_TLS, which wants a certificate of its own: there is none. */
struct MHD_OptionItem http_tls_option(void);

/* How the bytes of a connection come and go; lives as long as it. */
typedef struct HttpTlsTransport {
        int fd;
        uint64_t *n_moves; /* incremented when the socket has given or taken some */
} HttpTlsTransport;

/*
 * To be called when libmicrohttpd says that a connection started, before its handshake. tls must
 * outlive the connection. If it fails, so will the handshake.
 */
int http_tls_begin(HttpTls *tls, struct MHD_Connection *mhd, HttpTlsTransport *transport);

/*
 * Judges the certificate that the client showed in the handshake by the authorities of tls, which
 * need not be what the connection began with; tls must outlive the connection from now on.
 */
TlsPeer http_tls_judge(HttpTls *tls, struct MHD_Connection *mhd);
