/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Type=redis: PING, INFO and perhaps a command of the user's, sent in one go. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/time-util.h"
#include "check/probe.h"
#include "io/address.h"
#include "probe/redis-info.h"
#include "probe/redis-sample.h"

#define DEFAULT_ADDRESS "127.0.0.1:6379"

typedef struct RedisProbe {
        char *address_text;
        char *username;
        char *password;
        unsigned database;
        bool tls;
        char *ca_file;
        char *server_name;
        StringList command;
        StringList info;
        int connection;

        /* Made by prepare(). */
        Address address;
        RedisInfo *fields;
        RedisSession *session;

        Check *check;
        Sample sample;
        uint64_t sent_usec;
} RedisProbe;

static const ConfigRange database_range = { 0, INT32_MAX };

static const ConfigKey redis_keys[] = {
        { "Address", config_parse_string, offsetof(RedisProbe, address_text) },
        { "Username", config_parse_string, offsetof(RedisProbe, username) },
        { "Password", config_parse_string, offsetof(RedisProbe, password),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "Database", config_parse_unsigned, offsetof(RedisProbe, database), &database_range },
        { "TLS", config_parse_bool, offsetof(RedisProbe, tls) },
        { "CAFile", config_parse_path, offsetof(RedisProbe, ca_file) },
        { "ServerName", config_parse_string, offsetof(RedisProbe, server_name) },
        { "Command", config_parse_words, offsetof(RedisProbe, command) },
        { "Info", config_parse_words, offsetof(RedisProbe, info) },
        { "Connection", config_parse_word_of, offsetof(RedisProbe, connection),
          connection_mode_words },
        {},
};

static bool probe_on_ping_reply(RedisProbe *probe, redisReply *reply) {
        if (redis_session_refused(probe->session, reply))
                return false;
        if (reply->type != REDIS_REPLY_STATUS || !string_equal(reply->str, "PONG"))
                return redis_session_refuse(probe->session,
                                            "%s did not answer PING with PONG: is it a Redis?",
                                            redis_session_place(probe->session));
        sample_add_string(&probe->sample, "ping", "PONG");
        sample_add_number(&probe->sample, "ping_ms", time_since_ms(probe->sent_usec));
        return true;
}

static bool probe_on_info_reply(RedisProbe *probe, redisReply *reply) {
        /*
         * PING was answered, so the server is well; an ACL that forbids INFO costs its fields only,
         * and a condition on one of them then says that it is absent.
         */
        if (reply->type == REDIS_REPLY_ERROR && string_after_prefix(reply->str, "NOPERM"))
                return true;
        if (redis_session_refused(probe->session, reply))
                return false;
        if (reply->type != REDIS_REPLY_STRING)
                return redis_session_refuse(probe->session,
                                            "%s did not answer INFO with text: is it a Redis?",
                                            redis_session_place(probe->session));
        redis_info_add(probe->fields, reply->str, &probe->sample);
        return true;
}

/* A list becomes its length; no value (nil) leaves the detail out. */
static bool probe_on_command_reply(RedisProbe *probe, redisReply *reply) {
        double number;

        if (redis_session_refused(probe->session, reply))
                return false;
        if (reply->type == REDIS_REPLY_INTEGER)
                sample_add_number(&probe->sample, "reply", (double) reply->integer);
        else if (reply->type == REDIS_REPLY_ARRAY)
                sample_add_number(&probe->sample, "reply", (double) reply->elements);
        else if (reply->str && string_parse_number(reply->str, &number, NULL))
                sample_add_number(&probe->sample, "reply", number);
        else if (reply->str)
                sample_add_string(&probe->sample, "reply", reply->str);
        return true;
}

static void probe_on_connected(RedisSession *session, double connect_ms, void *userdata) {
        RedisProbe *probe = userdata;

        (void) session;
        redis_sample_add_connected(&probe->sample, connect_ms);
        probe->sent_usec = now_monotonic_usec();
}

typedef bool (*ReplyHandler)(RedisProbe *probe, redisReply *reply);

/* In the order prepare_session() adds the commands. */
static const ReplyHandler reply_handlers[] = {
        probe_on_ping_reply,
        probe_on_info_reply,
        probe_on_command_reply,
};

static bool probe_on_reply(RedisSession *session, size_t command, redisReply *reply,
                           void *userdata) {
        (void) session;
        return reply_handlers[command](userdata, reply);
}

static void probe_on_done(RedisSession *session, const RedisResult *result, void *userdata) {
        RedisProbe *probe = userdata;

        (void) session;
        redis_sample_take_result(&probe->sample, result);
        check_report(probe->check, &probe->sample);
}

static void probe_on_lost(RedisSession *session, void *userdata) {
        RedisProbe *probe = userdata;

        (void) session;
        check_run_soon(probe->check);
}

static const RedisHandlers session_handlers = {
        .on_connected = probe_on_connected,
        .on_reply = probe_on_reply,
        .on_done = probe_on_done,
        .on_lost = probe_on_lost,
};

static int redis_start(void *instance, Check *check) {
        RedisProbe *probe = instance;

        probe->check = check;
        redis_session_set_needs(probe->session, &check->needs);
        sample_reset(&probe->sample);
        return redis_session_start(probe->session, check->runtime);
}

static void redis_add_needs(const void *instance, Needs *needs) {
        const RedisProbe *probe = instance;

        needs_add(needs, &probe->session, sizeof(RedisProbe) - offsetof(RedisProbe, session));
        needs_add(needs, probe->fields, CACHE_LINE);
        sample_add_needs(&probe->sample, needs);
        redis_session_add_needs(probe->session, needs);
}

static void redis_cancel(void *instance, Sample *sample) {
        RedisProbe *probe = instance;

        redis_sample_abandon(&probe->sample, probe->session, sample);
}

static int prepare_address(RedisProbe *probe, ProbeSetup *setup) {
        const char *text = probe->address_text ? probe->address_text : DEFAULT_ADDRESS;
        int r;

        r = address_parse(text, REDIS_DEFAULT_PORT, &probe->address);
        if (r == -EINVAL)
                return probe_setup_refuse(setup, "Address",
                                          "Address= must be host:port, or the absolute path of a "
                                          "unix socket: 127.0.0.1:6379, /run/redis/redis.sock");
        if (r < 0)
                return r;
        if (probe->tls && probe->address.path)
                return probe_setup_refuse(setup, "TLS",
                                          "TLS= does not work over a unix socket: remove it");
        if (!probe->tls && (probe->ca_file || probe->server_name))
                return probe_setup_refuse(setup, probe->ca_file ? "CAFile" : "ServerName",
                                          "CAFile= and ServerName= need TLS=yes");
        return 0;
}

static int prepare_session(RedisProbe *probe) {
        const RedisSettings settings = {
                .target = {
                        .path = probe->address.path,
                        .host = probe->address.host,
                        .port = probe->address.port,
                        .tls = probe->tls,
                        .server_name = probe->server_name,
                        .ca_file = probe->ca_file,
                },
                .username = probe->username,
                .password = probe->password,
                .database = probe->database,
                .persistent = probe->connection == CONNECTION_PERSISTENT,
        };
        int r;

        r = redis_session_new(&settings, &session_handlers, probe, &probe->session);
        if (r < 0)
                return r;
        r = redis_session_add_command(probe->session, (const char *const[]){ "PING", NULL });
        if (r < 0)
                return r;
        r = redis_session_add_command(probe->session, (const char *const[]){ "INFO", NULL });
        if (r < 0 || !probe->command)
                return r;
        return redis_session_add_command(probe->session, (const char *const *) probe->command);
}

static int redis_prepare(void *instance, ProbeSetup *setup) {
        RedisProbe *probe = instance;
        int r;

        if (probe->username && !probe->password)
                return probe_setup_refuse(setup, "Username", "Username= needs Password=");
        r = prepare_address(probe, setup);
        if (r >= 0)
                r = redis_info_new(probe->info, setup->condition_names, &probe->fields);
        return r < 0 ? r : prepare_session(probe);
}

static void redis_done(void *instance) {
        RedisProbe *probe = instance;

        redis_session_free(probe->session);
        address_done(&probe->address);
        sample_done(&probe->sample);
        redis_info_free(probe->fields);
        string_list_free(probe->command);
        string_list_free(probe->info);
        string_free_secret(probe->password);
        free(probe->address_text);
        free(probe->username);
        free(probe->ca_file);
        free(probe->server_name);
}

static int redis_get_host(const void *instance, char **ret) {
        const RedisProbe *probe = instance;

        return string_replace(ret, probe->address.host);
}

const ProbeType redis_probe = {
        .name = "redis",
        .section = "Redis",
        .instance_size = sizeof(RedisProbe),
        .keys = redis_keys,
        .prepare = redis_prepare,
        .get_host = redis_get_host,
        .add_needs = redis_add_needs,
        .start = redis_start,
        .cancel = redis_cancel,
        .done = redis_done,
};
