/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/http-tls.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

/* What the distribution's policy says, and in no case what is older than this. */
#define NOT_BEFORE_TLS_1_2 "-VERS-TLS1.0:-VERS-TLS1.1"

struct HttpTls {
        unsigned n_references;
        gnutls_certificate_credentials_t credentials;
        gnutls_priority_t priorities;
        bool asks_clients;
        time_t begins, expires;
};

/* The certificates of a text. */
typedef struct Chain {
        gnutls_x509_crt_t *items;
        unsigned n_items;
} Chain;

static void chain_done(Chain *chain) {
        for (unsigned i = 0; i < chain->n_items; i++)
                gnutls_x509_crt_deinit(chain->items[i]);
        gnutls_free(chain->items);
}

static void cleanup_private_key(gnutls_x509_privkey_t *key) {
        if (*key)
                gnutls_x509_privkey_deinit(*key);
}

static gnutls_datum_t text_to_datum(const char *text) {
        return (gnutls_datum_t){ (unsigned char *) text, (unsigned) strlen(text) };
}

HttpTls *http_tls_ref(HttpTls *tls) {
        if (tls)
                tls->n_references++;
        return tls;
}

HttpTls *http_tls_unref(HttpTls *tls) {
        if (!tls || --tls->n_references > 0)
                return NULL;
        if (tls->priorities)
                gnutls_priority_deinit(tls->priorities);
        if (tls->credentials)
                gnutls_certificate_free_credentials(tls->credentials);
        gnutls_global_deinit();
        free(tls);
        return NULL;
}

/* Returns what a failure of GnuTLS means to us. */
static int refuse(TypeSetup *setup, const char *key, const char *what, int error) {
        if (error == GNUTLS_E_MEMORY_ERROR)
                return -ENOMEM;
        return type_setup_refuse(setup, key, "%s= %s: %s", key, what, gnutls_strerror(error));
}

static int chain_read(Chain *chain, const char *text, unsigned flags, const char *key,
                      TypeSetup *setup) {
        const gnutls_datum_t datum = text_to_datum(text);
        int r;

        r = gnutls_x509_crt_list_import2(&chain->items, &chain->n_items, &datum,
                                         GNUTLS_X509_FMT_PEM, flags);
        if (r == GNUTLS_E_BASE64_UNEXPECTED_HEADER_ERROR || r == GNUTLS_E_NO_CERTIFICATE_FOUND ||
            (r >= 0 && chain->n_items == 0))
                return type_setup_refuse(
                                setup, key,
                                "%s= has no certificate in it; it must be PEM, with a line "
                                "\"-----BEGIN CERTIFICATE-----\"",
                                key);
        return r < 0 ? refuse(setup, key, "has a certificate that cannot be read", r) : 0;
}

static int private_key_read(gnutls_x509_privkey_t *ret_key, const HttpTlsTexts *texts,
                            TypeSetup *setup) {
        const char *name = texts->key ? "Key" : "Certificate";
        const char *text = texts->key ? texts->key : texts->certificate;
        _cleanup_(cleanup_private_key) gnutls_x509_privkey_t key = NULL;
        const gnutls_datum_t datum = text_to_datum(text);
        int r;

        if (strstr(text, "ENCRYPTED"))
                return type_setup_refuse(setup, name,
                                         "the private key is encrypted, and nobody is there to be "
                                         "asked for its password; store it without (openssl pkey "
                                         "-in OLD -out NEW) as a credential");
        r = gnutls_x509_privkey_init(&key);
        if (r < 0)
                return -ENOMEM;
        r = gnutls_x509_privkey_import2(key, &datum, GNUTLS_X509_FMT_PEM, NULL, 0);
        if (r == GNUTLS_E_MEMORY_ERROR)
                return -ENOMEM;
        if (r < 0)
                return type_setup_refuse(setup, name,
                                         "%s= has no private key that can be read%s; it must be "
                                         "PEM, with a line \"-----BEGIN PRIVATE KEY-----\" (%s)",
                                         name, texts->key ? "" : ", and there is no Key=",
                                         gnutls_strerror(r));
        *ret_key = TAKE_PTR(key);
        return 0;
}

static int tls_set_identity(HttpTls *tls, const HttpTlsTexts *texts, TypeSetup *setup) {
        _cleanup_(cleanup_private_key) gnutls_x509_privkey_t key = NULL;
        _cleanup_(chain_done) Chain chain = {};
        int r;

        r = chain_read(&chain, texts->certificate, GNUTLS_X509_CRT_LIST_SORT, "Certificate", setup);
        if (r < 0)
                return r;
        r = private_key_read(&key, texts, setup);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < chain.n_items; i++) {
                time_t begins = gnutls_x509_crt_get_activation_time(chain.items[i]);
                time_t expires = gnutls_x509_crt_get_expiration_time(chain.items[i]);

                tls->begins = i == 0 || begins > tls->begins ? begins : tls->begins;
                tls->expires = i == 0 || expires < tls->expires ? expires : tls->expires;
        }
        r = gnutls_certificate_set_x509_key(tls->credentials, chain.items, (int) chain.n_items,
                                            key);
        if (r == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
                return type_setup_refuse(setup, "Key",
                                         "the private key is not that of the certificate in "
                                         "Certificate=, which must be the first one there");
        return r < 0 ? refuse(setup, "Certificate", "and its private key cannot be used", r) : 0;
}

static int tls_set_authorities(HttpTls *tls, const char *text, TypeSetup *setup) {
        _cleanup_(chain_done) Chain chain = {};
        int r;

        r = chain_read(&chain, text, 0, "ClientCA", setup);
        if (r < 0)
                return r;
        r = gnutls_certificate_set_x509_trust(tls->credentials, chain.items, (int) chain.n_items);
        if (r < 0)
                return refuse(setup, "ClientCA", "cannot be used", r);
        tls->asks_clients = true;
        return 0;
}

int http_tls_new(const HttpTlsTexts *texts, TypeSetup *setup, HttpTls **ret) {
        _cleanup_(http_tls_unrefp) HttpTls *tls = NULL;
        int r;

        if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
                return type_setup_refuse(setup, "Certificate",
                                         "the libmicrohttpd of this system was built without TLS");
        tls = calloc(1, sizeof(HttpTls));
        if (!tls)
                return -ENOMEM;
        tls->n_references = 1;
        /* The environment may say that loading the library does not. */
        if (gnutls_global_init() < 0 ||
            gnutls_certificate_allocate_credentials(&tls->credentials) < 0 ||
            gnutls_priority_init2(&tls->priorities, NOT_BEFORE_TLS_1_2, NULL,
                                  GNUTLS_PRIORITY_INIT_DEF_APPEND) < 0)
                return -ENOMEM;
        r = tls_set_identity(tls, texts, setup);
        if (r >= 0 && texts->client_ca)
                r = tls_set_authorities(tls, texts->client_ca, setup);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(tls);
        return 0;
}

bool http_tls_asks_clients(const HttpTls *tls) {
        return tls->asks_clients;
}

time_t http_tls_begins(const HttpTls *tls) {
        return tls->begins;
}

time_t http_tls_expires(const HttpTls *tls) {
        return tls->expires;
}

/* Never asked, since each session has our credentials; and if it were, there would be none. */
static int tls_on_certificate_wanted(gnutls_session_t session, const gnutls_datum_t *authorities,
                                     int n_authorities, const gnutls_pk_algorithm_t *algorithms,
                                     int n_algorithms, gnutls_pcert_st **ret_certificates,
                                     unsigned *ret_n_certificates, gnutls_privkey_t *ret_key) {
        (void) session;
        (void) authorities;
        (void) n_authorities;
        (void) algorithms;
        (void) n_algorithms;
        (void) ret_certificates;
        (void) ret_n_certificates;
        (void) ret_key;
        return -1;
}

struct MHD_OptionItem http_tls_option(void) {
        return (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
                                        (void *) tls_on_certificate_wanted };
}

static gnutls_session_t connection_session(struct MHD_Connection *mhd) {
        const union MHD_ConnectionInfo *info;

        info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        assert(info); /* of a daemon with MHD_USE_TLS */
        return info->tls_session;
}

static ssize_t transport_moved(HttpTlsTransport *transport, ssize_t n) {
        *transport->n_moves += n > 0;
        return n;
}

static ssize_t transport_on_pull(gnutls_transport_ptr_t userdata, void *data, size_t size) {
        HttpTlsTransport *transport = userdata;

        return transport_moved(transport, recv(transport->fd, data, size, 0));
}

static ssize_t transport_on_push(gnutls_transport_ptr_t userdata, const void *data, size_t size) {
        HttpTlsTransport *transport = userdata;

        return transport_moved(transport, send(transport->fd, data, size, MSG_NOSIGNAL));
}

int http_tls_begin(HttpTls *tls, struct MHD_Connection *mhd, HttpTlsTransport *transport) {
        gnutls_session_t session = connection_session(mhd);

        gnutls_transport_set_ptr(session, transport);
        gnutls_transport_set_pull_function(session, transport_on_pull);
        gnutls_transport_set_push_function(session, transport_on_push);

        if (gnutls_priority_set(session, tls->priorities) < 0 ||
            gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->credentials) < 0)
                return -ENOMEM;
        /* Not required: whoever has none is told so in an answer. */
        gnutls_certificate_server_set_request(session, tls->asks_clients ? GNUTLS_CERT_REQUEST
                                                                         : GNUTLS_CERT_IGNORE);
        return 0;
}

TlsPeer http_tls_judge(HttpTls *tls, struct MHD_Connection *mhd) {
        static const unsigned out_of_date = GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED;
        gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID,
                                          .data = (unsigned char *) GNUTLS_KP_TLS_WWW_CLIENT };
        gnutls_session_t session = connection_session(mhd);
        unsigned status = 0;
        int r;

        r = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->credentials);
        if (r < 0)
                return TLS_PEER_UNTRUSTED;
        /* status says nothing where it fails: it stays 0 without a certificate. */
        r = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
        if (r == GNUTLS_E_NO_CERTIFICATE_FOUND)
                return TLS_PEER_WITHOUT_CERTIFICATE;
        if (r < 0)
                return TLS_PEER_UNTRUSTED;
        if (status == 0)
                return TLS_PEER_TRUSTED;
        return status & out_of_date && !(status & ~(out_of_date | GNUTLS_CERT_INVALID))
                               ? TLS_PEER_EXPIRED
                               : TLS_PEER_UNTRUSTED;
}
