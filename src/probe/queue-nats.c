/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend=nats: streams and consumers of JetStream, from the server's monitoring port (/healthz and
 * /jsz). Queue= is a stream, Group= one of its consumers, VirtualHost= an account. The port asks
 * for no password, and a server tells only of the streams it holds itself.
 */

#include <errno.h>

#include "probe/queue-http.h"

#define NATS_PORT 8222

enum {
        CALL_HEALTH,
        CALL_JETSTREAM,
};

static const char what_it_is[] = "the monitoring port of a NATS server, http_port of its "
                                 "configuration";

static const cJSON *find_by_name(const cJSON *list, const char *name) {
        const cJSON *item = NULL;

        cJSON_ArrayForEach(item, list) {
                if (string_equal(queue_http_text(item, "name"), name))
                        return item;
        }
        return NULL;
}

static bool account_is_wanted(const QueueHttp *http, const cJSON *account) {
        const char *name = http->settings->virtual_host;

        return !name || string_equal(queue_http_text(account, "name"), name) ||
               string_equal(queue_http_text(account, "id"), name);
}

/* The server may hold a gigabyte and still be out of step: it says so itself. */
static int nats_on_health(QueueHttp *http, long status, const cJSON *answer) {
        const char *state = queue_http_text(answer, "status");

        if ((status != 200 && status != 503) || !*state)
                return queue_http_fail_unknown(http, status, answer, what_it_is);
        sample_add_string(&http->sample, "broker_status", state);
        if (*queue_http_text(answer, "error"))
                sample_add_string(&http->sample, "broker_error", queue_http_text(answer, "error"));
        return CALL_JETSTREAM;
}

static int nats_add_consumer(QueueHttp *http, const cJSON *stream) {
        const QueueSettings *settings = http->settings;
        const cJSON *consumer = find_by_name(
                        cJSON_GetObjectItemCaseSensitive(stream, "consumer_detail"),
                        settings->group);

        if (!consumer)
                return queue_http_fail(http, SAMPLE_UNHEALTHY,
                                       "the stream \"%s\" has no consumer \"%s\": check Group= "
                                       "(nats consumer ls %s)",
                                       settings->queue, settings->group, settings->queue);
        queue_http_add_number(http, consumer, "num_pending", "queue_size");
        queue_http_add_number(http, consumer, "num_pending", "lag");
        queue_http_add_number(http, consumer, "num_ack_pending", "unacknowledged");
        queue_http_add_number(http, consumer, "num_redelivered", "redelivered");
        queue_http_add_number(http, consumer, "num_waiting", "waiting_pulls");
        return QUEUE_HTTP_END;
}

static int nats_add_stream(QueueHttp *http, const cJSON *stream) {
        const cJSON *state = cJSON_GetObjectItemCaseSensitive(stream, "state");

        queue_http_add_number(http, state, "messages", "messages");
        queue_http_add_number(http, state, "bytes", "bytes");
        queue_http_add_number(http, state, "consumer_count", "consumers");
        if (http->settings->group)
                return nats_add_consumer(http, stream);
        queue_http_add_number(http, state, "messages", "queue_size");
        return QUEUE_HTTP_END;
}

static int nats_fail_absent(QueueHttp *http, bool account_known) {
        const QueueSettings *settings = http->settings;

        if (!account_known)
                return queue_http_fail(http, SAMPLE_UNHEALTHY,
                                       "no account \"%s\" with JetStream is here: check "
                                       "VirtualHost= (the accounts of the server's configuration)",
                                       settings->virtual_host);
        return queue_http_fail(http, SAMPLE_UNHEALTHY,
                               "no stream \"%s\" is on this server: check Queue= (nats stream ls); "
                               "in a cluster, ask a server that holds it",
                               settings->queue);
}

static int nats_on_jetstream(QueueHttp *http, long status, const cJSON *answer) {
        const cJSON *account = NULL, *stream = NULL, *found;
        bool account_known = !http->settings->virtual_host;

        if (status != 200 || !*queue_http_text(answer, "server_id"))
                return queue_http_fail_unknown(http, status, answer, what_it_is);
        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "disabled")))
                return queue_http_fail(http, SAMPLE_UNHEALTHY,
                                       "this server does not run JetStream: enable it by "
                                       "jetstream {} in its configuration");
        cJSON_ArrayForEach(account, cJSON_GetObjectItemCaseSensitive(answer, "account_details")) {
                if (!account_is_wanted(http, account))
                        continue;
                account_known = true;
                found = find_by_name(cJSON_GetObjectItemCaseSensitive(account, "stream_detail"),
                                     http->settings->queue);
                if (found && stream)
                        return queue_http_fail(http, SAMPLE_UNHEALTHY,
                                               "several accounts have a stream \"%s\": say whose "
                                               "by VirtualHost=",
                                               http->settings->queue);
                stream = found ? found : stream;
        }
        return stream ? nats_add_stream(http, stream) : nats_fail_absent(http, account_known);
}

static int nats_prepare(void *instance, const QueueSettings *settings, ProbeSetup *setup) {
        int r;

        (void) setup;
        queue_http_init(instance, settings,
                        "is the broker running, and is http_port set in its configuration?");
        r = queue_http_add_call(instance, nats_on_health, "/healthz", NULL);
        if (r < 0)
                return r;
        /* With an account it does not know, the server tells of all of them. */
        if (settings->virtual_host)
                return queue_http_add_call(instance, nats_on_jetstream,
                                           "/jsz?streams=1&consumers=1&acc=%s",
                                           (const char *[2]){ settings->virtual_host });
        return queue_http_add_call(instance, nats_on_jetstream, "/jsz?streams=1&consumers=1", NULL);
}

const QueueBackend queue_backend_nats = {
        .name = "nats",
        .takes = QUEUE_GROUP | QUEUE_VIRTUAL_HOST | QUEUE_TLS | QUEUE_CA_FILE | QUEUE_CERTIFICATE |
                 QUEUE_CONNECTION,
        .port = NATS_PORT,
        .instance_size = sizeof(QueueHttp),
        .prepare = nats_prepare,
        .start = queue_http_start,
        .cancel = queue_http_cancel,
        .done = queue_http_done,
};
