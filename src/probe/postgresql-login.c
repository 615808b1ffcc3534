/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/postgresql-login.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"

const char *const postgresql_ssl_modes[] = { "",        "disable",   "allow",       "prefer",
                                             "require", "verify-ca", "verify-full", NULL };

DEFINE_CLEANUP(PQconninfoOption, PQconninfoFree)

static int parameter_add(PostgresqlLogin *login, const char *keyword, const char *value) {
        int r;

        r = string_list_add(&login->keywords, keyword);
        if (r < 0)
                return r;
        return string_list_add(&login->values, value);
}

static const char *parameter_find(const PostgresqlLogin *login, const char *keyword) {
        for (size_t i = 0; login->keywords && login->keywords[i]; i++)
                if (string_equal(login->keywords[i], keyword))
                        return login->values[i];
        return NULL;
}

static int connection_string_refuse(ProbeSetup *setup, const char *why) {
        return probe_setup_refuse(setup, "ConnectionString", "%s", why);
}

/* What libpq then says of a string that it cannot read. */
static bool memory_was_short(const char *error) {
        return !error || string_after_prefix(error, "out of memory");
}

/* libpq's own text repeats parts of the string, and so perhaps of a password: only its kind. */
static int connection_string_explain(ProbeSetup *setup, const char *error) {
        static const struct {
                const char *message, *why;
        } kinds[] = {
                { "missing \"=\"", "ConnectionString= has a word without \"=\" "
                                   "(a value with spaces needs quotes: 'a b')" },
                { "unterminated quoted", "ConnectionString= has a quote that is never closed" },
                { "invalid connection option", "ConnectionString= has an unknown parameter" },
                { "invalid URI query", "ConnectionString= has an unknown parameter after \"?\"" },
        };

        if (memory_was_short(error))
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTS(kinds); i++)
                if (strstr(error, kinds[i].message))
                        return connection_string_refuse(setup, kinds[i].why);
        return connection_string_refuse(setup, "ConnectionString= cannot be read; write it like "
                                               "\"host=db1 dbname=orders user=healthd\" or "
                                               "\"postgresql://healthd@db1/orders\"");
}

/* "a,,b" to three items; NULL or "" to none. */
static int comma_list_split(const char *text, StringList *ret) {
        _cleanup_(string_list_freep) StringList list = NULL;
        _cleanup_free_ char *copy = NULL;
        char *rest;
        int r;

        if (!string_is_empty(text)) {
                rest = copy = strdup(text);
                if (!copy)
                        return -ENOMEM;
                while (rest) {
                        r = string_list_add(&list, strsep(&rest, ","));
                        if (r < 0)
                                return r;
                }
        }
        *ret = TAKE_PTR(list);
        return 0;
}

static int servers_prepare(PostgresqlLogin *login, const char *hosts, const char *addresses,
                           const char *ports, ProbeSetup *setup) {
        _cleanup_(string_list_freep) StringList host_list = NULL, address_list = NULL,
                                                port_list = NULL;
        size_t n_hosts, n_addresses, n_ports, n;

        if (comma_list_split(hosts, &host_list) < 0 ||
            comma_list_split(addresses, &address_list) < 0 ||
            comma_list_split(ports, &port_list) < 0)
                return -ENOMEM;
        n_hosts = string_list_length(host_list);
        n_addresses = string_list_length(address_list);
        n_ports = string_list_length(port_list);
        if (n_hosts && n_addresses && n_hosts != n_addresses)
                return connection_string_refuse(setup,
                                                "host= and hostaddr= must list as many servers");
        n = n_hosts ? n_hosts : n_addresses ? n_addresses : 1;
        if (n_ports > 1 && n_ports != n)
                return connection_string_refuse(setup,
                                                "port= must be one port, or one for each host");

        login->servers = calloc(n, sizeof(PostgresqlServer));
        if (!login->servers)
                return -ENOMEM;
        login->n_servers = n;
        for (size_t i = 0; i < n; i++) {
                PostgresqlServer *server = &login->servers[i];
                const char *port = n_ports > 1 ? port_list[i] : n_ports == 1 ? port_list[0] : "";

                server->login = login;
                if (string_replace(&server->host, n_hosts ? host_list[i] : "") < 0 ||
                    string_replace(&server->address, n_addresses ? address_list[i] : "") < 0 ||
                    string_replace(&server->port, port) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int prepare_string_alone(const PostgresqlLogin *login, ProbeSetup *setup) {
        const struct {
                const char *key;
                bool is_set;
        } others[] = {
                { "Host", login->host },        { "Port", login->port },
                { "User", login->user },        { "Database", login->database },
                { "SSLMode", login->ssl_mode },
        };

        for (size_t i = 0; i < ELEMENTS(others); i++)
                if (others[i].is_set)
                        return probe_setup_refuse(setup, others[i].key,
                                                  "%s= does not go together with "
                                                  "ConnectionString=: write it inside that",
                                                  others[i].key);
        return 0;
}

static int prepare_from_string(PostgresqlLogin *login, ProbeSetup *setup) {
        const char *hosts = NULL, *addresses = NULL, *ports = NULL;
        _cleanup_(PQconninfoFreep) PQconninfoOption *options = NULL;
        char *error = NULL;
        int r;

        r = prepare_string_alone(login, setup);
        if (r < 0)
                return r;
        options = PQconninfoParse(login->connection_string, &error);
        if (!options) {
                r = connection_string_explain(setup, error);
                PQfreemem(error);
                return r;
        }
        for (PQconninfoOption *option = options; option->keyword && r >= 0; option++) {
                if (!option->val)
                        continue;
                if (string_equal(option->keyword, "host"))
                        hosts = option->val;
                else if (string_equal(option->keyword, "hostaddr"))
                        addresses = option->val;
                else if (string_equal(option->keyword, "port"))
                        ports = option->val;
                else if (string_equal(option->keyword, "options"))
                        r = string_replace(&login->options, option->val);
                else if (string_equal(option->keyword, "service"))
                        /* It could name hosts behind our back, which libpq would then resolve. */
                        return connection_string_refuse(setup,
                                                        "service= in ConnectionString= is not "
                                                        "supported; write its parameters instead");
                else
                        r = parameter_add(login, option->keyword, option->val);
                /* libpq's mark of a password. */
                if (r >= 0 && *option->dispchar == '*' && *option->val)
                        r = string_list_add(setup->secrets, option->val);
        }
        if (r < 0)
                return r;
        return servers_prepare(login, hosts, addresses, ports, setup);
}

static int prepare_from_keys(PostgresqlLogin *login, ProbeSetup *setup) {
        _cleanup_free_ char *port = NULL;
        int r = 0;

        if (login->port)
                r = string_printf(&port, "%u", login->port);
        if (r >= 0 && login->user)
                r = parameter_add(login, "user", login->user);
        if (r >= 0 && login->database)
                r = parameter_add(login, "dbname", login->database);
        if (r >= 0 && login->ssl_mode)
                r = parameter_add(login, "sslmode", postgresql_ssl_modes[login->ssl_mode]);
        if (r < 0)
                return r;
        return servers_prepare(login, login->host, NULL, port, setup);
}

/* libpq would ask the user database again for every connection. */
static int prepare_user(PostgresqlLogin *login) {
        _cleanup_(PQconninfoFreep) PQconninfoOption *defaults = NULL;

        if (string_list_contains(login->keywords, "user"))
                return 0;
        defaults = PQconndefaults();
        if (!defaults)
                return -ENOMEM;
        for (const PQconninfoOption *option = defaults; option->keyword; option++)
                if (option->val && string_equal(option->keyword, "user"))
                        return parameter_add(login, "user", option->val);
        return 0;
}

/*
 * The server may ask for GSS or SSPI, for which libpq looks names up. Only libpq 16 and later can
 * be told to refuse.
 */
static int prepare_authentication(PostgresqlLogin *login) {
        _cleanup_(PQconninfoFreep) PQconninfoOption *known = NULL;
        char *error = NULL;
        int r = 0;

        if (parameter_find(login, "require_auth"))
                return 0;
        known = PQconninfoParse("require_auth=x", &error);
        if (known)
                r = parameter_add(login, "require_auth", "!gss,!sspi");
        else if (memory_was_short(error))
                r = -ENOMEM;
        PQfreemem(error);
        return r;
}

int postgresql_login_prepare(PostgresqlLogin *login, ProbeSetup *setup) {
        int r;

        r = login->connection_string ? prepare_from_string(login, setup)
                                     : prepare_from_keys(login, setup);
        if (r >= 0 && login->password)
                r = parameter_add(login, "password", login->password);
        if (r >= 0)
                r = prepare_user(login);
        if (r >= 0)
                r = prepare_authentication(login);
        /* GSS would look names up; the others keep the daemon's own HOME out of it. */
        if (r >= 0)
                r = parameter_add(login, "gssencmode", "disable");
        if (r >= 0 && !string_list_contains(login->keywords, "passfile"))
                r = parameter_add(login, "passfile", "/dev/null/none");
        if (r >= 0 && !string_list_contains(login->keywords, "fallback_application_name"))
                r = parameter_add(login, "fallback_application_name", "healthd");
        login->any_order = string_equal(parameter_find(login, "target_session_attrs"),
                                        "prefer-standby") ||
                           string_equal(parameter_find(login, "load_balance_hosts"), "random");
        return r;
}

void postgresql_login_done(PostgresqlLogin *login) {
        postgresql_login_cancel(login);
        for (size_t i = 0; i < login->n_servers; i++) {
                PostgresqlServer *server = &login->servers[i];
                free(server->host);
                free(server->address);
                free(server->port);
                free(server->error);
                string_list_free(server->addresses);
        }
        free(login->servers);
        for (char **value = login->values; value && *value; value++)
                explicit_bzero(*value, strlen(*value));
        string_list_free(login->keywords);
        string_list_free(login->values);
        string_free_secret(login->connection_string);
        string_free_secret(login->password);
        free(login->options);
        free(login->host);
        free(login->user);
        free(login->database);
}

void postgresql_login_cancel(PostgresqlLogin *login) {
        for (size_t i = 0; i < login->n_servers; i++)
                login->servers[i].query = resolver_query_cancel(login->servers[i].query);
        login->n_pending = 0;
}

static int server_add_address(PostgresqlServer *server, const ResolvedAddress *address) {
        char text[INET6_ADDRSTRLEN];

        return string_list_add(&server->addresses,
                               resolved_address_format(address, text, sizeof(text)));
}

static void server_on_resolved(const ResolverAnswer *answer, void *userdata) {
        PostgresqlServer *server = userdata;
        PostgresqlLogin *login = server->login;
        int r = 0;

        server->query = NULL;
        login->n_pending--;
        if (answer->error)
                r = string_replace(&server->error, answer->error);
        for (size_t i = 0; i < answer->n_addresses && r >= 0; i++)
                r = server_add_address(server, &answer->addresses[i]);
        if (r < 0)
                postgresql_login_cancel(login);
        if (login->n_pending == 0)
                login->on_resolved(r, login->userdata);
}

static int server_resolve(PostgresqlServer *server, Resolver *resolver) {
        ResolvedAddress numeric;
        int r;

        server->addresses = string_list_free(server->addresses);
        (void) string_replace(&server->error, NULL);
        if (*server->address)
                return string_list_add(&server->addresses, server->address);
        /* A socket directory, or an abstract one, has no address: an empty entry says so. */
        if (!*server->host || *server->host == '/' || *server->host == '@')
                return string_list_add(&server->addresses, "");
        if (resolver_parse_numeric(server->host, &numeric))
                return server_add_address(server, &numeric);
        r = resolver_query(resolver, server->host, server_on_resolved, server, &server->query);
        if (r >= 0)
                server->login->n_pending++;
        return r;
}

int postgresql_login_resolve(PostgresqlLogin *login, Resolver *resolver,
                             PostgresqlLoginHandler on_resolved, void *userdata) {
        int r;

        login->on_resolved = on_resolved;
        login->userdata = userdata;
        for (size_t i = 0; i < login->n_servers; i++) {
                r = server_resolve(&login->servers[i], resolver);
                if (r < 0) {
                        postgresql_login_cancel(login);
                        return r;
                }
        }
        return login->n_pending == 0;
}

bool postgresql_login_is_resolved(const PostgresqlLogin *login) {
        for (size_t i = 0; i < login->n_servers; i++)
                if (login->servers[i].addresses)
                        return true;
        return false;
}

static bool server_is_at(const PostgresqlServer *server, const char *address, const PGconn *conn) {
        ResolvedAddress numeric;
        char text[INET6_ADDRSTRLEN];

        /* An address as configured may be spelt in other ways than libpq's. */
        return resolver_parse_numeric(address, &numeric) &&
               string_equal(resolved_address_format(&numeric, text, sizeof(text)),
                            PQhostaddr(conn)) &&
               (!*server->port || string_equal(server->port, PQport(conn)));
}

/* The number of the address that conn is at, in the order of all; false if it is none of ours. */
static bool login_find_address(const PostgresqlLogin *login, const PGconn *conn,
                               size_t *ret_number) {
        size_t n = 0;

        for (size_t i = 0; i < login->n_servers; i++) {
                const PostgresqlServer *server = &login->servers[i];
                for (char *const *item = server->addresses; item && *item; item++, n++)
                        if (server_is_at(server, *item, conn)) {
                                *ret_number = n;
                                return true;
                        }
        }
        return false;
}

size_t postgresql_login_n_others(const PostgresqlLogin *login, const PGconn *conn) {
        size_t number, n = 0;

        if (!login_find_address(login, conn, &number))
                return 0;
        for (size_t i = 0; i < login->n_servers; i++)
                n += string_list_length(login->servers[i].addresses);
        return login->any_order ? n - 1 : n - 1 - number;
}

void postgresql_login_pass_over(PostgresqlLogin *login, const PGconn *conn) {
        size_t last, first, n = 0;

        if (!login_find_address(login, conn, &last))
                return;
        first = login->any_order ? last : 0;
        for (size_t i = 0; i < login->n_servers; i++) {
                char **kept = login->servers[i].addresses;
                for (char **item = kept; item && *item; item++, n++)
                        if (n >= first && n <= last)
                                free(*item);
                        else
                                *kept++ = *item;
                if (kept)
                        *kept = NULL;
        }
}

int postgresql_login_format_place(const PGconn *conn, char **ret) {
        const char *host = PQhost(conn), *address = PQhostaddr(conn), *port = PQport(conn);
        bool brackets;

        if (string_is_empty(address))
                return string_printf(ret, "%s:%s", host, port);
        brackets = strchr(address, ':');
        if (string_equal(host, address))
                return string_printf(ret, brackets ? "[%s]:%s" : "%s:%s", address, port);
        return string_printf(ret, brackets ? "%s ([%s]:%s)" : "%s (%s:%s)", host, address, port);
}

/* A statement that outlives our deadline would leave a backend behind, and one more each time. */
static int login_make_options(const PostgresqlLogin *login, uint64_t timeout_msec, char **ret) {
        const char *options = login->options ? login->options : "";

        if (strstr(options, "statement_timeout"))
                return string_replace(ret, options);
        return string_printf(ret, "%s%s-c statement_timeout=%" PRIu64, options, *options ? " " : "",
                             timeout_msec);
}

/* One entry for every address of every server: libpq tries them in this order. */
static int login_make_lists(const PostgresqlLogin *login, char **hosts, char **addresses,
                            char **ports) {
        _cleanup_(text_buffer_done) TextBuffer host = {}, address = {}, port = {};
        const char *separator = "";

        for (size_t i = 0; i < login->n_servers; i++) {
                const PostgresqlServer *server = &login->servers[i];
                for (char *const *item = server->addresses; item && *item; item++) {
                        text_buffer_printf(&host, "%s%s", separator, server->host);
                        text_buffer_printf(&address, "%s%s", separator, *item);
                        text_buffer_printf(&port, "%s%s", separator, server->port);
                        separator = ",";
                }
        }
        if (text_buffer_finish(&host, hosts, NULL) < 0 ||
            text_buffer_finish(&address, addresses, NULL) < 0 ||
            text_buffer_finish(&port, ports, NULL) < 0)
                return -ENOMEM;
        return 0;
}

int postgresql_login_open(const PostgresqlLogin *login, uint64_t timeout_msec, PGconn **ret) {
        _cleanup_free_ char *hosts = NULL, *addresses = NULL, *ports = NULL, *options = NULL;
        _cleanup_free_ const char **keywords = NULL, **values = NULL;
        size_t n = string_list_length(login->keywords);
        PGconn *conn;
        int r;

        r = login_make_lists(login, &hosts, &addresses, &ports);
        if (r >= 0)
                r = login_make_options(login, timeout_msec, &options);
        if (r < 0)
                return r;
        keywords = calloc(n + 5, sizeof(char *));
        values = calloc(n + 5, sizeof(char *));
        if (!keywords || !values)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                keywords[i] = login->keywords[i];
                values[i] = login->values[i];
        }
        memcpy(keywords + n, (const char *[]){ "host", "hostaddr", "port", "options" },
               4 * sizeof(char *));
        memcpy(values + n, (const char *[]){ hosts, addresses, ports, options },
               4 * sizeof(char *));
        conn = PQconnectStartParams(keywords, values, 0);
        if (!conn)
                return -ENOMEM;
        *ret = conn;
        return 0;
}
