/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=postgresql: logs in, runs one statement and measures its first row, with libpq's
 * asynchronous interface. While it connects, libpq closes and reopens its socket when it likes,
 * often under the same number: the socket is unwatched before every call that may do so, and
 * watched anew afterwards. Once connected it only closes it, when the connection has ended, and
 * probe_drop() follows before anything else can get that number.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/probe.h"
#include "probe/postgresql-answer.h"
#include "probe/postgresql-login.h"

/* How long an address may be silent while there is another one to try. */
#define ADDRESS_USEC   (2 * USEC_PER_SEC)

/* More rows than this are not read to their end: dropping the connection is cheaper. */
#define ROWS_MAX       100

#define QUERY_DEFAULT  "SELECT 1"
#define QUERY_RECOVERY "SELECT pg_catalog.pg_is_in_recovery()"

typedef enum Stage {
        STAGE_IDLE, /* no probe under way; a connection may be kept */
        STAGE_RESOLVING,
        STAGE_CONNECTING,
        STAGE_RECOVERY, /* asking an old server whether it is a standby */
        STAGE_QUERY,
} Stage;

typedef struct PostgresqlProbe PostgresqlProbe;

struct PostgresqlProbe {
        PostgresqlLogin login;
        char *query;
        int connection;

        /* The probe under way, or the kept connection. */
        Check *check;
        Stage stage;
        PGconn *conn;
        IoSource source;
        Timer silence;
        TextBuffer tried; /* what became of addresses before the present one, each with "; " */
        Sample sample;
        size_t n_rows;
        uint64_t started_usec, sent_usec;
        bool reused;   /* over a kept connection */
        bool answered; /* the server said something in this probe */
};

static const ConfigRange port_range = { 1, 65535 };

static const ConfigKey postgresql_keys[] = {
        { "ConnectionString", config_parse_string,
          offsetof(PostgresqlProbe, login.connection_string),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "Host", config_parse_string, offsetof(PostgresqlProbe, login.host) },
        { "Port", config_parse_unsigned, offsetof(PostgresqlProbe, login.port), &port_range },
        { "User", config_parse_string, offsetof(PostgresqlProbe, login.user) },
        { "Database", config_parse_string, offsetof(PostgresqlProbe, login.database) },
        { "SSLMode", config_parse_word_of, offsetof(PostgresqlProbe, login.ssl_mode),
          postgresql_ssl_modes },
        { "Password", config_parse_string, offsetof(PostgresqlProbe, login.password),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "Query", config_parse_string, offsetof(PostgresqlProbe, query) },
        { "Connection", config_parse_word_of, offsetof(PostgresqlProbe, connection),
          connection_mode_words },
        {},
};

DEFINE_CLEANUP(PGresult, PQclear)

static void probe_drop(PostgresqlProbe *probe) {
        io_source_remove(&probe->source);
        timer_disarm(&probe->silence);
        if (probe->conn)
                PQfinish(probe->conn);
        probe->conn = NULL;
}

/* Without a good-bye, which nobody would read, and so that a backend at work notices. */
static void probe_drop_hard(PostgresqlProbe *probe) {
        io_source_remove(&probe->source);
        if (probe->conn && PQsocket(probe->conn) >= 0)
                (void) shutdown(PQsocket(probe->conn), SHUT_RDWR);
        probe_drop(probe);
}

static void probe_report(PostgresqlProbe *probe) {
        probe->stage = STAGE_IDLE;
        check_report(probe->check, &probe->sample);
}

/* Fails with libpq's message; what: "" or what was tried. */
static void probe_fail(PostgresqlProbe *probe, const char *what, const char *message) {
        _cleanup_free_ char *text = postgresql_message_flatten(message);
        const char *hint = text ? postgresql_message_hint(text) : NULL;

        if (!text || strstr(text, "could not create socket"))
                /* Out of memory or descriptors: that says nothing about the server. */
                sample_fail_internal(&probe->sample, "%s", text ? text : "out of memory");
        else if (!*text)
                sample_fail(&probe->sample, "%sthe connection ended without a reason", what);
        else
                sample_fail(&probe->sample, "%s%s%s%s%s", what, text, hint ? " (" : "",
                            hint ? hint : "", hint ? ")" : "");
        probe_drop(probe);
        probe_report(probe);
}

static void probe_fail_internal(PostgresqlProbe *probe, int error) {
        sample_fail_internal(&probe->sample, "cannot probe PostgreSQL: %s", strerror(-error));
        probe_drop(probe);
        probe_report(probe);
}

static void probe_fail_connect(PostgresqlProbe *probe) {
        sample_add_boolean(&probe->sample, "connected", false);
        probe_fail(probe, probe->tried.text ? probe->tried.text : "", PQerrorMessage(probe->conn));
}

/* Keeps what libpq says of addresses it is through with: an unfinished line is of the present. */
static void probe_note_tried(PostgresqlProbe *probe) {
        const char *message = PQerrorMessage(probe->conn), *end = strrchr(message, '\n');
        _cleanup_free_ char *lines = strndup(message, end ? (size_t) (end - message) : 0);
        _cleanup_free_ char *text = postgresql_message_flatten(lines);

        if (!string_is_empty(text))
                text_buffer_printf(&probe->tried, "%s; ", text);
}

static void probe_on_event(IoSource *source, uint32_t revents, void *userdata);

static int probe_watch(PostgresqlProbe *probe, uint32_t events) {
        if (probe->source.reactor)
                return io_source_modify(&probe->source, events);
        return io_source_add(&probe->source, probe->check->runtime->reactor, PQsocket(probe->conn),
                             events, probe_on_event, probe);
}

static void probe_wait(PostgresqlProbe *probe, uint32_t events) {
        int r = probe_watch(probe, events);

        if (r < 0)
                probe_fail_internal(probe, r);
}

static void probe_finish(PostgresqlProbe *probe) {
        /* A BEGIN in Query= must not hold a transaction open between probes. */
        bool keep = probe->connection == CONNECTION_PERSISTENT &&
                    PQtransactionStatus(probe->conn) == PQTRANS_IDLE;

        if (!keep || probe_watch(probe, EPOLLIN) < 0)
                probe_drop(probe);
        probe_report(probe);
}

static int probe_resolve(PostgresqlProbe *probe);

static void probe_lost(PostgresqlProbe *probe) {
        int r;

        if (!probe->reused || probe->answered) {
                probe_fail(probe, "", PQerrorMessage(probe->conn));
                return;
        }
        /* The kept connection died unseen, which is no verdict yet: once more with a fresh one. */
        probe->reused = false;
        sample_reset(&probe->sample);
        probe_drop(probe);
        r = probe_resolve(probe);
        if (r < 0)
                probe_fail_internal(probe, r);
}

static void probe_send(PostgresqlProbe *probe, Stage stage, const char *text) {
        int flushed;

        probe->stage = stage;
        probe->n_rows = 0;
        probe->sent_usec = now_monotonic_usec();
        /* With parameters, though there are none: so the server takes one statement only. */
        if (!PQsendQueryParams(probe->conn, text, 0, NULL, NULL, NULL, NULL, 0)) {
                probe_lost(probe);
                return;
        }
        (void) PQsetSingleRowMode(probe->conn);
        flushed = PQflush(probe->conn);
        if (flushed < 0)
                probe_lost(probe);
        else
                probe_wait(probe, flushed ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void probe_send_query(PostgresqlProbe *probe) {
        probe_send(probe, STAGE_QUERY, probe->query ? probe->query : QUERY_DEFAULT);
}

/* connect_ms is 0 over a kept connection: there was nothing to wait for. */
static void probe_on_connected(PostgresqlProbe *probe, double connect_ms) {
        const char *version = PQparameterStatus(probe->conn, "server_version");
        const char *standby = PQparameterStatus(probe->conn, "in_hot_standby");

        sample_add_boolean(&probe->sample, "connected", true);
        sample_add_number(&probe->sample, "connect_ms", connect_ms);
        if (version)
                sample_add_string(&probe->sample, "server_version", version);
        if (standby) {
                sample_add_boolean(&probe->sample, "in_recovery", string_equal(standby, "on"));
                probe_send_query(probe);
        } else
                /* A server before 14, or a pooler, does not tell by itself. */
                probe_send(probe, STAGE_RECOVERY, QUERY_RECOVERY);
}

static uint64_t probe_left_usec(const PostgresqlProbe *probe) {
        uint64_t deadline = check_deadline_usec(probe->check), now = now_monotonic_usec();

        return deadline > now ? deadline - now : 0;
}

/* How long the address being connected to may be silent; UINT64_MAX: as long as we have. */
static uint64_t probe_patience_usec(const PostgresqlProbe *probe) {
        size_t n_others = postgresql_login_n_others(&probe->login, probe->conn);
        uint64_t share_usec = probe_left_usec(probe) / (n_others + 1);

        if (n_others == 0)
                return UINT64_MAX;
        return share_usec < ADDRESS_USEC ? share_usec : ADDRESS_USEC;
}

/* libpq's own time-out for an address works only where it may block. */
static void probe_wait_connection(PostgresqlProbe *probe, uint32_t events) {
        uint64_t patience_usec = UINT64_MAX;
        int r = 0;

        timer_disarm(&probe->silence);
        /* After every step that leaves it there another attempt has begun. */
        if (PQstatus(probe->conn) == CONNECTION_STARTED)
                patience_usec = probe_patience_usec(probe);
        if (patience_usec != UINT64_MAX)
                r = timer_arm_after(&probe->silence, patience_usec);
        if (r < 0)
                probe_fail_internal(probe, r);
        else
                probe_wait(probe, events);
}

static void probe_poll_connection(PostgresqlProbe *probe) {
        switch (PQconnectPoll(probe->conn)) {
        case PGRES_POLLING_READING:
                probe_wait_connection(probe, EPOLLIN);
                return;
        case PGRES_POLLING_WRITING:
                probe_wait_connection(probe, EPOLLOUT);
                return;
        case PGRES_POLLING_OK:
                timer_disarm(&probe->silence);
                if (PQsetnonblocking(probe->conn, 1) < 0)
                        probe_fail_connect(probe);
                else
                        probe_on_connected(probe, time_since_ms(probe->started_usec));
                return;
        default:
                probe_fail_connect(probe);
        }
}

static void probe_take_row(PostgresqlProbe *probe, const PGresult *result) {
        if (probe->stage == STAGE_RECOVERY)
                postgresql_sample_add_column(&probe->sample, "in_recovery", result, 0);
        else
                postgresql_sample_add_row(&probe->sample, result);
}

static void probe_fail_query(PostgresqlProbe *probe, const PGresult *result) {
        const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
        const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

        /* FATAL: the server ends the connection, say at its shutdown. */
        if (PQstatus(probe->conn) == CONNECTION_BAD || string_equal(severity, "FATAL")) {
                probe_lost(probe);
                return;
        }
        probe_fail(probe, "Query= failed: ", primary ? primary : PQresultErrorMessage(result));
}

/* Returns true if the probe goes on. */
static bool probe_take_result(PostgresqlProbe *probe, const PGresult *result) {
        switch (PQresultStatus(result)) {
        case PGRES_SINGLE_TUPLE:
        case PGRES_TUPLES_OK:
        case PGRES_COMMAND_OK:
        case PGRES_EMPTY_QUERY:
                break;
        case PGRES_COPY_IN:
        case PGRES_COPY_OUT:
        case PGRES_COPY_BOTH:
                probe_fail(probe, "", "Query= must not be a COPY; write a SELECT");
                return false;
        default:
                if (probe->stage == STAGE_RECOVERY && PQstatus(probe->conn) == CONNECTION_OK)
                        return true; /* a pooler that knows no such function: in_recovery is absent
                                      */
                probe_fail_query(probe, result);
                return false;
        }
        probe->answered = true;
        if (probe->stage == STAGE_QUERY && !sample_find(&probe->sample, "query_ms"))
                sample_add_number(&probe->sample, "query_ms", time_since_ms(probe->sent_usec));
        if (PQntuples(result) == 0)
                return true;
        if (probe->n_rows++ == 0)
                probe_take_row(probe, result);
        if (probe->n_rows <= ROWS_MAX)
                return true;
        probe_drop_hard(probe);
        probe_report(probe);
        return false;
}

static void probe_receive(PostgresqlProbe *probe) {
        int flushed;

        if (!PQconsumeInput(probe->conn)) {
                probe_lost(probe);
                return;
        }
        flushed = PQflush(probe->conn);
        if (flushed < 0) {
                probe_lost(probe);
                return;
        }
        while (!PQisBusy(probe->conn)) {
                _cleanup_(PQclearp) PGresult *result = PQgetResult(probe->conn);

                if (result) {
                        if (!probe_take_result(probe, result))
                                return;
                        continue;
                }
                if (probe->stage == STAGE_RECOVERY)
                        probe_send_query(probe);
                else
                        probe_finish(probe);
                return;
        }
        probe_wait(probe, flushed ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* The kept connection speaks up by itself: a changed setting, or its end. */
static void probe_on_idle(PostgresqlProbe *probe) {
        PGnotify *notify;

        if (PQconsumeInput(probe->conn) && PQisBusy(probe->conn) == 0 &&
            PQstatus(probe->conn) == CONNECTION_OK) {
                while ((notify = PQnotifies(probe->conn)))
                        PQfreemem(notify);
                return;
        }
        probe_drop(probe);
        check_run_soon(probe->check);
}

static void probe_on_event(IoSource *source, uint32_t revents, void *userdata) {
        static void (*const handlers[])(PostgresqlProbe * probe) = {
                [STAGE_IDLE] = probe_on_idle,
                [STAGE_RESOLVING] = NULL,
                [STAGE_CONNECTING] = probe_poll_connection,
                [STAGE_RECOVERY] = probe_receive,
                [STAGE_QUERY] = probe_receive,
        };
        PostgresqlProbe *probe = userdata;

        (void) revents;
        if (probe->stage == STAGE_CONNECTING)
                io_source_remove(source);
        handlers[probe->stage](probe);
}

/* libpq would print them. */
static void probe_ignore_notice(void *userdata, const char *message) {
        (void) userdata;
        (void) message;
}

/* A statement that outlives our deadline would leave a backend behind, and one more each time. */
static uint64_t probe_statement_timeout_msec(const PostgresqlProbe *probe) {
        uint64_t msec = probe_left_usec(probe) / USEC_PER_MSEC * 9 / 10;

        return msec ? msec : 1;
}

/* Returns 0 also if the probe failed and was reported; negative if it could not be begun. */
static int probe_connect(PostgresqlProbe *probe) {
        const PostgresqlServer *server = &probe->login.servers[0];
        int r;

        if (!postgresql_login_is_resolved(&probe->login)) {
                sample_add_boolean(&probe->sample, "connected", false);
                sample_fail(&probe->sample, "cannot resolve %s: %s", server->host,
                            server->error ? server->error : "no address");
                probe_report(probe);
                return 0;
        }
        r = postgresql_login_open(&probe->login, probe_statement_timeout_msec(probe), &probe->conn);
        if (r < 0)
                return r;
        probe->stage = STAGE_CONNECTING;
        (void) PQsetNoticeProcessor(probe->conn, probe_ignore_notice, NULL);
        if (PQstatus(probe->conn) == CONNECTION_BAD)
                probe_fail_connect(probe);
        else
                probe_wait_connection(probe, EPOLLOUT);
        return 0;
}

static void probe_on_silence(Timer *timer, void *userdata) {
        PostgresqlProbe *probe = userdata;
        _cleanup_free_ char *place = NULL;
        int r;

        (void) timer;
        probe_note_tried(probe);
        r = postgresql_login_format_place(probe->conn, &place);
        if (r >= 0)
                text_buffer_printf(&probe->tried, "no answer from %s; ", place);
        postgresql_login_pass_over(&probe->login, probe->conn);
        probe_drop(probe);
        if (r >= 0)
                r = probe_connect(probe);
        if (r < 0)
                probe_fail_internal(probe, r);
}

static void probe_on_resolved(int error, void *userdata) {
        PostgresqlProbe *probe = userdata;
        int r = error;

        if (r >= 0)
                r = probe_connect(probe);
        if (r < 0)
                probe_fail_internal(probe, r);
}

static int probe_resolve(PostgresqlProbe *probe) {
        int r;

        probe->stage = STAGE_RESOLVING;
        r = postgresql_login_resolve(&probe->login, probe->check->runtime->resolver,
                                     probe_on_resolved, probe);
        return r > 0 ? probe_connect(probe) : r;
}

static int postgresql_start(void *instance, Check *check) {
        PostgresqlProbe *probe = instance;

        probe->check = check;
        probe->started_usec = now_monotonic_usec();
        probe->reused = probe->conn;
        probe->answered = false;
        timer_init(&probe->silence, check->runtime->scheduler, probe_on_silence, probe);
        text_buffer_done(&probe->tried);
        sample_reset(&probe->sample);
        if (!probe->conn)
                return probe_resolve(probe);
        probe_on_connected(probe, 0);
        return 0;
}

/* What the deadline interrupted. */
static void probe_describe_wait(PostgresqlProbe *probe, Sample *sample) {
        _cleanup_free_ char *place = NULL;
        const char *what;

        if (probe->stage == STAGE_RESOLVING) {
                for (size_t i = 0; i < probe->login.n_servers; i++)
                        if (probe->login.servers[i].query)
                                sample_fail(sample, "resolving %s", probe->login.servers[i].host);
                return;
        }
        (void) postgresql_login_format_place(probe->conn, &place);
        if (probe->stage == STAGE_CONNECTING) {
                probe_note_tried(probe);
                what = PQstatus(probe->conn) == CONNECTION_STARTED ? "connecting to"
                                                                   : "no answer to the log-in from";
                sample_fail(sample, "%s%s %s", probe->tried.text ? probe->tried.text : "", what,
                            place ? place : "");
        } else
                sample_fail(sample, "no answer to %s from %s",
                            probe->stage == STAGE_QUERY ? "Query=" : "pg_is_in_recovery()",
                            place ? place : "");
}

static void postgresql_cancel(void *instance, Sample *sample) {
        PostgresqlProbe *probe = instance;
        Sample known = probe->sample;

        probe->sample = *sample;
        *sample = known;
        if (probe->stage == STAGE_RESOLVING || probe->stage == STAGE_CONNECTING)
                sample_add_boolean(sample, "connected", false);
        probe_describe_wait(probe, sample);
        postgresql_login_cancel(&probe->login);
        probe_drop_hard(probe);
        probe->stage = STAGE_IDLE;
}

static int postgresql_prepare(void *instance, ProbeSetup *setup) {
        PostgresqlProbe *probe = instance;

        return postgresql_login_prepare(&probe->login, setup);
}

static void postgresql_done(void *instance) {
        PostgresqlProbe *probe = instance;

        probe_drop(probe);
        postgresql_login_done(&probe->login);
        sample_done(&probe->sample);
        text_buffer_done(&probe->tried);
        free(probe->query);
}

static int postgresql_get_host(const void *instance, char **ret) {
        const PostgresqlProbe *probe = instance;
        const PostgresqlServer *server = probe->login.servers;
        const char *host;

        if (probe->login.n_servers == 0)
                return 0;
        host = *server->address ? server->address : server->host;
        /* A directory, or the default one, of a unix socket. */
        return *host && *host != '/' && *host != '@' ? string_replace(ret, host) : 0;
}

const ProbeType postgresql_probe = {
        .name = "postgresql",
        .section = "PostgreSQL",
        .instance_size = sizeof(PostgresqlProbe),
        .keys = postgresql_keys,
        .prepare = postgresql_prepare,
        .get_host = postgresql_get_host,
        .start = postgresql_start,
        .cancel = postgresql_cancel,
        .done = postgresql_done,
};
