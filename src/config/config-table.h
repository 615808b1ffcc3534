/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Key tables: what keys a section knows, how each value is read, and where in a struct it goes.
 *
 *     static const ConfigKey redis_keys[] = {
 *             { "Address", config_parse_string, offsetof(RedisProbe, address) },
 *             { "Password", config_parse_string, offsetof(RedisProbe, password),
 *               .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
 *             {},
 *     };
 *
 * Repeated keys: a list appends, any other value replaces. An empty value forgets what was
 * assigned before it: a list becomes empty, any other field keeps its default.
 */

#include "config/config-file.h"

/* "credential:NAME" stands for the contents of a file systemd put there. */
#define CREDENTIAL_PREFIX      "credential:"
/* What stands for its contents where they cannot be seen, while only verifying. */
#define CREDENTIAL_PLACEHOLDER "placeholder"

typedef enum ConfigFlags {
        CONFIG_SECRET = 1 << 0,     /* the value is never shown, not even in an error text */
        CONFIG_CREDENTIAL = 1 << 1, /* the value may be "credential:NAME" */
        CONFIG_LIST = 1 << 2,       /* for parsers of your own that append: see ConfigParser */
        CONFIG_ASSIGNMENT = 1 << 3, /* NAME=VALUE: the other flags speak of VALUE */
        CONFIG_PARTLY = 1 << 4, /* with CONFIG_SECRET: what of a value is secret, prepare() says */
        CONFIG_FILE = 1
                      << 5, /* the value is a file's path, or a credential: what is in it counts */
} ConfigFlags;

typedef struct ConfigKey ConfigKey;

/*
 * Reads value into *field. A list parser (config_parse_words, config_parse_lines, or any of a key
 * with CONFIG_LIST) is called with "" to empty the list; the others never see "". On -EINVAL the
 * field is as before and it may set *ret_why (owned by the caller afterwards): what is wrong and
 * what to write instead, without repeating the value. Returns 0, -EINVAL or -ENOMEM.
 */
typedef int (*ConfigParser)(const ConfigKey *key, const char *value, void *field, char **ret_why);

struct ConfigKey {
        const char *name;
        ConfigParser parse;
        size_t offset;
        const void *data; /* for the parser: a table of words, a range */
        unsigned flags;
};

/* field: char *; owned. */
int config_parse_string(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: char *; an absolute path. */
int config_parse_path(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: bool; 1/yes/y/true/t/on and their opposites. */
int config_parse_bool(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: unsigned; data: NULL or const ConfigRange *. */
typedef struct ConfigRange {
        uint64_t minimum, maximum;
} ConfigRange;
int config_parse_unsigned(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: uint64_t, microseconds; data: NULL or const ConfigRange * in microseconds. */
int config_parse_span(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: StringList; words appended, split at white space: there is no quoting. */
int config_parse_words(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: StringList; the whole value appended as one item. */
int config_parse_lines(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: RateLimit; "3/1h". */
int config_parse_rate_limit(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: an enum of int size; data: NULL-terminated const char *const[], the index is the value. */
int config_parse_word_of(const ConfigKey *key, const char *value, void *field, char **ret_why);

/* A section, the keys it knows and the struct they go into. */
typedef struct ConfigSection {
        const char *name;
        const ConfigKey *keys; /* ends with {} */
        void *target;
} ConfigSection;

typedef struct ConfigContext {
        ConfigProblems *problems;
        const char *credentials_directory; /* NULL: none */
        const char *helper_directory;      /* where the programs beside the daemon are */
        bool verify_only;      /* without a directory, credentials are taken to be there */
        bool placeholder_used; /* while verifying, some credential was stood in for */
        StringList secrets; /* every secret value met, for redaction; owned by whoever set it up */
} ConfigContext;

/*
 * Applies a file's entries to its sections. Unknown sections and keys are problems that name the
 * nearest known one; sections and keys beginning with "X-" are ignored, as systemd does. Every
 * entry is tried, whatever else is broken. Problem texts repeat no secret and nothing of a
 * credential. Returns 0 (with or without problems) or -ENOMEM.
 */
int config_apply(const ConfigFile *file, const ConfigSection *sections, size_t n_sections,
                 ConfigContext *context);

/* Whether an entry's value may be shown as it is written: its key is known, and no secret's. */
bool config_may_show(const ConfigSection *sections, size_t n_sections, const ConfigEntry *entry);

/* The last assignment of a key (not reset afterwards), or NULL: to find Type= before the rest. */
const ConfigEntry *config_file_find(const ConfigFile *file, const char *section, const char *key);
