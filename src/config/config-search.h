/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The search path: a file in an earlier directory replaces one of the same name in a later one;
 * drop-ins (NAME.d/ANY.conf) of all directories are merged, sorted by their own names, an earlier
 * directory's replacing a later one's; an empty file or a link to /dev/null masks.
 */

#include "config/config-file.h"

/*
 * Reads base (such as "healthd.conf") with its drop-ins. An absent file is an empty ConfigFile; a
 * masked one has only what its drop-ins say. Directories may be missing, but not unreadable: that
 * is a problem. directories ends with NULL. Returns 0 or -ENOMEM.
 */
int config_search_read(char *const *directories, const char *base, ConfigProblems *problems,
                       ConfigFile **ret);

typedef struct ConfigFileList {
        ConfigFile **items; /* sorted by name, masked ones left out */
        size_t n_items;
} ConfigFileList;

/*
 * Reads every SUBDIRECTORY/NAME+suffix (such as "checks", ".check") with its drop-ins. Drop-ins
 * without such a file are not read; hidden files and those with other suffixes are passed over.
 * Names with other letters than A-Z a-z 0-9 _ - . @ are problems. Returns 0 or -ENOMEM.
 */
int config_search_read_all(char *const *directories, const char *subdirectory, const char *suffix,
                           ConfigProblems *problems, ConfigFileList *ret);
void config_file_list_done(ConfigFileList *list);
