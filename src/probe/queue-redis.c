/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend=redis-list and Backend=redis-stream: Queue= is a key. Of a list there is only its length,
 * and an empty one does not exist. A stream has groups, which have consumers; Group= is one of
 * them.
 */

#include <errno.h>
#include <string.h>

#include "probe/queue-backend.h"
#include "probe/redis-sample.h"

/* What the two kinds of queues differ in, for people. */
typedef struct QueueKind {
        const char *noun;
        const char *other;   /* Backend= that the key may need instead */
        const char *allowed; /* for ACL SETUSER */
} QueueKind;

static const QueueKind list_kind = { "list", "redis-stream", "+llen" };
static const QueueKind stream_kind = { "stream", "redis-list", "+xlen +xinfo|groups" };

typedef struct RedisQueue {
        const QueueSettings *settings; /* borrowed */
        const QueueKind *kind;
        RedisSession *session;
        Check *check;
        Sample sample;
} RedisQueue;

static bool queue_fail_wrong_type(RedisQueue *queue) {
        return redis_session_refuse(
                        queue->session,
                        "%s: the key \"%s\" is no %s: see what it is by \"redis-cli TYPE %s\", "
                        "then correct Queue=, or write Backend=%s",
                        redis_session_place(queue->session), queue->settings->queue,
                        queue->kind->noun, queue->settings->queue, queue->kind->other);
}

static bool queue_fail_absent(RedisQueue *queue) {
        return redis_session_refuse(queue->session,
                                    "%s: there is no %s \"%s\": check Queue= and Database= "
                                    "(a producer makes it with its first XADD)",
                                    redis_session_place(queue->session), queue->kind->noun,
                                    queue->settings->queue);
}

static bool queue_fail_forbidden(RedisQueue *queue, const char *said) {
        const char *user = queue->settings->username;

        return redis_session_refuse(queue->session, "%s: %s (allow it: ACL SETUSER %s ~%s %s)",
                                    redis_session_place(queue->session), said,
                                    user ? user : "default", queue->settings->queue,
                                    queue->kind->allowed);
}

/* Whether the reply is an error; then the probe has failed with it. */
static bool queue_refused(RedisQueue *queue, const redisReply *reply) {
        if (reply->type != REDIS_REPLY_ERROR)
                return false;
        if (string_after_prefix(reply->str, "WRONGTYPE"))
                return !queue_fail_wrong_type(queue);
        if (string_after_prefix(reply->str, "NOPERM"))
                return !queue_fail_forbidden(queue, string_strip(reply->str));
        if (string_after_prefix(reply->str, "ERR no such key"))
                return !queue_fail_absent(queue);
        return redis_session_refused(queue->session, reply);
}

static bool queue_take_length(RedisQueue *queue, const redisReply *reply, const char *name) {
        if (queue_refused(queue, reply))
                return false;
        if (reply->type != REDIS_REPLY_INTEGER)
                return redis_session_refuse(queue->session,
                                            "%s answered with something else than the length of a "
                                            "%s: is it a Redis?",
                                            redis_session_place(queue->session), queue->kind->noun);
        sample_add_number(&queue->sample, name, (double) reply->integer);
        return true;
}

static bool list_on_reply(RedisSession *session, size_t command, redisReply *reply,
                          void *userdata) {
        (void) session;
        (void) command;
        return queue_take_length(userdata, reply, "queue_size");
}

/* A group is a list of names and values. Returns NULL if there is no such name. */
static const redisReply *group_find(const redisReply *group, const char *name) {
        if (group->type != REDIS_REPLY_ARRAY)
                return NULL;
        for (size_t i = 0; i + 1 < group->elements; i += 2)
                if (string_equal(group->element[i]->str, name))
                        return group->element[i + 1];
        return NULL;
}

static double group_number(const redisReply *group, const char *name, double otherwise) {
        const redisReply *value = group_find(group, name);

        return value && value->type == REDIS_REPLY_INTEGER ? (double) value->integer : otherwise;
}

/*
 * How many entries the group has not been given. Redis tells since version 7, unless entries were
 * deleted from the middle of the stream. Else it is known only of a group that was given nothing.
 * Negative: not known.
 */
static double group_lag(const redisReply *group, double length) {
        const redisReply *last = group_find(group, "last-delivered-id");

        return group_number(group, "lag", last && string_equal(last->str, "0-0") ? length : -1);
}

static bool stream_take_group(RedisQueue *queue, const redisReply *group) {
        const Detail *messages = sample_find(&queue->sample, "messages");
        double lag = group_lag(group, messages ? messages->number : -1);

        if (lag >= 0) {
                sample_add_number(&queue->sample, "queue_size", lag);
                sample_add_number(&queue->sample, "lag", lag);
        }
        sample_add_number(&queue->sample, "unacknowledged", group_number(group, "pending", 0));
        sample_add_number(&queue->sample, "consumers", group_number(group, "consumers", 0));
        return true;
}

static bool stream_find_group(RedisQueue *queue, const redisReply *groups) {
        const QueueSettings *settings = queue->settings;

        for (size_t i = 0; i < groups->elements; i++) {
                const redisReply *name = group_find(groups->element[i], "name");
                if (name && string_equal(name->str, settings->group))
                        return stream_take_group(queue, groups->element[i]);
        }
        return redis_session_refuse(queue->session,
                                    "%s: the stream \"%s\" has no group \"%s\": check Group= "
                                    "(redis-cli XINFO GROUPS %s)",
                                    redis_session_place(queue->session), settings->queue,
                                    settings->group, settings->queue);
}

/* Without Group=, of all groups together. */
static bool stream_take_groups(RedisQueue *queue, const redisReply *groups) {
        double unacknowledged = 0, consumers = 0;

        for (size_t i = 0; i < groups->elements; i++) {
                unacknowledged += group_number(groups->element[i], "pending", 0);
                consumers += group_number(groups->element[i], "consumers", 0);
        }
        sample_add_number(&queue->sample, "groups", (double) groups->elements);
        sample_add_number(&queue->sample, "unacknowledged", unacknowledged);
        sample_add_number(&queue->sample, "consumers", consumers);
        return true;
}

static bool stream_on_reply(RedisSession *session, size_t command, redisReply *reply,
                            void *userdata) {
        RedisQueue *queue = userdata;
        const char *group = queue->settings->group;

        if (command == 0)
                return queue_take_length(queue, reply, group ? "messages" : "queue_size");
        if (queue_refused(queue, reply))
                return false;
        if (reply->type != REDIS_REPLY_ARRAY)
                return redis_session_refuse(session,
                                            "%s answered with something else than the groups of a "
                                            "stream: is it a Redis?",
                                            redis_session_place(session));
        return group ? stream_find_group(queue, reply) : stream_take_groups(queue, reply);
}

static void queue_on_connected(RedisSession *session, double connect_ms, void *userdata) {
        RedisQueue *queue = userdata;

        (void) session;
        redis_sample_add_connected(&queue->sample, connect_ms);
}

static void queue_on_done(RedisSession *session, const RedisResult *result, void *userdata) {
        RedisQueue *queue = userdata;

        (void) session;
        redis_sample_take_result(&queue->sample, result);
        if (!result->connected && result->outcome == REDIS_FAILED && !queue->settings->tls)
                sample_fail(&queue->sample, "%s (is a Redis server there? check Address=)",
                            result->error);
        check_report(queue->check, &queue->sample);
}

static void queue_on_lost(RedisSession *session, void *userdata) {
        RedisQueue *queue = userdata;

        (void) session;
        check_run_soon(queue->check);
}

static const RedisHandlers list_handlers = {
        .on_connected = queue_on_connected,
        .on_reply = list_on_reply,
        .on_done = queue_on_done,
        .on_lost = queue_on_lost,
};

static const RedisHandlers stream_handlers = {
        .on_connected = queue_on_connected,
        .on_reply = stream_on_reply,
        .on_done = queue_on_done,
        .on_lost = queue_on_lost,
};

static int queue_prepare(RedisQueue *queue, const QueueSettings *settings, const QueueKind *kind,
                         const RedisHandlers *handlers) {
        const RedisSettings session_settings = {
                .target = {
                        .path = settings->address.path,
                        .host = settings->address.host,
                        .port = settings->address.port,
                        .tls = settings->tls,
                        .server_name = settings->server_name,
                        .ca_file = settings->ca_file,
                },
                .username = settings->username,
                .password = settings->password,
                .database = settings->database,
                .persistent = settings->connection == CONNECTION_PERSISTENT,
        };

        queue->settings = settings;
        queue->kind = kind;
        return redis_session_new(&session_settings, handlers, queue, &queue->session);
}

static int list_prepare(void *instance, const QueueSettings *settings, ProbeSetup *setup) {
        RedisQueue *queue = instance;
        int r;

        (void) setup;
        r = queue_prepare(queue, settings, &list_kind, &list_handlers);
        if (r < 0)
                return r;
        return redis_session_add_command(queue->session,
                                         (const char *const[]){ "LLEN", settings->queue, NULL });
}

static int stream_prepare(void *instance, const QueueSettings *settings, ProbeSetup *setup) {
        RedisQueue *queue = instance;
        int r;

        (void) setup;
        r = queue_prepare(queue, settings, &stream_kind, &stream_handlers);
        if (r < 0)
                return r;
        r = redis_session_add_command(queue->session,
                                      (const char *const[]){ "XLEN", settings->queue, NULL });
        if (r < 0)
                return r;
        return redis_session_add_command(
                        queue->session,
                        (const char *const[]){ "XINFO", "GROUPS", settings->queue, NULL });
}

static int queue_start(void *instance, Check *check) {
        RedisQueue *queue = instance;

        queue->check = check;
        sample_reset(&queue->sample);
        return redis_session_start(queue->session, check->runtime);
}

static void queue_cancel(void *instance, Sample *sample) {
        RedisQueue *queue = instance;

        redis_sample_abandon(&queue->sample, queue->session, sample);
}

static void queue_done(void *instance) {
        RedisQueue *queue = instance;

        redis_session_free(queue->session);
        sample_done(&queue->sample);
}

#define COMMON_KEYS                                                                                \
        (QUEUE_USERNAME | QUEUE_PASSWORD | QUEUE_DATABASE | QUEUE_TLS | QUEUE_CA_FILE |            \
         QUEUE_SERVER_NAME | QUEUE_CONNECTION)

const QueueBackend queue_backend_redis_list = {
        .name = "redis-list",
        .takes = COMMON_KEYS,
        .port = REDIS_DEFAULT_PORT,
        .takes_path = true,
        .instance_size = sizeof(RedisQueue),
        .prepare = list_prepare,
        .start = queue_start,
        .cancel = queue_cancel,
        .done = queue_done,
};

const QueueBackend queue_backend_redis_stream = {
        .name = "redis-stream",
        .takes = COMMON_KEYS | QUEUE_GROUP,
        .port = REDIS_DEFAULT_PORT,
        .takes_path = true,
        .instance_size = sizeof(RedisQueue),
        .prepare = stream_prepare,
        .start = queue_start,
        .cancel = queue_cancel,
        .done = queue_done,
};
