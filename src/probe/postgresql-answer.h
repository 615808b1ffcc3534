/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a PostgreSQL server, or libpq, says: rows to details, messages to one line with advice. */

#include "check/sample.h"
#include "io/libpq.h"

/*
 * Several lines to one, without repetitions: libpq says the same for TLS and without it.
 * message may be NULL. Returns a new string, NULL if memory is short.
 */
char *postgresql_message_flatten(const char *message);
/* What to do about a message; NULL if that is not known. */
const char *postgresql_message_hint(const char *text);

/* The first row's value of a column, as the detail name. */
void postgresql_sample_add_column(Sample *sample, const char *name, const PGresult *result,
                                  int column);
/* The first row of the answer to Query=: query_result, and each column that has a name. */
void postgresql_sample_add_row(Sample *sample, const PGresult *result);
