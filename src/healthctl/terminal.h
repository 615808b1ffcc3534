/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where the output goes: its size, whether it takes colours and UTF-8, and the pager before it. */

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "check/status.h"

typedef struct Terminal {
        FILE *out;
        bool is_tty;
        bool colours;
        bool utf8;
        bool no_pager;
        unsigned width, height; /* 0: no limit */
        pid_t pager;            /* 0: none */
} Terminal;

/* Looks at standard output and the environment; the locale must be set. */
void terminal_init(Terminal *terminal);
void terminal_read_size(Terminal *terminal);

/*
 * Sends what is written from now on through $SYSTEMD_PAGER, $PAGER or less, as systemctl does, if
 * standard output is a terminal. Without a pager it goes there directly.
 */
void terminal_open_pager(Terminal *terminal);
/* Flushes, and waits until the reader has left the pager. Returns 0 or a negative errno. */
int terminal_close(Terminal *terminal);

/* Makes a text of anybody's harmless for this terminal, in place; accepts NULL. */
void terminal_make_printable(const Terminal *terminal, char *text);

/* Escape sequences, or "" where there are no colours. */
const char *terminal_colour(const Terminal *terminal, Status status);
const char *terminal_bold(const Terminal *terminal);
const char *terminal_plain(const Terminal *terminal);

/* The dot before a name, in one colour or another. */
const char *terminal_dot(const Terminal *terminal);
/* One result of a sparkline. */
const char *terminal_spark(const Terminal *terminal, Status status);
