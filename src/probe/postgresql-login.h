/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where and as whom Type=postgresql logs in. libpq must never look a name up itself, because it
 * would block the loop: every host is resolved here and handed over as hostaddr=.
 */

#include "check/probe.h"
#include "io/libpq.h"
#include "io/resolver.h"

typedef struct PostgresqlLogin PostgresqlLogin;

/* Every look-up has ended, well or not; or error is negative and we failed. */
typedef void (*PostgresqlLoginHandler)(int error, void *userdata);

/* One of the servers of host=a,b,c. */
typedef struct PostgresqlServer {
        PostgresqlLogin *login;
        char *host;           /* a name, a socket directory, or "" for the default one */
        char *address;        /* hostaddr= as configured, or "" */
        char *port;           /* or "" for the default one */
        StringList addresses; /* what libpq is given this time; empty: could not be resolved */
        char *error;          /* what the resolver said */
        ResolverQuery *query;
} PostgresqlServer;

/* Zeroed at first; embedded in its owner, which fills in the first part. */
struct PostgresqlLogin {
        char *connection_string;
        char *host;
        unsigned port;
        char *user;
        char *database;
        int ssl_mode; /* an index of postgresql_ssl_modes, 0: not set */
        char *password;

        /* Made by prepare(). */
        StringList keywords, values; /* for libpq, but hosts and options */
        char *options;
        PostgresqlServer *servers;
        size_t n_servers;
        bool any_order; /* libpq goes through the servers twice, or in an order of its own */

        size_t n_pending; /* look-ups */
        PostgresqlLoginHandler on_resolved;
        void *userdata;
};

/* "", "disable", "allow" and so on, NULL-terminated. */
extern const char *const postgresql_ssl_modes[];

/* Checks the keys together and reads the connection string; as ProbeType.prepare(). */
int postgresql_login_prepare(PostgresqlLogin *login, ProbeSetup *setup);
void postgresql_login_done(PostgresqlLogin *login);

/*
 * Looks up every host that is a name. Returns 0 if on_resolved will be called from the loop, 1 if
 * there is nothing to wait for (it is not called then), or a negative errno.
 */
int postgresql_login_resolve(PostgresqlLogin *login, Resolver *resolver,
                             PostgresqlLoginHandler on_resolved, void *userdata);
/* Forgets the look-ups under way. */
void postgresql_login_cancel(PostgresqlLogin *login);

/* Whether any server has an address to go to; if not, the first one tells why. */
bool postgresql_login_is_resolved(const PostgresqlLogin *login);

/*
 * How many addresses could still be gone to if the one that conn is connecting to is passed over;
 * 0 also if it is not known which that is.
 */
size_t postgresql_login_n_others(const PostgresqlLogin *login, const PGconn *conn);
/*
 * Leaves the address that conn is connecting to, and those that libpq is through with, out of the
 * next postgresql_login_open(), until the next look-up.
 */
void postgresql_login_pass_over(PostgresqlLogin *login, const PGconn *conn);
/* Where conn is, for people: "127.0.0.1:5432", "db1 (10.0.0.1:5432)". Returns 0 or -ENOMEM. */
int postgresql_login_format_place(const PGconn *conn, char **ret);

/*
 * Starts to connect to the servers that were resolved; timeout_msec is set as statement_timeout.
 * Returns 0 and a connection, which may be CONNECTION_BAD, or -ENOMEM.
 */
int postgresql_login_open(const PostgresqlLogin *login, uint64_t timeout_msec, PGconn **ret);
