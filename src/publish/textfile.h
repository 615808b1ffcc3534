/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What /metrics says, in a file for node_exporter's textfile collector. A program beside the daemon
 * writes it: a disk that hangs holds up that program, which is killed at its deadline.
 */

#include "publish/journal.h"
#include "report/health-json.h"

typedef struct Textfile Textfile;

/* Everything is borrowed. Returns 0 or -ENOMEM. */
int textfile_new(Runtime *runtime, const HealthView *view, Journal *journal, Textfile **ret);
Textfile *textfile_free(Textfile *textfile);

/* Which file it is to be; NULL: none. Both are copied. Returns 0 or -ENOMEM. */
int textfile_prepare(Textfile *textfile, const char *path, const char *helper_directory);
/* From now on it is that one. */
void textfile_bind(Textfile *textfile);
