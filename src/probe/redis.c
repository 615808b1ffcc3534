/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=redis: PING, INFO and perhaps a command of the user's, sent in one go. hiredis only writes
 * and reads the protocol here; io/stream carries it, the same way over TCP, TLS and unix sockets.
 */

#include <errno.h>
#include <hiredis/hiredis.h>
#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/probe.h"
#include "io/address.h"
#include "io/stream.h"

#define DEFAULT_ADDRESS "127.0.0.1:6379"
#define DEFAULT_PORT    6379

/* What one probe may be answered: an INFO is 5 KiB. */
#define ANSWER_MAX   (1024 * 1024)
#define ELEMENTS_MAX 65536
#define STEPS_MAX    5

typedef struct RedisProbe RedisProbe;

/* One command of the pipeline and what its reply means. */
typedef struct Step {
        const char *name; /* for people */
        /* Returns false if the probe has failed. */
        bool (*on_reply)(RedisProbe *probe, const redisReply *reply);
} Step;

struct RedisProbe {
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
        StreamTarget target;
        char *peer;        /* "127.0.0.1:6379" or the path, for people */
        StringList wanted; /* fields of INFO */
        bool wants_all;
        Step steps[STEPS_MAX];
        size_t n_steps, n_login_steps;
        TextBuffer request; /* of all steps; a kept connection is logged in and skips those */
        size_t login_length;

        /* The probe under way, or the kept connection. */
        Check *check;
        Stream *stream;
        redisReader *reader;
        redisReplyObjectFunctions functions;
        Sample sample;
        bool running, connected;
        bool reused;   /* over a kept connection */
        bool answered; /* the server said something in this probe */
        size_t step, sent, received;
        uint64_t started_usec, sent_usec;
};

typedef enum ConnectionMode {
        CONNECTION_FRESH,
        CONNECTION_PERSISTENT,
} ConnectionMode;

static const char *const connection_modes[] = { "fresh", "persistent", NULL };
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
        { "Connection", config_parse_word_of, offsetof(RedisProbe, connection), connection_modes },
        {},
};

/* What is shown of INFO unasked; conditions and Info= add to it. INFO has about 150 fields. */
static const char default_fields[] =
                "role connected_clients used_memory used_memory_rss maxmemory blocked_clients "
                "uptime_in_seconds redis_version master_link_status evicted_keys "
                "rejected_connections rdb_last_bgsave_status";

/* What to do about the errors people meet most; the first word of each is Redis's own class. */
static const struct {
        const char *prefix, *hint;
} hints[] = {
        { "NOAUTH", "set Password=, and Username= if the server has users" },
        { "WRONGPASS", "check Username= and Password=" },
        { "ERR invalid password", "check Password=" },
        { "ERR AUTH <password> called without", "the server has no password: remove Password=" },
        { "ERR Client sent AUTH, but no", "the server has no password: remove Password=" },
        { "NOPERM", "allow it with ACL SETUSER" },
        { "LOADING", "it answers when its data set is loaded" },
        { "MISCONF", "it cannot save its data: look at its log and at the disk" },
        { "MASTERDOWN", "its master does not answer" },
        { "ERR DB index", "check Database=" },
        { "ERR max number of clients", "raise maxclients, or find out who holds them" },
};

DEFINE_CLEANUP(void, freeReplyObject)

static bool number_parse(const char *text, double *ret) {
        double number;
        char *end;

        /* strtod() also takes "inf", "0x1" and leading blanks, which are no numbers to Redis. */
        if (!*text || text[strspn(text, "+-.0123456789eE")])
                return false;
        number = strtod(text, &end);
        if (*end || !isfinite(number))
                return false;
        *ret = number;
        return true;
}

static void probe_close(RedisProbe *probe) {
        probe->stream = stream_close(probe->stream);
        if (probe->reader)
                redisReaderFree(probe->reader);
        probe->reader = NULL;
        probe->connected = false;
}

static void probe_report(RedisProbe *probe) {
        if (probe->sample.result != SAMPLE_MEASURED || probe->connection != CONNECTION_PERSISTENT)
                probe_close(probe);
        probe->running = false;
        check_report(probe->check, &probe->sample);
}

/* An error reply. Redis never repeats a password in one. */
static bool probe_refused(RedisProbe *probe, const redisReply *reply) {
        const char *hint = NULL;

        if (reply->type != REDIS_REPLY_ERROR)
                return false;
        for (size_t i = 0; !hint && i < ELEMENTS(hints); i++)
                if (string_after_prefix(reply->str, hints[i].prefix))
                        hint = hints[i].hint;
        sample_fail(&probe->sample, "%s answered %s with: %s%s%s%s", probe->peer,
                    probe->steps[probe->step].name, reply->str, hint ? " (" : "", hint ? hint : "",
                    hint ? ")" : "");
        return true;
}

static bool probe_on_login_reply(RedisProbe *probe, const redisReply *reply) {
        return !probe_refused(probe, reply);
}

static double milliseconds_since(uint64_t usec) {
        return (double) (now_monotonic_usec() - usec) / (double) USEC_PER_MSEC;
}

static bool probe_on_ping_reply(RedisProbe *probe, const redisReply *reply) {
        if (probe_refused(probe, reply))
                return false;
        if (reply->type != REDIS_REPLY_STATUS || !string_equal(reply->str, "PONG")) {
                sample_fail(&probe->sample, "%s did not answer PING with PONG: is it a Redis?",
                            probe->peer);
                return false;
        }
        sample_add_string(&probe->sample, "ping", "PONG");
        sample_add_number(&probe->sample, "ping_ms", milliseconds_since(probe->sent_usec));
        return true;
}

static void probe_add_field(RedisProbe *probe, const char *name, char *value) {
        size_t length = strlen(value);
        double number;

        if (length > 1 && value[length - 1] == '%')
                value[length - 1] = '\0';
        /* "7.0" is a version, not a number to compare with. */
        if (!strstr(name, "version") && number_parse(value, &number)) {
                sample_add_number(&probe->sample, name, number);
                return;
        }
        if (length > 1 && !value[length - 1])
                value[length - 1] = '%';
        sample_add_string(&probe->sample, name, value);
}

/* What is needed of INFO to tell how far replication is behind. */
typedef struct Replication {
        double last_io, down_since, uptime, replica_lag;
        bool is_replica;
} Replication;

static void replication_take(Replication *replication, const char *name, const char *value) {
        const struct {
                const char *name;
                double *field;
        } fields[] = {
                { "master_last_io_seconds_ago", &replication->last_io },
                { "master_link_down_since_seconds", &replication->down_since },
                { "uptime_in_seconds", &replication->uptime },
        };
        const char *lag;
        double number;

        for (size_t i = 0; i < ELEMENTS(fields); i++)
                if (string_equal(name, fields[i].name) && number_parse(value, &number))
                        *fields[i].field = number;
        if (string_equal(name, "role"))
                replication->is_replica = string_equal(value, "slave");
        /* slave0:ip=127.0.0.1,port=6380,state=online,offset=42,lag=1 */
        lag = string_after_prefix(name, "slave") ? strstr(value, ",lag=") : NULL;
        if (lag && number_parse(lag + strlen(",lag="), &number) &&
            number > replication->replica_lag)
                replication->replica_lag = number;
}

/*
 * replication_lag is in seconds on either side, so that one condition fits both: on a master, how
 * long ago its slowest replica acknowledged (0 without replicas); on a replica, how long ago it
 * last heard from its master, and since it started if it never did.
 */
static double replication_lag(const Replication *replication) {
        if (!replication->is_replica)
                return replication->replica_lag;
        if (replication->last_io >= 0)
                return replication->last_io;
        return replication->down_since >= 0 ? replication->down_since : replication->uptime;
}

static bool probe_on_info_reply(RedisProbe *probe, const redisReply *reply) {
        Replication replication = { .last_io = -1, .down_since = -1 };
        char *rest, *line, *value;

        /*
         * PING was answered, so the server is well; an ACL that forbids INFO costs its fields only,
         * and a condition on one of them then says that it is absent.
         */
        if (reply->type == REDIS_REPLY_ERROR && string_after_prefix(reply->str, "NOPERM"))
                return true;
        if (probe_refused(probe, reply))
                return false;
        if (reply->type != REDIS_REPLY_STRING) {
                sample_fail(&probe->sample, "%s did not answer INFO with text: is it a Redis?",
                            probe->peer);
                return false;
        }
        for (line = strtok_r(reply->str, "\r\n", &rest); line;
             line = strtok_r(NULL, "\r\n", &rest)) {
                value = strchr(line, ':');
                if (*line == '#' || !value)
                        continue;
                *value++ = '\0';
                replication_take(&replication, line, value);
                if (probe->wants_all || string_list_contains(probe->wanted, line))
                        probe_add_field(probe, line, value);
        }
        sample_add_number(&probe->sample, "replication_lag", replication_lag(&replication));
        return true;
}

/* A list becomes its length; no value (nil) leaves the detail out. */
static bool probe_on_command_reply(RedisProbe *probe, const redisReply *reply) {
        double number;

        if (probe_refused(probe, reply))
                return false;
        if (reply->type == REDIS_REPLY_INTEGER)
                sample_add_number(&probe->sample, "reply", (double) reply->integer);
        else if (reply->type == REDIS_REPLY_ARRAY)
                sample_add_number(&probe->sample, "reply", (double) reply->elements);
        else if (reply->type != REDIS_REPLY_NIL && number_parse(reply->str, &number))
                sample_add_number(&probe->sample, "reply", number);
        else if (reply->type != REDIS_REPLY_NIL)
                sample_add_string(&probe->sample, "reply", reply->str);
        return true;
}

static int probe_open(RedisProbe *probe);

static void probe_fail_internal(RedisProbe *probe, int error) {
        sample_fail_internal(&probe->sample, "cannot probe Redis: %s", strerror(-error));
        probe_report(probe);
}

/* error: 0 for the end of the stream. */
static void probe_lost(RedisProbe *probe, int error) {
        int r;

        if (probe->reused && !probe->answered) {
                /* The kept connection died unseen, which is no verdict yet: once more, fresh. */
                probe_close(probe);
                sample_reset(&probe->sample);
                r = probe_open(probe);
                if (r < 0)
                        probe_fail_internal(probe, r);
                return;
        }
        sample_fail(&probe->sample, "%s closed the connection instead of answering %s%s%s",
                    probe->peer, probe->steps[probe->step].name, error ? ": " : "",
                    error ? strerror(-error) : "");
        probe_report(probe);
}

/* Returns false if the probe has been reported. */
static bool probe_write(RedisProbe *probe) {
        while (probe->sent < probe->request.length) {
                ssize_t n = stream_write(probe->stream, probe->request.text + probe->sent,
                                         probe->request.length - probe->sent);
                if (n == 0 || n == -EAGAIN)
                        return true;
                if (n < 0) {
                        probe_lost(probe, (int) n);
                        return false;
                }
                probe->sent += (size_t) n;
        }
        return true;
}

/* Takes the replies that are complete. Returns false if the probe has been reported. */
static bool probe_take_replies(RedisProbe *probe) {
        while (probe->step < probe->n_steps) {
                _cleanup_(freeReplyObjectp) void *reply = NULL;

                if (redisReaderGetReply(probe->reader, &reply) != REDIS_OK) {
                        sample_fail(&probe->sample, "%s does not speak Redis's protocol: %s",
                                    probe->peer, probe->reader->errstr);
                        probe_report(probe);
                        return false;
                }
                if (!reply)
                        return true;
                probe->answered = true;
                if (!probe->steps[probe->step].on_reply(probe, reply))
                        break;
                probe->step++;
        }
        probe_report(probe);
        return false;
}

static void probe_read(RedisProbe *probe) {
        char buffer[16 * 1024];

        for (;;) {
                ssize_t n = stream_read(probe->stream, buffer, sizeof(buffer));
                if (n == -EAGAIN)
                        return;
                if (n <= 0) {
                        probe_lost(probe, (int) n);
                        return;
                }
                probe->received += (size_t) n;
                if (probe->received > ANSWER_MAX) {
                        sample_fail(&probe->sample, "%s answered %s with more than 1 MiB",
                                    probe->peer, probe->steps[probe->step].name);
                        probe_report(probe);
                        return;
                }
                if (redisReaderFeed(probe->reader, buffer, (size_t) n) != REDIS_OK) {
                        probe_fail_internal(probe, -ENOMEM);
                        return;
                }
                if (!probe_take_replies(probe))
                        return;
        }
}

static void probe_begin(RedisProbe *probe, double connect_ms) {
        sample_add_boolean(&probe->sample, "connected", true);
        sample_add_number(&probe->sample, "connect_ms", connect_ms);
        probe->sent_usec = now_monotonic_usec();
        (void) probe_write(probe);
}

/* The kept connection speaks up by itself: that is its end, or nothing to build on. */
static void probe_on_idle(RedisProbe *probe) {
        probe_close(probe);
        check_run_soon(probe->check);
}

static void probe_on_event(Stream *stream, StreamEvent event, void *userdata) {
        RedisProbe *probe = userdata;

        if (!probe->running) {
                probe_on_idle(probe);
                return;
        }
        switch (event) {
        case STREAM_CONNECTED:
                probe->connected = true;
                probe_begin(probe, milliseconds_since(probe->started_usec));
                return;
        case STREAM_READABLE:
                probe_read(probe);
                return;
        case STREAM_WRITABLE:
                (void) probe_write(probe);
                return;
        case STREAM_FAILED:
                sample_add_boolean(&probe->sample, "connected", false);
                sample_fail(&probe->sample, "%s", stream_error(stream));
                probe_report(probe);
                return;
        }
}

/* hiredis allocates what a header announces: a "*2000000000" must not get that far. */
static void *reply_create_array(const redisReadTask *task, int n_elements) {
        const redisReplyObjectFunctions *functions = task->privdata;

        return n_elements <= ELEMENTS_MAX ? functions->createArray(task, n_elements) : NULL;
}
