/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Files whose Type= says what else may stand in them: checks and alerts. [Check] has keys that
 * every check knows, [Redis] those of its type. What a type is besides is not known here.
 */

#include "config/config-table.h"
#include "io/library.h"

typedef struct Runtime Runtime;

/* A type that there is, whether this build has it or not. */
typedef struct ConfigTypeRow {
        const char *name;
        const void *type;                /* NULL: this build leaves it out */
        const char *needs;               /* the libraries it is built with, for people */
        const Library *const *libraries; /* to be loaded before it is used, up to NULL; or NULL */
} ConfigTypeRow;

/* What prepare() of a type may use and fill in. */
typedef struct TypeSetup {
        Runtime *runtime;    /* NULL while only verifying */
        StringList *secrets; /* prepare() adds what must never be shown (a password in a URL) */
        StringList condition_names;   /* every detail the conditions of a check ask for; borrowed */
        const char *helper_directory; /* where the programs beside the daemon are; borrowed */
        const char *key; /* with why: the key at fault, so that its line can be named; or NULL */
        char *why;       /* set with -EINVAL: what is wrong and what to write instead */
} TypeSetup;

/* For prepare(): sets setup->why and setup->key; returns -EINVAL, or -ENOMEM. */
int type_setup_refuse(TypeSetup *setup, const char *key, const char *format, ...)
                __attribute__((format(printf, 3, 4)));

/* Connection=, for the types that can keep one. */
typedef enum ConnectionMode {
        CONNECTION_FRESH,
        CONNECTION_PERSISTENT,
} ConnectionMode;

extern const char *const connection_mode_words[];

/*
 * The type by Type= in section, with its libraries loaded, or NULL in *ret with a problem that says
 * why there is none. rows ends with {}. Returns 0 or -ENOMEM.
 */
int config_find_type(const ConfigFile *file, const char *section, const ConfigTypeRow *rows,
                     ConfigProblems *problems, const void **ret);

/*
 * config_apply() of the common section and that of the type; without a type (its name is NULL) the
 * common one alone: whose the others are is not known.
 */
int config_apply_type(const ConfigFile *file, const ConfigSection *common,
                      const ConfigSection *of_type, ConfigContext *context);

/*
 * Reports what prepare() refused, at the line of the key at fault if it named one that is there in
 * section.
 */
void config_report_refusal(const ConfigFile *file, const char *section, const TypeSetup *setup,
                           ConfigContext *context);

/* Equal for equal contents, secrets included. */
uint64_t config_file_identity(const ConfigFile *file, char *const *secrets);

/*
 * The first mistakes as one text for people: those of reading the file (NULL: none), then those of
 * applying it, which begin at first. Returns 0 or -ENOMEM.
 */
int config_problems_join(const ConfigFile *file, const ConfigProblems *problems, size_t first,
                         char **ret);
