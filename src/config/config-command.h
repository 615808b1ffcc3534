/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keys that say what program is run, and with which environment. */

#include "config/config-table.h"

/*
 * field: StringList; a program and its arguments, as systemd's ExecStart= has them: words, quotes
 * and the escapes of C; no variables, no "%" and no shell. The program is an absolute path. Another
 * assignment replaces the whole.
 */
int config_parse_command(const ConfigKey *key, const char *value, void *field, char **ret_why);

/*
 * field: StringList; one NAME=VALUE an assignment, the value as it stands; one of the same name is
 * replaced. For keys with CONFIG_ASSIGNMENT.
 */
int config_parse_assignments(const ConfigKey *key, const char *value, void *field, char **ret_why);

/*
 * Adds what every program gets (PATH, LANG, HOME) unless Environment= says otherwise. Returns 0 or
 * -ENOMEM.
 */
int command_environment_complete(StringList *environment);
