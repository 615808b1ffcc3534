/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Log-in and SELECT 1, with the parameters and in the protocol healthd's postgresql probe uses
 * (PQsendQueryParams), on libpq's asynchronous interface and epoll.
 */

#include <libpq-fe.h>
#include <string.h>

#include "pace.h"

typedef struct PostgresqlCheck {
        Slot slot;
        PGconn *conn;
        bool connected;
        uint32_t events; /* watched for, 0: not watched */
        bool answered;
        const char *port;
} PostgresqlCheck;

static bool postgresql_setup(Pace *pace) {
        for (size_t i = 0; i < pace->n_slots; i++)
                ((PostgresqlCheck *) pace->slots[i])->port = pace->port;
        return true;
}

static void postgresql_close(PostgresqlCheck *check) {
        if (check->conn)
                PQfinish(check->conn);
        check->conn = NULL;
        check->connected = false;
        check->events = 0;
}

static void postgresql_finish(Pace *pace, PostgresqlCheck *check, bool passed) {
        if (!passed || !pace->persistent)
                postgresql_close(check);
        pace_finish(pace, &check->slot, passed);
}

static void postgresql_wait(Pace *pace, PostgresqlCheck *check, uint32_t events) {
        struct epoll_event event = { .events = events, .data.ptr = check };

        if (check->events == events)
                return;
        if (epoll_ctl(pace->epoll_fd, check->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                      PQsocket(check->conn), &event) < 0)
                postgresql_finish(pace, check, false);
        else
                check->events = events;
}

static void postgresql_send(Pace *pace, PostgresqlCheck *check) {
        check->answered = false;
        if (!PQsendQueryParams(check->conn, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0) ||
            PQflush(check->conn) != 0)
                postgresql_finish(pace, check, false);
        else
                postgresql_wait(pace, check, EPOLLIN);
}

static void postgresql_start(Pace *pace, Slot *slot) {
        static const char *const keywords[] = { "user",     "dbname",
                                                "hostaddr", "gssencmode",
                                                "passfile", "fallback_application_name",
                                                "options",  "port",
                                                NULL };
        PostgresqlCheck *check = (PostgresqlCheck *) slot;
        const char *const values[] = { "postgres",
                                       "postgres",
                                       "127.0.0.1",
                                       "disable",
                                       "/dev/null/none",
                                       "bare-postgresql",
                                       "-c statement_timeout=4500",
                                       check->port,
                                       NULL };

        if (check->connected) {
                postgresql_send(pace, check);
                return;
        }
        check->conn = PQconnectStartParams(keywords, values, 0);
        if (PQstatus(check->conn) == CONNECTION_BAD)
                postgresql_finish(pace, check, false);
        else
                postgresql_wait(pace, check, EPOLLOUT);
}

static void postgresql_connect(Pace *pace, PostgresqlCheck *check) {
        switch (PQconnectPoll(check->conn)) {
        case PGRES_POLLING_READING:
                postgresql_wait(pace, check, EPOLLIN);
                return;
        case PGRES_POLLING_WRITING:
                postgresql_wait(pace, check, EPOLLOUT);
                return;
        case PGRES_POLLING_OK:
                check->connected = PQsetnonblocking(check->conn, 1) == 0;
                postgresql_send(pace, check);
                return;
        default:
                postgresql_finish(pace, check, false);
        }
}

static void postgresql_on_event(Pace *pace, const struct epoll_event *event) {
        PostgresqlCheck *check = event->data.ptr;

        if (!check->connected) {
                postgresql_connect(pace, check);
                return;
        }
        if (!PQconsumeInput(check->conn)) {
                postgresql_finish(pace, check, false);
                return;
        }
        while (!PQisBusy(check->conn)) {
                PGresult *result = PQgetResult(check->conn);

                if (!result) {
                        postgresql_finish(pace, check, check->answered);
                        return;
                }
                check->answered = PQresultStatus(result) == PGRES_TUPLES_OK &&
                                  strcmp(PQgetvalue(result, 0, 0), "1") == 0;
                PQclear(result);
        }
}

static void postgresql_done(Pace *pace) {
        for (size_t i = 0; i < pace->n_slots; i++)
                postgresql_close((PostgresqlCheck *) pace->slots[i]);
}

int main(int argc, char *argv[]) {
        static const BareType postgresql = {
                .check_size = sizeof(PostgresqlCheck),
                .setup = postgresql_setup,
                .start = postgresql_start,
                .on_event = postgresql_on_event,
                .done = postgresql_done,
        };

        return pace_main(&postgresql, argc, argv);
}
