/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The unit-file language: sections, assignments, comments, continued lines. A ConfigFile is one
 * logical file: the main file and its drop-ins, merged in order, each assignment with the place it
 * came from. Mistakes are collected, never fatal: one broken line costs that line.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/string-util.h"

/* One mistake: "file:line: text". The text says what is wrong and what was probably meant. */
typedef struct ConfigProblem {
        char *file;
        unsigned line; /* 0: the file as a whole */
        char *text;
} ConfigProblem;

typedef struct ConfigProblems {
        ConfigProblem *items;
        size_t n_items;
        bool lost; /* one found no memory, so what seems to have none may have it */
} ConfigProblems;

/*
 * Where there is no memory, lost is set: whoever lets something pass because it has no problem asks
 * that first, and says -ENOMEM.
 */
void config_problems_add(ConfigProblems *problems, const char *file, unsigned line,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));
void config_problems_done(ConfigProblems *problems);
/* Writes "file:line: text" for an item, to a new string. Returns 0 or -ENOMEM. */
int config_problem_format(const ConfigProblem *problem, char **ret);

typedef struct ConfigEntry {
        const char *file;      /* owned by the ConfigFile's paths */
        unsigned line;         /* where the assignment starts */
        unsigned section_line; /* where its section's header stands */
        char *section;
        char *key;
        char *value; /* stripped; "" resets */
} ConfigEntry;

typedef struct ConfigFile {
        char *name;       /* "redis" of checks/redis.check, "healthd" of healthd.conf */
        char *mask;       /* the empty file or link to /dev/null in its place, or NULL */
        StringList paths; /* the main file (if there is one), then the drop-ins, as read */
        ConfigEntry *entries;
        size_t n_entries;
        /* What the search found wrong while reading it: that part of the problems it was given. */
        size_t first_problem, n_problems;
} ConfigFile;

/* Overwrites the values before it frees them: any may be a secret. */
ConfigFile *config_file_free(ConfigFile *file);
/* As if nothing stood in any section of that name. */
void config_file_drop_section(ConfigFile *file, const char *section);
DEFINE_CLEANUP(ConfigFile, config_file_free)

/*
 * Parses one text and appends its entries. path is copied. Problems: garbage before a section,
 * a line without "=", a bad section header or key, invalid UTF-8 outside comments, a line (with
 * those it is continued by) over 64 KiB; a NUL also ends the reading. The texts repeat no values.
 * Returns 0 (with or without problems) or -ENOMEM.
 */
int config_file_parse(ConfigFile *file, const char *path, const char *text, size_t size,
                      ConfigProblems *problems);

/*
 * Opens, bounds (1 MiB) and parses a regular file; what cannot be read is a problem, not an error.
 * Adds path to the file's paths in any case. Returns 0 or -ENOMEM.
 */
int config_file_read(ConfigFile *file, const char *path, ConfigProblems *problems);
