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
#define ANSWER_MAX      (1024 * 1024)
#define ELEMENTS_MAX    65536
#define STEPS_MAX       5

/* hiredis changed its mind between 0.14 and 1.0. */
#if HIREDIS_MAJOR < 1
typedef int ElementCount;
#else
typedef size_t ElementCount;
#endif

#define FIELD_SLOTS 256

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
        StringList wanted;       /* fields of INFO */
        bool slots[FIELD_SLOTS]; /* by field_slot(): which fields may be looked at */
        bool wants_all;
        Step steps[STEPS_MAX];
        size_t n_steps, n_login_steps;
        TextBuffer request; /* of all steps; a kept connection is logged in and skips those */
        size_t login_length;

        /* The probe under way, or the kept connection. */
        Check *check;
        Stream *stream;
        redisReader *reader;
        redisReplyObjectFunctions functions; /* hiredis's own, but for arrays */
        const redisReplyObjectFunctions *hiredis_functions;
        Sample sample;
        bool running, connected;
        bool reused;   /* over a kept connection */
        bool answered; /* the server said something in this probe */
        size_t step, sent, received;
        uint64_t started_usec, sent_usec;
};

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

/* A connection that has more to say than it was asked, or has ended, is not kept. */
static bool probe_can_keep(RedisProbe *probe) {
        char more;

        return probe->connection == CONNECTION_PERSISTENT &&
               probe->sample.result == SAMPLE_MEASURED &&
               probe->reader->pos == probe->reader->len &&
               stream_read(probe->stream, &more, sizeof(more)) == -EAGAIN;
}

static void probe_report(RedisProbe *probe) {
        if (!probe_can_keep(probe))
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
        sample_fail(&probe->sample, "%s answered %s with: %s%s%s%s", stream_place(probe->stream),
                    probe->steps[probe->step].name, string_strip(reply->str), hint ? " (" : "",
                    hint ? hint : "", hint ? ")" : "");
        return true;
}

static bool probe_on_login_reply(RedisProbe *probe, const redisReply *reply) {
        return !probe_refused(probe, reply);
}

static bool probe_on_ping_reply(RedisProbe *probe, const redisReply *reply) {
        if (probe_refused(probe, reply))
                return false;
        if (reply->type != REDIS_REPLY_STATUS || !string_equal(reply->str, "PONG")) {
                sample_fail(&probe->sample, "%s did not answer PING with PONG: is it a Redis?",
                            stream_place(probe->stream));
                return false;
        }
        sample_add_string(&probe->sample, "ping", "PONG");
        sample_add_number(&probe->sample, "ping_ms", time_since_ms(probe->sent_usec));
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

static const struct {
        const char *name;
        size_t offset;
} replication_fields[] = {
        { "master_last_io_seconds_ago", offsetof(Replication, last_io) },
        { "master_link_down_since_seconds", offsetof(Replication, down_since) },
        { "uptime_in_seconds", offsetof(Replication, uptime) },
};

static void replication_take(Replication *replication, const char *name, const char *value) {
        const char *lag;
        double number;

        for (size_t i = 0; i < ELEMENTS(replication_fields); i++)
                if (string_equal(name, replication_fields[i].name) && number_parse(value, &number))
                        *(double *) (void *) ((char *) replication +
                                              replication_fields[i].offset) = number;
        if (string_equal(name, "role"))
                replication->is_replica = string_equal(value, "slave");
        /* slave0:ip=127.0.0.1,port=6380,state=online,offset=42,lag=1 */
        lag = string_after_prefix(name, "slave") ? strstr(value, ",lag=") : NULL;
        number = lag ? strtod(lag + strlen(",lag="), NULL) : 0;
        if (number > replication->replica_lag)
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

/* INFO has some 190 fields, of which a dozen are looked at: the others are passed over cheaply. */
static size_t field_slot(const char *name, size_t length) {
        return ((unsigned char) *name * 31 + length) % FIELD_SLOTS;
}

static bool probe_may_want(const RedisProbe *probe, const char *name, size_t length) {
        if (*name == '#')
                return false;
        /* "slave0", "slave17" */
        return probe->wants_all || *name == 's' || probe->slots[field_slot(name, length)];
}

static bool probe_on_info_reply(RedisProbe *probe, const redisReply *reply) {
        Replication replication = { .last_io = -1, .down_since = -1 };
        char *line, *next, *end, *value;

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
                            stream_place(probe->stream));
                return false;
        }
        for (line = reply->str; *line; line = next) {
                end = strchrnul(line, '\n');
                next = *end ? end + 1 : end;
                value = memchr(line, ':', (size_t) (end - line));
                if (!value || !probe_may_want(probe, line, (size_t) (value - line)))
                        continue;
                if (end[-1] == '\r')
                        end--;
                *end = *value++ = '\0';
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
        sample_fail(&probe->sample, "%s closed the connection instead of answering %s%s%s%s",
                    stream_place(probe->stream), probe->steps[probe->step].name, error ? ": " : "",
                    error ? strerror(-error) : "",
                    probe->answered || probe->target.tls || probe->target.path
                                    ? ""
                                    : " (if it speaks TLS there, set TLS=yes)");
        probe_report(probe);
}

static void probe_write(RedisProbe *probe) {
        while (probe->sent < probe->request.length) {
                ssize_t n = stream_write(probe->stream, probe->request.text + probe->sent,
                                         probe->request.length - probe->sent);
                if (n == 0 || n == -EAGAIN)
                        return;
                /* What the server said before it closed is the better reason: reading tells. */
                probe->sent = n < 0 ? probe->request.length : probe->sent + (size_t) n;
        }
}

/* Takes the replies that are complete. Returns false if the probe has been reported. */
static bool probe_take_replies(RedisProbe *probe) {
        while (probe->step < probe->n_steps) {
                _cleanup_(freeReplyObjectp) void *reply = NULL;

                if (redisReaderGetReply(probe->reader, &reply) != REDIS_OK) {
                        sample_fail(&probe->sample, "%s does not speak Redis's protocol: %s",
                                    stream_place(probe->stream),
                                    probe->reader->err == REDIS_ERR_OOM ? "a reply is too large"
                                                                        : probe->reader->errstr);
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
                                    stream_place(probe->stream), probe->steps[probe->step].name);
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
        probe_write(probe);
}

/* The kept connection speaks up by itself: that is its end, or nothing to build on. */
static void probe_on_idle(RedisProbe *probe) {
        char more;

        if (stream_read(probe->stream, &more, sizeof(more)) == -EAGAIN)
                return;
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
                probe_begin(probe, time_since_ms(probe->started_usec));
                return;
        case STREAM_READABLE:
                probe_read(probe);
                return;
        case STREAM_WRITABLE:
                probe_write(probe);
                return;
        case STREAM_FAILED:
                sample_add_boolean(&probe->sample, "connected", false);
                if (stream_failed_internally(stream))
                        sample_fail_internal(&probe->sample, "%s", stream_error(stream));
                else
                        sample_fail(&probe->sample, "%s", stream_error(stream));
                probe_report(probe);
                return;
        }
}

/* hiredis allocates what a header announces, and clearing "*2147483647" away takes seconds. */
static void *reply_create_array(const redisReadTask *task, ElementCount n_elements) {
        const RedisProbe *probe = task->privdata;

        if (n_elements > ELEMENTS_MAX)
                return NULL;
        return probe->hiredis_functions->createArray(task, n_elements);
}

static int probe_open(RedisProbe *probe) {
        int r;

        probe->reused = false;
        probe->step = 0;
        probe->sent = 0;
        probe->received = 0;
        probe->reader = redisReaderCreate();
        if (!probe->reader)
                return -ENOMEM;
        probe->hiredis_functions = probe->reader->fn;
        probe->functions = *probe->reader->fn;
        probe->functions.createArray = reply_create_array;
        probe->reader->fn = &probe->functions;
        probe->reader->privdata = probe;
        r = stream_open(probe->check->runtime, &probe->target, probe_on_event, probe,
                        &probe->stream);
        if (r < 0)
                probe_close(probe);
        return r;
}

static int redis_start(void *instance, Check *check) {
        RedisProbe *probe = instance;
        int r;

        probe->check = check;
        probe->started_usec = now_monotonic_usec();
        probe->answered = false;
        sample_reset(&probe->sample);
        if (!probe->stream) {
                r = probe_open(probe);
                if (r < 0)
                        return r;
                probe->running = true;
                return 0;
        }
        probe->running = true;
        probe->reused = true;
        probe->step = probe->n_login_steps;
        probe->sent = probe->login_length;
        probe->received = 0;
        /* connect_ms is 0 over a kept connection: there was nothing to wait for. */
        probe_begin(probe, 0);
        return 0;
}

static void redis_cancel(void *instance, Sample *sample) {
        RedisProbe *probe = instance;
        Sample known = probe->sample;

        probe->sample = *sample;
        *sample = known;
        if (probe->connected)
                sample_fail(sample, "no answer from %s to %s", stream_place(probe->stream),
                            probe->steps[probe->step].name);
        else {
                sample_add_boolean(sample, "connected", false);
                sample_fail(sample, "%s", stream_stage(probe->stream));
        }
        probe_close(probe);
        probe->running = false;
}

static int step_add(RedisProbe *probe, const Step *step, int argc, const char **argv) {
        char *text = NULL;
        int length = redisFormatCommandArgv(&text, argc, argv, NULL);

        if (length < 0)
                return -ENOMEM;
        text_buffer_add(&probe->request, text, (size_t) length);
        explicit_bzero(text, (size_t) length);
        redisFreeCommand(text);
        probe->steps[probe->n_steps++] = *step;
        return probe->request.failed ? -ENOMEM : 0;
}

static int prepare_login(RedisProbe *probe) {
        const char *argv[] = { "AUTH", probe->username, probe->password };
        char database[16];
        int r;

        if (probe->password) {
                /* Servers before 6 know no user names: leave the word out if none is set. */
                if (!probe->username)
                        argv[1] = probe->password;
                r = step_add(probe, &(Step){ "AUTH", probe_on_login_reply },
                             probe->username ? 3 : 2, argv);
                if (r < 0)
                        return r;
        }
        if (probe->database > 0) {
                snprintf(database, sizeof(database), "%u", probe->database);
                r = step_add(probe, &(Step){ "SELECT", probe_on_login_reply }, 2,
                             (const char *[]){ "SELECT", database });
                if (r < 0)
                        return r;
        }
        probe->n_login_steps = probe->n_steps;
        probe->login_length = probe->request.length;
        return 0;
}

static int prepare_request(RedisProbe *probe) {
        int r;

        r = prepare_login(probe);
        if (r < 0)
                return r;
        r = step_add(probe, &(Step){ "PING", probe_on_ping_reply }, 1, (const char *[]){ "PING" });
        if (r < 0)
                return r;
        r = step_add(probe, &(Step){ "INFO", probe_on_info_reply }, 1, (const char *[]){ "INFO" });
        if (r < 0 || !probe->command)
                return r;
        return step_add(probe, &(Step){ probe->command[0], probe_on_command_reply },
                        (int) string_list_length(probe->command), (const char **) probe->command);
}

static int prepare_wanted(RedisProbe *probe, const ProbeSetup *setup) {
        char *const *const lists[] = { probe->info, setup->condition_names };
        int r;

        r = string_list_add_words(&probe->wanted, default_fields);
        for (size_t i = 0; i < ELEMENTS(lists); i++)
                for (char *const *name = lists[i]; name && *name && r >= 0; name++)
                        r = string_list_add(&probe->wanted, *name);
        for (char *const *name = probe->wanted; name && *name; name++)
                probe->slots[field_slot(*name, strlen(*name))] = true;
        for (size_t i = 0; i < ELEMENTS(replication_fields); i++) {
                const char *name = replication_fields[i].name;
                probe->slots[field_slot(name, strlen(name))] = true;
        }
        probe->wants_all = string_list_contains(probe->info, "all");
        return r;
}

static int prepare_target(RedisProbe *probe, ProbeSetup *setup) {
        const char *text = probe->address_text ? probe->address_text : DEFAULT_ADDRESS;
        int r;

        r = address_parse(text, DEFAULT_PORT, &probe->address);
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
        probe->target = (StreamTarget){
                .path = probe->address.path,
                .host = probe->address.host,
                .port = probe->address.port,
                .tls = probe->tls,
                .server_name = probe->server_name,
                .ca_file = probe->ca_file,
        };
        return 0;
}

static int redis_prepare(void *instance, ProbeSetup *setup) {
        RedisProbe *probe = instance;
        int r;

        if (probe->username && !probe->password)
                return probe_setup_refuse(setup, "Username", "Username= needs Password=");
        r = prepare_target(probe, setup);
        if (r >= 0)
                r = prepare_wanted(probe, setup);
        return r < 0 ? r : prepare_request(probe);
}

static void redis_done(void *instance) {
        RedisProbe *probe = instance;

        probe_close(probe);
        if (probe->request.text)
                explicit_bzero(probe->request.text, probe->request.length);
        text_buffer_done(&probe->request);
        address_done(&probe->address);
        sample_done(&probe->sample);
        string_list_free(probe->wanted);
        string_list_free(probe->command);
        string_list_free(probe->info);
        string_free_secret(probe->password);
        free(probe->address_text);
        free(probe->username);
        free(probe->ca_file);
        free(probe->server_name);
}

const ProbeType redis_probe = {
        .name = "redis",
        .section = "Redis",
        .instance_size = sizeof(RedisProbe),
        .keys = redis_keys,
        .prepare = redis_prepare,
        .start = redis_start,
        .cancel = redis_cancel,
        .done = redis_done,
};
