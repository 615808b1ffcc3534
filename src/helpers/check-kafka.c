/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend=kafka of the check type queue: how far a consumer group is behind the end of a topic.
 * Joins no group and reads no message: it asks for the offsets the group committed and for those
 * the partitions begin and end with. librdkafka brings threads.
 */

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "helpers/helper.h"

/* How long a question may block before it is seen that no broker can be reached. */
#define ROUND_MS 200

typedef struct KafkaCheck {
        HelperSettings settings;
        HelperAnswer answer;
        rd_kafka_t *client;
        /* What librdkafka reported from its threads. */
        bool unreachable;
        rd_kafka_resp_err_t cause;
        char *cause_text;
} KafkaCheck;

DEFINE_CLEANUP(rd_kafka_topic_partition_list_t, rd_kafka_topic_partition_list_destroy)
DEFINE_CLEANUP(rd_kafka_conf_t, rd_kafka_conf_destroy)
DEFINE_CLEANUP(rd_kafka_topic_t, rd_kafka_topic_destroy)

typedef const struct rd_kafka_metadata KafkaMetadata;
DEFINE_CLEANUP(KafkaMetadata, rd_kafka_metadata_destroy)

/* ---- what goes wrong ---- */

static const struct {
        rd_kafka_resp_err_t error;
        const char *hint;
} hints[] = {
        { RD_KAFKA_RESP_ERR__RESOLVE, "the name cannot be resolved: check the hosts in Address=" },
        { RD_KAFKA_RESP_ERR__TRANSPORT, "is the broker running? check Address=" },
        { RD_KAFKA_RESP_ERR__AUTHENTICATION,
          "the log-in was refused: check Username=, Password= and Mechanism=" },
        { RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
          "the log-in was refused: check Username=, Password= and Mechanism=" },
        { RD_KAFKA_RESP_ERR__SSL, "TLS could not be set up: check TLS= and CAFile=" },
        { RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
          "there is no such topic: check Queue= (kafka-topics.sh --list)" },
        { RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
          "there is no such topic: check Queue= (kafka-topics.sh --list)" },
        { RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, "this cannot be the name of a topic: check Queue=" },
        { RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
          "the user may not look at this topic: kafka-acls.sh --add --operation Describe --topic" },
        { RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
          "the user may not look at this group: kafka-acls.sh --add --operation Describe --group" },
        { RD_KAFKA_RESP_ERR__TIMED_OUT, "no answer in time" },
};

static int fail(KafkaCheck *check, rd_kafka_resp_err_t error, const char *stage) {
        const char *text = rd_kafka_err2str(error), *hint = NULL;

        /* What the threads saw is the cause of what the call returned. */
        if (check->cause != RD_KAFKA_RESP_ERR_NO_ERROR) {
                error = check->cause;
                text = check->cause_text ? check->cause_text : rd_kafka_err2str(error);
        }
        for (size_t i = 0; !hint && i < ELEMENTS(hints); i++)
                if (hints[i].error == error)
                        hint = hints[i].hint;
        (void) helper_fail(&check->answer, "kafka://%s: while %s: %s%s%s%s",
                           check->settings.address, stage, text, hint ? " (" : "", hint ? hint : "",
                           hint ? ")" : "");
        return -EIO;
}

static void kafka_on_error(rd_kafka_t *client, int error, const char *reason, void *userdata) {
        KafkaCheck *check = userdata;

        (void) client;
        if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
                check->unreachable = true;
                return;
        }
        check->cause = error;
        /* Out of memory: the error has a text of its own. */
        (void) string_replace(&check->cause_text, reason);
}

/* ---- set up ---- */

static const char *security_protocol(const HelperSettings *settings) {
        if (settings->tls)
                return settings->password ? "sasl_ssl" : "ssl";
        return settings->password ? "sasl_plaintext" : "plaintext";
}

static int configure(KafkaCheck *check, rd_kafka_conf_t *conf) {
        const HelperSettings *settings = &check->settings;
        const char *const properties[][2] = {
                { "bootstrap.servers", settings->address },
                { "client.id", settings->name },
                { "group.id", settings->group },
                { "security.protocol", security_protocol(settings) },
                { "sasl.mechanisms", settings->password ? settings->mechanism : NULL },
                { "sasl.username", settings->username },
                { "sasl.password", settings->password },
                { "ssl.ca.location", settings->ca_file },
                { "ssl.certificate.location", settings->certificate },
                { "ssl.key.location", settings->key ? settings->key : settings->certificate },
                /* Up to the high watermark, whatever transactions are open. */
                { "isolation.level", "read_uncommitted" },
                { "allow.auto.create.topics", "false" },
                { "enable.auto.commit", "false" },
                /* What it says to standard error is told by the answer. */
                { "log_level", "0" },
        };
        char why[512];

        for (size_t i = 0; i < ELEMENTS(properties); i++) {
                if (!properties[i][1])
                        continue;
                if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], why, sizeof(why)) !=
                    RD_KAFKA_CONF_OK)
                        /* The text may repeat the value. */
                        return helper_fail(&check->answer, "librdkafka does not take %s%s%s",
                                           properties[i][0], settings->password ? "" : ": ",
                                           settings->password ? "" : why);
        }
        rd_kafka_conf_set_opaque(conf, check);
        rd_kafka_conf_set_error_cb(conf, kafka_on_error);
        return 0;
}

static int make_client(KafkaCheck *check) {
        _cleanup_(rd_kafka_conf_destroyp) rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char why[512];
        int r;

        r = configure(check, conf);
        if (r < 0)
                return r;
        check->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
        if (!check->client)
                return helper_fail(&check->answer, "librdkafka cannot be set up: %s", why);
        /* It belongs to the client now. */
        (void) TAKE_PTR(conf);
        return 0;
}

/* ---- questions ---- */

/*
 * The partitions of the topic. Asked in short rounds, because librdkafka would go on trying until
 * the deadline where nobody listens.
 */
static int ask_for_topic(KafkaCheck *check, KafkaMetadata **ret) {
        _cleanup_(rd_kafka_topic_destroyp) rd_kafka_topic_t *topic = rd_kafka_topic_new(
                        check->client, check->settings.queue, NULL);
        rd_kafka_resp_err_t error;

        if (!topic)
                return fail(check, rd_kafka_last_error(), "asking for the topic");
        for (;;) {
                int left_ms = helper_left_ms(&check->settings);

                error = rd_kafka_metadata(check->client, 0, topic, ret,
                                          left_ms < ROUND_MS ? left_ms : ROUND_MS);
                if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
                        /* What it took to get there is no cause of anything that follows. */
                        check->cause = RD_KAFKA_RESP_ERR_NO_ERROR;
                        return 0;
                }
                (void) rd_kafka_poll(check->client, 0);
                if (error != RD_KAFKA_RESP_ERR__TIMED_OUT && error != RD_KAFKA_RESP_ERR__TRANSPORT)
                        return fail(check, error, "asking for the topic");
                if (check->unreachable || left_ms <= ROUND_MS)
                        return fail(check, RD_KAFKA_RESP_ERR__TIMED_OUT, "asking for the topic");
        }
}

static int list_partitions(KafkaCheck *check, KafkaMetadata *metadata,
                           rd_kafka_topic_partition_list_t **ret) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[0];
        rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;

        if (metadata->topic_cnt == 1 && topic->err != RD_KAFKA_RESP_ERR_NO_ERROR)
                error = topic->err;
        else if (metadata->topic_cnt == 1 && topic->partition_cnt > 0)
                error = RD_KAFKA_RESP_ERR_NO_ERROR;
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
                (void) fail(check, error, "asking for the topic");
                return -EIO;
        }
        *ret = rd_kafka_topic_partition_list_new(topic->partition_cnt);
        for (int i = 0; i < topic->partition_cnt; i++)
                (void) rd_kafka_topic_partition_list_add(*ret, check->settings.queue,
                                                         topic->partitions[i].id);
        return 0;
}

static rd_kafka_resp_err_t first_error(const rd_kafka_topic_partition_list_t *list) {
        for (int i = 0; i < list->cnt; i++)
                if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
                        return list->elems[i].err;
        return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int ask_for_committed(KafkaCheck *check, rd_kafka_topic_partition_list_t *list) {
        rd_kafka_resp_err_t error;
        bool any = false;

        error = rd_kafka_committed(check->client, list, helper_left_ms(&check->settings));
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
                error = first_error(list);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
                return fail(check, error, "asking what the group has read");
        for (int i = 0; i < list->cnt; i++)
                any = any || list->elems[i].offset >= 0;
        if (any)
                return 0;
        (void) helper_fail(&check->answer,
                           "kafka://%s: the group \"%s\" has never committed anything in the topic "
                           "\"%s\": check Group= (kafka-consumer-groups.sh --list)",
                           check->settings.address, check->settings.group, check->settings.queue);
        return -EIO;
}

/* which: RD_KAFKA_OFFSET_BEGINNING or _END, which are also the protocol's words for these times. */
static int ask_for_ends(KafkaCheck *check, const rd_kafka_topic_partition_list_t *partitions,
                        int64_t which, rd_kafka_topic_partition_list_t **ret) {
        _cleanup_(rd_kafka_topic_partition_list_destroyp) rd_kafka_topic_partition_list_t *list =
                        rd_kafka_topic_partition_list_copy(partitions);
        rd_kafka_resp_err_t error;

        for (int i = 0; i < list->cnt; i++)
                list->elems[i].offset = which;
        error = rd_kafka_offsets_for_times(check->client, list, helper_left_ms(&check->settings));
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
                error = first_error(list);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
                return fail(check, error, "asking where the partitions begin and end");
        *ret = TAKE_PTR(list);
        return 0;
}

/* A partition in which the group has committed nothing is before it from its beginning on. */
static int add_lag(KafkaCheck *check, const rd_kafka_topic_partition_list_t *begin,
                   const rd_kafka_topic_partition_list_t *end,
                   const rd_kafka_topic_partition_list_t *committed) {
        int64_t lag = 0, worst = 0, messages = 0;
        JsonWriter *json = &check->answer.json;

        for (int i = 0; i < committed->cnt; i++) {
                const char *topic = committed->elems[i].topic;
                int32_t number = committed->elems[i].partition;
                int64_t read = committed->elems[i].offset, behind;
                const rd_kafka_topic_partition_t *first, *last;

                first = rd_kafka_topic_partition_list_find((void *) begin, topic, number);
                last = rd_kafka_topic_partition_list_find((void *) end, topic, number);
                if (!first || !last)
                        return fail(check, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
                                    "asking where the partitions begin and end");
                /* What was deleted before it was read cannot be read any more. */
                behind = last->offset - (read > first->offset ? read : first->offset);
                behind = behind > 0 ? behind : 0;
                lag += behind;
                worst = behind > worst ? behind : worst;
                messages += last->offset - first->offset;
        }
        json_add_unsigned(json, "queue_size", (uint64_t) lag);
        json_add_unsigned(json, "lag", (uint64_t) lag);
        json_add_unsigned(json, "lag_max", (uint64_t) worst);
        json_add_unsigned(json, "messages", (uint64_t) (messages > 0 ? messages : 0));
        json_add_unsigned(json, "partitions", (uint64_t) committed->cnt);
        return 0;
}

static int kafka_check_run(KafkaCheck *check) {
        _cleanup_(rd_kafka_topic_partition_list_destroyp) rd_kafka_topic_partition_list_t
                        *committed = NULL,
                        *begin = NULL, *end = NULL;
        _cleanup_(rd_kafka_metadata_destroyp) KafkaMetadata *metadata = NULL;
        int r;

        r = make_client(check);
        if (r < 0)
                return r;
        r = ask_for_topic(check, &metadata);
        if (r < 0)
                return r;
        check->answer.connected = check->answer.let_in = true;
        r = list_partitions(check, metadata, &committed);
        if (r < 0)
                return r;
        r = ask_for_committed(check, committed);
        if (r < 0)
                return r;
        r = ask_for_ends(check, committed, RD_KAFKA_OFFSET_BEGINNING, &begin);
        if (r < 0)
                return r;
        r = ask_for_ends(check, committed, RD_KAFKA_OFFSET_END, &end);
        return r < 0 ? r : add_lag(check, begin, end, committed);
}

int main(int argc, char **argv) {
        KafkaCheck check = {};
        int r;

        if (helper_read_settings(argc, argv, &check.settings) < 0)
                return EXIT_FAILURE;
        helper_answer_begin(&check.answer);
        r = helper_answer_finish(&check.answer, kafka_check_run(&check));
        /*
         * The answer is written. rd_kafka_destroy() waits for the library's threads, and one of
         * them may wait for a name server, past any deadline.
         */
        _exit(r);
}
