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
#include "config/config-value.h"

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
