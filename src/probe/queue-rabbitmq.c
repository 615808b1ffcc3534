/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend=rabbitmq-http: a queue as RabbitMQ's management plug-in tells it. The plug-in collects
 * every five seconds, so its numbers are that much behind. Alarms are asked for in the whole
 * cluster: one on any node stops the publishers of all.
 */

#include <errno.h>

#include "base/cleanup.h"
#include "probe/queue-http.h"

#define RABBITMQ_PORT     15672
#define RABBITMQ_TLS_PORT 15671

/* Asked for by name: the details of thousands of consumers would come along. */
#define COLUMNS                                                                                    \
        "columns=messages,messages_ready,messages_unacknowledged,consumers,state,type,memory,"     \
        "message_bytes,consumer_capacity,message_stats"

enum {
        CALL_QUEUE,
        CALL_ALARMS,
        CALL_VIRTUAL_HOSTS,
};

static const char what_it_is[] = "the management plug-in of RabbitMQ (rabbitmq-plugins enable "
                                 "rabbitmq_management)";

static const char *virtual_host(const QueueHttp *http) {
        return http->settings->virtual_host ? http->settings->virtual_host : "/";
}

static bool status_is_refusal(long status) {
        return status == 401 || status == 403;
}

/* The plug-in answers 401 to all of these. */
static int rabbitmq_fail_refused(QueueHttp *http, const cJSON *answer) {
        const char *user = http->settings->username, *reason = queue_http_text(answer, "reason");

        if (string_equal(reason, "Not management user"))
                return queue_http_fail(http, SAMPLE_FAILED,
                                       "the user \"%s\" may not use the management plug-in: "
                                       "rabbitmqctl set_user_tags %s monitoring",
                                       user, user);
        if (string_equal(reason, "User not authorised to access virtual host"))
                return queue_http_fail(http, SAMPLE_FAILED,
                                       "the user \"%s\" has no permission in the virtual host "
                                       "\"%s\": rabbitmqctl set_permissions -p %s %s '^$' '^$' "
                                       "'^$' lets it look, and no more",
                                       user, virtual_host(http), virtual_host(http), user);
        if (string_is_empty(reason) || string_equal(reason, "Login failed"))
                return queue_http_fail(http, SAMPLE_FAILED,
                                       "the log-in was refused: check Username= and "
                                       "Password= (guest is let in from its own host only)");
        return queue_http_fail(http, SAMPLE_FAILED, "refused to the user \"%s\": %s", user, reason);
}

/* What never happened is left out by the broker; with rates switched off only the count is there.
 */
static void add_rate(QueueHttp *http, const cJSON *stats, const char *count, const char *details,
                     const char *name) {
        const cJSON *rate = cJSON_GetObjectItemCaseSensitive(stats, details);

        if (rate)
                queue_http_add_number(http, rate, "rate", name);
        else if (!cJSON_HasObjectItem(stats, count))
                sample_add_number(&http->sample, name, 0);
}

static int rabbitmq_add_queue(QueueHttp *http, const cJSON *queue) {
        const cJSON *stats = cJSON_GetObjectItemCaseSensitive(queue, "message_stats");
        static const char *const texts[] = { "state", "type" };
        static const char *const members[][2] = {
                { "messages_ready", "queue_size" },
                { "messages", "messages" },
                { "messages_unacknowledged", "unacknowledged" },
                { "consumers", "consumers" },
                { "consumer_capacity", "consumer_capacity" },
                { "memory", "memory" },
                { "message_bytes", "message_bytes" },
        };

        for (size_t i = 0; i < ELEMENTS(texts); i++)
                if (*queue_http_text(queue, texts[i]))
                        sample_add_string(&http->sample, texts[i],
                                          queue_http_text(queue, texts[i]));
        /* So it is while its node is down, and for some seconds after the broker was started. */
        if (!cJSON_HasObjectItem(queue, "messages_ready"))
                return queue_http_fail(http, SAMPLE_UNHEALTHY,
                                       "the broker has no numbers of this queue (its state is "
                                       "\"%s\"): either it was just started, or the node with the "
                                       "queue is down (rabbitmqctl cluster_status)",
                                       queue_http_text(queue, "state"));
        for (size_t i = 0; i < ELEMENTS(members); i++)
                queue_http_add_number(http, queue, members[i][0], members[i][1]);
        add_rate(http, stats, "publish", "publish_details", "publish_rate");
        add_rate(http, stats, "deliver_get", "deliver_get_details", "deliver_rate");
        add_rate(http, stats, "ack", "ack_details", "ack_rate");
        return CALL_ALARMS;
}

static int rabbitmq_on_queue(QueueHttp *http, long status, const cJSON *answer) {
        if (status == 200 && cJSON_IsObject(answer))
                return rabbitmq_add_queue(http, answer);
        if (status_is_refusal(status))
                return rabbitmq_fail_refused(http, answer);
        /* The same answer whether the queue or its virtual host is missing. */
        if (status == 404 && string_equal(queue_http_text(answer, "error"), "Object Not Found"))
                return CALL_VIRTUAL_HOSTS;
        return queue_http_fail_unknown(http, status, answer, what_it_is);
}

static void rabbitmq_add_alarms(QueueHttp *http, const cJSON *alarms) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        const cJSON *alarm = NULL;

        cJSON_ArrayForEach(alarm, alarms) {
                text_buffer_printf(&text, "%s%s on %s", text.length > 0 ? ", " : "",
                                   queue_http_text(alarm, "resource"),
                                   queue_http_text(alarm, "node"));
        }
        sample_add_number(&http->sample, "alarms", cJSON_GetArraySize(alarms));
        if (text.text && !text.failed)
                sample_add_string(&http->sample, "alarm", text.text);
}

/* A broker that has no such check, or tells it to others only: the queue is known all the same. */
static int rabbitmq_on_alarms(QueueHttp *http, long status, const cJSON *answer) {
        if (status == 200 && string_equal(queue_http_text(answer, "status"), "ok"))
                sample_add_number(&http->sample, "alarms", 0);
        else if (status == 503 && string_equal(queue_http_text(answer, "status"), "failed"))
                rabbitmq_add_alarms(http, cJSON_GetObjectItemCaseSensitive(answer, "alarms"));
        return QUEUE_HTTP_END;
}

/* Lists those that the user may see. */
static int rabbitmq_on_virtual_hosts(QueueHttp *http, long status, const cJSON *answer) {
        const cJSON *item = NULL;

        if (status != 200 || !cJSON_IsArray(answer))
                return queue_http_fail_unknown(http, status, answer, what_it_is);
        cJSON_ArrayForEach(item, answer) {
                if (string_equal(queue_http_text(item, "name"), virtual_host(http)))
                        return queue_http_fail(http, SAMPLE_UNHEALTHY,
                                               "there is no queue \"%s\" in the virtual host "
                                               "\"%s\": check Queue= (rabbitmqctl list_queues -p "
                                               "%s)",
                                               http->settings->queue, virtual_host(http),
                                               virtual_host(http));
        }
        return queue_http_fail(http, SAMPLE_UNHEALTHY,
                               "there is no virtual host \"%s\": check VirtualHost= (rabbitmqctl "
                               "list_vhosts)",
                               virtual_host(http));
}

static int rabbitmq_prepare(void *instance, const QueueSettings *settings, ProbeSetup *setup) {
        QueueHttp *http = instance;
        int r;

        (void) setup;
        queue_http_init(http, settings,
                        "is the broker running, and is its management plug-in enabled? "
                        "rabbitmq-plugins "
                        "enable rabbitmq_management");
        r = queue_http_add_call(http, rabbitmq_on_queue, "/api/queues/%s/%s?" COLUMNS,
                                (const char *[2]){ virtual_host(http), settings->queue });
        if (r >= 0)
                r = queue_http_add_call(http, rabbitmq_on_alarms, "/api/health/checks/alarms",
                                        NULL);
        if (r >= 0)
                r = queue_http_add_call(http, rabbitmq_on_virtual_hosts, "/api/vhosts?columns=name",
                                        NULL);
        return r;
}

const QueueBackend queue_backend_rabbitmq_http = {
        .name = "rabbitmq-http",
        .takes = QUEUE_USERNAME | QUEUE_PASSWORD | QUEUE_VIRTUAL_HOST | QUEUE_TLS | QUEUE_CA_FILE |
                 QUEUE_CERTIFICATE | QUEUE_CONNECTION,
        .needs = QUEUE_USERNAME | QUEUE_PASSWORD,
        .port = RABBITMQ_PORT,
        .tls_port = RABBITMQ_TLS_PORT,
        .instance_size = sizeof(QueueHttp),
        .prepare = rabbitmq_prepare,
        .start = queue_http_start,
        .cancel = queue_http_cancel,
        .done = queue_http_done,
};
