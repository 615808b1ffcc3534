/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The configuration as it is merged from its files, without its secrets. */

#include <stdio.h>

#include "config/config-file.h"

/*
 * Prints the assignments of the files that names name ("redis" of checks/redis.check, or
 * "healthd.conf"; empty: all), each below the path of the file it stands in. What cannot be read is
 * added to problems. Returns 0, -ENOENT for a name that is not there, with *ret_why (owned by the
 * caller afterwards), or -ENOMEM.
 */
int cat_print(char *const *directories, char *const *names, FILE *out, ConfigProblems *problems,
              char **ret_why);
