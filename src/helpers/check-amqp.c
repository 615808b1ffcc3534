/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend=amqp of the check type queue: declares a queue passively, which changes nothing and
 * tells how many messages are ready and how many consumers there are. librabbitmq blocks.
 */

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>

/* From 0.12 on the headers have a directory of their own, and warn of the old place. */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif

#include "base/cleanup.h"
#include "base/time-util.h"
#include "helpers/helper.h"
#include "io/address.h"

#define AMQP_PORT     5672
#define AMQP_TLS_PORT 5671
#define FRAME_MAX     131072
#define CHANNEL       1
#define NO_HEARTBEAT  0

typedef struct AmqpCheck {
        HelperSettings settings;
        HelperAnswer answer;
        Address address;
        char *place; /* for people: "amqp://db1:5672" */
        amqp_connection_state_t connection;
        int verify_error; /* X509_V_OK: nothing was wrong with the certificate */
} AmqpCheck;

static const char *virtual_host(const AmqpCheck *check) {
        return check->settings.virtual_host ? check->settings.virtual_host : "/";
}

static struct timeval time_left(const AmqpCheck *check) {
        int ms = helper_left_ms(&check->settings);

        return (struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
}

/* ---- what the broker refuses ---- */

/* Why it closes the connection or the channel, by the code AMQP has for it. */
typedef struct Refusal {
        int code;
        const char *word, *hint; /* word: what its text contains; NULL: anything */
} Refusal;

static const Refusal login_refusals[] = {
        { AMQP_ACCESS_REFUSED, NULL,
          "the log-in was refused: check Username= and Password= (guest is let in from its own "
          "host only)" },
        { AMQP_NOT_ALLOWED, "not found",
          "there is no such virtual host: check VirtualHost= (rabbitmqctl list_vhosts)" },
        { AMQP_NOT_ALLOWED, "refused",
          "the user has no permission in this virtual host: rabbitmqctl set_permissions -p VHOST "
          "USER '^$' '^$' '^$' lets it look, and no more" },
        {},
};

static const Refusal queue_refusals[] = {
        { AMQP_NOT_FOUND, NULL,
          "there is no such queue: check Queue= and VirtualHost= "
          "(rabbitmqctl list_queues -p VHOST)" },
        { AMQP_ACCESS_REFUSED, NULL,
          "the user may not look at this queue: rabbitmqctl "
          "set_permissions" },
        { AMQP_RESOURCE_LOCKED, NULL,
          "the queue is exclusive to the connection that declared it: only that one can look" },
        {},
};

static int fail_refused(AmqpCheck *check, const Refusal *refusals, int code, amqp_bytes_t text) {
        _cleanup_free_ char *copy = strndup(text.bytes ? text.bytes : "", text.len);
        const Refusal *refusal = refusals;

        if (!copy)
                return -ENOMEM;
        while (refusal->hint &&
               (refusal->code != code || (refusal->word && !strstr(copy, refusal->word))))
                refusal++;
        return helper_fail(&check->answer, "%s: %s%s%s%s", check->place,
                           refusal->hint ? refusal->hint : "", refusal->hint ? " (" : "", copy,
                           refusal->hint ? ")" : "");
}

/* What librabbitmq says, in the words of whoever must mend it. */
static int fail_library(AmqpCheck *check, int status, const char *stage) {
        bool tls = check->settings.tls;

        switch (status) {
        case AMQP_STATUS_TIMEOUT:
                return helper_fail(&check->answer, "%s: no answer while %s", check->place, stage);
        case AMQP_STATUS_CONNECTION_CLOSED:
        case AMQP_STATUS_SOCKET_ERROR:
                return helper_fail(&check->answer, "%s: the connection was closed while %s%s",
                                   check->place, stage,
                                   tls ? "" : " (if it speaks TLS there, set TLS=yes)");
        case AMQP_STATUS_BAD_AMQP_DATA:
        case AMQP_STATUS_UNEXPECTED_STATE:
        case AMQP_STATUS_INCOMPATIBLE_AMQP_VERSION:
        case AMQP_STATUS_UNKNOWN_CLASS:
        case AMQP_STATUS_UNKNOWN_METHOD:
                return helper_fail(&check->answer, "%s: this is no AMQP 0-9-1: %s (check Address=)",
                                   check->place, amqp_error_string2(status));
        default:
                return helper_fail(&check->answer, "%s: while %s: %s", check->place, stage,
                                   amqp_error_string2(status));
        }
}

static int check_reply(AmqpCheck *check, amqp_rpc_reply_t reply, const Refusal *refusals,
                       const char *stage) {
        const amqp_connection_close_t *connection_close = reply.reply.decoded;
        const amqp_channel_close_t *channel_close = reply.reply.decoded;

        switch (reply.reply_type) {
        case AMQP_RESPONSE_NORMAL:
                return 0;
        case AMQP_RESPONSE_LIBRARY_EXCEPTION:
                return fail_library(check, reply.library_error, stage);
        case AMQP_RESPONSE_SERVER_EXCEPTION:
                if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
                        return fail_refused(check, refusals, connection_close->reply_code,
                                            connection_close->reply_text);
                if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
                        return fail_refused(check, refusals, channel_close->reply_code,
                                            channel_close->reply_text);
                break;
        case AMQP_RESPONSE_NONE:
                break;
        }
        return fail_library(check, AMQP_STATUS_UNEXPECTED_STATE, stage);
}

/* ---- the way to it ---- */

/* SSL_CTX_set_cert_verify_callback(): librabbitmq does not hand on why a certificate is refused. */
static int verify_certificate(X509_STORE_CTX *store, void *userdata) {
        AmqpCheck *check = userdata;
        int r = X509_verify_cert(store);

        check->verify_error = X509_STORE_CTX_get_error(store);
        return r;
}

/*
 * The name by OpenSSL too: librabbitmq does not know certificates for addresses. By itself it also
 * trusts nobody.
 */
static int trust_peer(AmqpCheck *check, amqp_socket_t *socket) {
        SSL_CTX *context = amqp_ssl_socket_get_context(socket);
        X509_VERIFY_PARAM *parameters = SSL_CTX_get0_param(context);
        const char *host = check->address.host;
        const char *ca_file = check->settings.ca_file;

        amqp_ssl_socket_set_verify_peer(socket, true);
        amqp_ssl_socket_set_verify_hostname(socket, false);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(context, verify_certificate, check);
        if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host) != 1 &&
            X509_VERIFY_PARAM_set1_host(parameters, host, 0) != 1)
                return -ENOMEM;
        if (ca_file && amqp_ssl_socket_set_cacert(socket, ca_file) < 0)
                return helper_fail(&check->answer, "CAFile=%s cannot be used: %s", ca_file,
                                   ERR_reason_error_string(ERR_peek_error()));
        if (!ca_file && SSL_CTX_set_default_verify_paths(context) != 1)
                return helper_fail(&check->answer, "the system has no certificate authorities: "
                                                   "install ca-certificates, or set CAFile=");
        return 0;
}

static int set_up_tls(AmqpCheck *check, amqp_socket_t *socket) {
        const HelperSettings *settings = &check->settings;
        const char *key = settings->key ? settings->key : settings->certificate;
        int r;

        r = trust_peer(check, socket);
        if (r < 0 || !settings->certificate ||
            amqp_ssl_socket_set_key(socket, settings->certificate, key) >= 0)
                return r;
        return helper_fail(&check->answer, "Certificate=%s and its key cannot be used: %s",
                           settings->certificate, ERR_reason_error_string(ERR_peek_error()));
}

/* The certificate, or else whatever OpenSSL said last. */
static int fail_tls(AmqpCheck *check, int status) {
        const char *cause = ERR_reason_error_string(ERR_peek_last_error());

        switch (check->verify_error) {
        case X509_V_OK:
                return helper_fail(&check->answer,
                                   "%s: TLS could not be set up: %s (does it speak TLS there?)",
                                   check->place, cause ? cause : amqp_error_string2(status));
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
                return helper_fail(&check->answer,
                                   "%s: its certificate is for another name than the host in "
                                   "Address=",
                                   check->place);
        default:
                return helper_fail(&check->answer,
                                   "%s: its certificate is not trusted: %s (set CAFile= if an "
                                   "authority of your own signed it)",
                                   check->place,
                                   X509_verify_cert_error_string(check->verify_error));
        }
}

static int fail_to_connect(AmqpCheck *check, int status) {
        switch (status) {
        case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED:
                return helper_fail(&check->answer,
                                   "%s: the name cannot be resolved (check the host in Address=)",
                                   check->place);
        case AMQP_STATUS_SOCKET_ERROR:
        case AMQP_STATUS_TCP_ERROR:
                return helper_fail(&check->answer,
                                   "%s: nobody accepts connections there (is the broker running? "
                                   "check Address=)",
                                   check->place);
        case AMQP_STATUS_SSL_PEER_VERIFY_FAILED:
        case AMQP_STATUS_SSL_CONNECTION_FAILED:
        case AMQP_STATUS_SSL_ERROR:
                return fail_tls(check, status);
        default:
                return fail_library(check, status, "connecting");
        }
}

static int connect_to_broker(AmqpCheck *check) {
        struct timeval left = time_left(check);
        bool tls = check->settings.tls;
        amqp_socket_t *socket;
        int r;

        check->connection = amqp_new_connection();
        if (!check->connection)
                return -ENOMEM;
        socket = tls ? amqp_ssl_socket_new(check->connection)
                     : amqp_tcp_socket_new(check->connection);
        if (!socket)
                return -ENOMEM;
        r = tls ? set_up_tls(check, socket) : 0;
        if (r < 0)
                return r;
        r = amqp_socket_open_noblock(socket, check->address.host, check->address.port, &left);
        return r == AMQP_STATUS_OK ? 0 : fail_to_connect(check, r);
}

static int log_in(AmqpCheck *check) {
        const HelperSettings *settings = &check->settings;
        struct timeval left = time_left(check);
        amqp_table_entry_t entries[] = {
                { .key = amqp_cstring_bytes("connection_name"),
                  .value = { .kind = AMQP_FIELD_KIND_UTF8,
                             .value.bytes = amqp_cstring_bytes(settings->name) } },
        };
        const amqp_table_t properties = { .num_entries = ELEMENTS(entries), .entries = entries };
        amqp_rpc_reply_t reply;

        if (amqp_set_handshake_timeout(check->connection, &left) != AMQP_STATUS_OK)
                return -ENOMEM;
        reply = amqp_login_with_properties(check->connection, virtual_host(check), CHANNEL,
                                           FRAME_MAX, NO_HEARTBEAT, &properties,
                                           AMQP_SASL_METHOD_PLAIN,
                                           settings->username ? settings->username : "",
                                           settings->password ? settings->password : "");
        check->answer.let_in = reply.reply_type == AMQP_RESPONSE_NORMAL;
        check->answer.connected = check->answer.let_in ||
                                  reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION;
        return check_reply(check, reply, login_refusals, "logging in");
}

static int look_at_queue(AmqpCheck *check) {
        const amqp_queue_declare_ok_t *queue;
        struct timeval left = time_left(check);
        int r;

        if (amqp_set_rpc_timeout(check->connection, &left) != AMQP_STATUS_OK)
                return -ENOMEM;
        (void) amqp_channel_open(check->connection, CHANNEL);
        r = check_reply(check, amqp_get_rpc_reply(check->connection), queue_refusals,
                        "opening a channel");
        if (r < 0)
                return r;
        left = time_left(check);
        (void) amqp_set_rpc_timeout(check->connection, &left);
        queue = amqp_queue_declare(check->connection, CHANNEL,
                                   amqp_cstring_bytes(check->settings.queue), true, false, false,
                                   false, amqp_empty_table);
        r = check_reply(check, amqp_get_rpc_reply(check->connection), queue_refusals,
                        "asking for the queue");
        if (r < 0)
                return r;
        json_add_unsigned(&check->answer.json, "queue_size", queue->message_count);
        json_add_unsigned(&check->answer.json, "consumers", queue->consumer_count);
        /* Or the broker logs a client that went without a word. What it answers is of no use. */
        left = time_left(check);
        (void) amqp_set_rpc_timeout(check->connection, &left);
        (void) amqp_connection_close(check->connection, AMQP_REPLY_SUCCESS);
        return 0;
}

static int amqp_check_run(AmqpCheck *check) {
        uint64_t started_usec = now_monotonic_usec();
        int r;

        r = address_parse(check->settings.address, check->settings.tls ? AMQP_TLS_PORT : AMQP_PORT,
                          &check->address);
        if (r < 0)
                return r;
        r = string_printf(&check->place, "amqp%s://%s", check->settings.tls ? "s" : "",
                          check->settings.address);
        if (r < 0)
                return r;
        r = connect_to_broker(check);
        if (r < 0)
                return r;
        json_add_number(&check->answer.json, "connect_ms", time_since_ms(started_usec));
        r = log_in(check);
        return r < 0 ? r : look_at_queue(check);
}

int main(int argc, char **argv) {
        AmqpCheck check = {};
        int r;

        (void) signal(SIGPIPE, SIG_IGN);
        if (helper_read_settings(argc, argv, &check.settings) < 0)
                return EXIT_FAILURE;
        helper_answer_begin(&check.answer);
        r = helper_answer_finish(&check.answer, amqp_check_run(&check));
        if (check.connection)
                (void) amqp_destroy_connection(check.connection);
        helper_settings_done(&check.settings);
        address_done(&check.address);
        free(check.place);
        return r;
}
