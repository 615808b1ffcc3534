/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The mock brokers that librdkafka brings for tests, as a program: they speak Kafka's protocol over
 * TCP, so that Backend=kafka can be tried where no Kafka is to be had. Makes the topic "orders"
 * with three partitions of ten messages each, of which the group "billing" has read four in the
 * first, all in the second and none in the third. Prints the addresses, then obeys lines on
 * standard input:
 *
 *     request API ERROR   the next answers to requests of that kind are that error
 *     topic NAME ERROR    what is told of that topic is that error
 *
 * Errors and kinds of requests are numbers of the protocol, 0 is no error. Ends with its input.
 */

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define TOPIC        "orders"
#define GROUP        "billing"
#define PARTITIONS   3
#define MESSAGES     10
#define TIMEOUT_MS   10000
#define ERROR_REPEAT 20

static rd_kafka_t *client_new(rd_kafka_type_t type, const char *servers) {
        const char *const properties[][2] = {
                { "bootstrap.servers", servers },
                { "group.id", GROUP },
                { "enable.auto.commit", "false" },
        };
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char why[512];
        rd_kafka_t *client;

        for (size_t i = 0; i < (type == RD_KAFKA_CONSUMER ? 3 : 1); i++)
                if (properties[i][1] && rd_kafka_conf_set(conf, properties[i][0], properties[i][1],
                                                          why, sizeof(why)) != RD_KAFKA_CONF_OK)
                        exit(EXIT_FAILURE);
        client = rd_kafka_new(type, conf, why, sizeof(why));
        if (!client)
                exit(EXIT_FAILURE);
        return client;
}

static void produce(const char *servers) {
        rd_kafka_t *producer = client_new(RD_KAFKA_PRODUCER, servers);

        for (int32_t partition = 0; partition < PARTITIONS; partition++)
                for (int i = 0; i < MESSAGES; i++)
                        if (rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(TOPIC),
                                              RD_KAFKA_V_PARTITION(partition),
                                              RD_KAFKA_V_VALUE((char *) "x", 1),
                                              RD_KAFKA_V_END) != RD_KAFKA_RESP_ERR_NO_ERROR)
                                exit(EXIT_FAILURE);
        if (rd_kafka_flush(producer, TIMEOUT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
                exit(EXIT_FAILURE);
        rd_kafka_destroy(producer);
}

static void commit(const char *servers) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(2);
        rd_kafka_t *consumer = client_new(RD_KAFKA_CONSUMER, servers);

        rd_kafka_topic_partition_list_add(list, TOPIC, 0)->offset = 4;
        rd_kafka_topic_partition_list_add(list, TOPIC, 1)->offset = MESSAGES;
        if (rd_kafka_commit(consumer, list, false) != RD_KAFKA_RESP_ERR_NO_ERROR)
                exit(EXIT_FAILURE);
        rd_kafka_topic_partition_list_destroy(list);
        rd_kafka_destroy(consumer);
}

static void fail_requests(rd_kafka_mock_cluster_t *cluster, int api, int error) {
        rd_kafka_resp_err_t errors[ERROR_REPEAT];

        for (size_t i = 0; i < ERROR_REPEAT; i++)
                errors[i] = error;
        rd_kafka_mock_clear_request_errors(cluster, (int16_t) api);
        if (error != 0)
                rd_kafka_mock_push_request_errors_array(cluster, (int16_t) api, ERROR_REPEAT,
                                                        errors);
}

int main(void) {
        rd_kafka_t *owner = client_new(RD_KAFKA_PRODUCER, NULL);
        rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(owner, 1);
        const char *servers = rd_kafka_mock_cluster_bootstraps(cluster);
        char line[64], name[32];
        int api, error;

        if (rd_kafka_mock_topic_create(cluster, TOPIC, PARTITIONS, 1) != RD_KAFKA_RESP_ERR_NO_ERROR)
                return EXIT_FAILURE;
        produce(servers);
        commit(servers);
        (void) printf("%s\n", servers);
        (void) fflush(stdout);
        while (fgets(line, sizeof(line), stdin)) {
                // NOLINTBEGIN(cert-err34-c): written by the test
                if (sscanf(line, "request %d %d", &api, &error) == 2)
                        fail_requests(cluster, api, error);
                else if (sscanf(line, "topic %31s %d", name, &error) == 2)
                        rd_kafka_mock_topic_set_error(cluster, name, error);
                else
                        return EXIT_FAILURE;
                // NOLINTEND(cert-err34-c)
                (void) printf("ok\n");
                (void) fflush(stdout);
        }
        rd_kafka_mock_cluster_destroy(cluster);
        rd_kafka_destroy(owner);
        return EXIT_SUCCESS;
}
