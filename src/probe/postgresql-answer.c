/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/postgresql-answer.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"

/* What to do about the messages people meet most. */
static const struct {
        const char *message, *hint;
} hints[] = {
        { "password authentication failed", "check the user and Password=" },
        { "no password supplied", "set Password=" },
        { "no pg_hba.conf entry", "allow this user and database in the server's pg_hba.conf" },
        { "Peer authentication failed",
          "on a unix socket the system user counts; set User=, or map it in pg_ident.conf" },
        { "unsupported startup parameter",
          "for PgBouncer, add options to its ignore_startup_parameters" },
        { "certificate verify failed", "name the CA by sslrootcert= in ConnectionString=" },
        { "statement timeout", "Query= needs more than 90 % of Timeout=" },
        { "too many clients", "raise max_connections, or find out who holds them" },
        { "remaining connection slots", "raise max_connections, or find out who holds them" },
};

char *postgresql_message_flatten(const char *message) {
        _cleanup_free_ char *copy = strdup(message ? message : "");
        _cleanup_(text_buffer_done) TextBuffer out = {};
        const char *previous = "", *separator = "";
        char *rest, *line, *text;

        if (!copy)
                return NULL;
        for (line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                bool continued = *line == '\t';
                char *gap;

                line = string_strip(line);
                if (!*line || string_equal(line, previous))
                        continue;
                previous = line;
                text_buffer_add_string(&out, continued ? ". " : separator);
                separator = "; ";
                while ((gap = strstr(line, ":  "))) {
                        text_buffer_add(&out, line, (size_t) (gap - line) + 2);
                        line = gap + 3;
                }
                text_buffer_add_string(&out, line);
        }
        return text_buffer_finish(&out, &text, NULL) < 0 ? NULL : text;
}

const char *postgresql_message_hint(const char *text) {
        for (size_t i = 0; i < ELEMENTS(hints); i++)
                if (strstr(text, hints[i].message))
                        return hints[i].hint;
        return NULL;
}

static bool column_is_number(Oid type) {
        /* int8, int2, int4, oid, float4, float8, numeric: fixed for ever in pg_type. */
        static const Oid numbers[] = { 20, 21, 23, 26, 700, 701, 1700 };

        for (size_t i = 0; i < ELEMENTS(numbers); i++)
                if (type == numbers[i])
                        return true;
        return false;
}

void postgresql_sample_add_column(Sample *sample, const char *name, const PGresult *result,
                                  int column) {
        const char *value = PQgetvalue(result, 0, column);
        Oid type = PQftype(result, column);
        const Oid type_boolean = 16;
        double number = 0;

        /*
         * NULL is no value, so the detail is left out: a condition on it then is an error, not a
         * pass. And what healthd measures itself is not replaced by a column of the same name.
         */
        if (PQgetisnull(result, 0, column) || sample_find(sample, name))
                return;
        if (type == type_boolean)
                sample_add_boolean(sample, name, *value == 't');
        else if (column_is_number(type) && string_parse_number(value, &number, NULL))
                sample_add_number(sample, name, number);
        else
                sample_add_string(sample, name, value);
}

void postgresql_sample_add_row(Sample *sample, const PGresult *result) {
        if (PQnfields(result) > 0)
                postgresql_sample_add_column(sample, "query_result", result, 0);
        /* PostgreSQL calls a column without a name "?column?", which is none to put anywhere. */
        for (int column = 0; column < PQnfields(result); column++)
                if (*PQfname(result, column) != '?')
                        postgresql_sample_add_column(sample, PQfname(result, column), result,
                                                     column);
}
