/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config-type.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define PROBLEMS_SHOWN 3

const char *const connection_mode_words[] = { "fresh", "persistent", NULL };

int type_setup_refuse(TypeSetup *setup, const char *key, const char *format, ...) {
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = string_vprintf(&setup->why, format, arguments);
        va_end(arguments);
        setup->key = key;
        return r < 0 ? r : -EINVAL;
}

/* Where a file itself stands, for what is wrong with it as a whole. */
static const char *config_file_path(const ConfigFile *file) {
        return file->paths ? file->paths[0] : file->name;
}

/* The types that this build has. Returns 0 or -ENOMEM. */
static int list_types(const ConfigTypeRow *rows, StringList *ret) {
        _cleanup_(string_list_freep) StringList names = NULL;
        int r = 0;

        for (; rows->name && r >= 0; rows++)
                if (rows->type)
                        r = string_list_add(&names, rows->name);
        if (r >= 0)
                *ret = TAKE_PTR(names);
        return r;
}

static void report_unknown_type(const ConfigFile *file, const char *section,
                                const ConfigEntry *entry, char *const *names,
                                ConfigProblems *problems) {
        _cleanup_(text_buffer_done) TextBuffer known = {};
        const char *nearest;

        for (size_t i = 0; names && names[i]; i++)
                text_buffer_printf(&known, " %s", names[i]);
        if (!entry) {
                config_problems_add(problems, config_file_path(file), 0,
                                    "Type= is missing in [%s]; the types are:%s", section,
                                    known.text ? known.text : "");
                return;
        }
        nearest = names ? string_nearest(entry->value, (const char *const *) names) : NULL;
        config_problems_add(problems, entry->file, entry->line,
                            "Type=%s: unknown type%s%s%s; the types are:%s", entry->value,
                            nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                            nearest ? "\"?" : "", known.text ? known.text : "");
}

/* A type whose libraries are not there is none. */
static int load_libraries(const ConfigTypeRow *row, const ConfigEntry *entry,
                          ConfigProblems *problems, const void **type) {
        _cleanup_free_ char *why = NULL;
        int r;

        r = library_load_all(row->libraries, &why);
        if (r != -ELIBACC)
                return r;
        config_problems_add(problems, entry->file, entry->line, "Type=%s: %s", row->name, why);
        *type = NULL;
        return 0;
}

int config_find_type(const ConfigFile *file, const char *section, const ConfigTypeRow *rows,
                     ConfigProblems *problems, const void **ret) {
        const ConfigEntry *entry = config_file_find(file, section, "Type");
        _cleanup_(string_list_freep) StringList names = NULL;
        const ConfigTypeRow *row = rows;
        int r;

        while (entry && row->name && !string_equal(row->name, entry->value))
                row++;
        *ret = entry ? row->type : NULL;
        if (*ret)
                return load_libraries(row, entry, problems, ret);
        if (entry && row->name) {
                config_problems_add(problems, entry->file, entry->line,
                                    "this healthd was built without Type=%s (library %s); install "
                                    "one that has it, or build it with that library",
                                    row->name, row->needs);
                return 0;
        }
        /* It may stand in what could not be read, which was said. */
        if (!entry && file->n_problems > 0)
                return 0;
        r = list_types(rows, &names);
        if (r >= 0)
                report_unknown_type(file, section, entry, names, problems);
        return r;
}

int config_apply_type(const ConfigFile *file, const ConfigSection *common,
                      const ConfigSection *of_type, ConfigContext *context) {
        const ConfigSection sections[] = { *common, *of_type };
        _cleanup_free_ ConfigEntry *entries = NULL;
        ConfigFile known = *file;

        if (of_type->name)
                return config_apply(file, sections, 2, context);
        entries = calloc(file->n_entries + 1, sizeof(ConfigEntry));
        if (!entries)
                return -ENOMEM;
        known.entries = entries;
        known.n_entries = 0;
        for (size_t i = 0; i < file->n_entries; i++)
                if (string_equal(file->entries[i].section, common->name))
                        entries[known.n_entries++] = file->entries[i];
        return config_apply(&known, sections, 1, context);
}

void config_report_refusal(const ConfigFile *file, const char *section, const TypeSetup *setup,
                           ConfigContext *context) {
        const ConfigEntry *entry = NULL;

        if (setup->key)
                entry = config_file_find(file, section, setup->key);
        /* What stands in for a credential need not make sense. */
        if (context->placeholder_used && entry &&
            string_after_prefix(entry->value, CREDENTIAL_PREFIX))
                return;
        config_problems_add(context->problems, entry ? entry->file : config_file_path(file),
                            entry ? entry->line : 0, "%s",
                            setup->why ? setup->why : "the settings do not fit together");
}

uint64_t config_file_identity(const ConfigFile *file, char *const *secrets) {
        uint64_t hash = HASH_START;

        for (size_t i = 0; i < file->n_entries; i++) {
                hash = hash_add_string(hash, file->entries[i].section);
                hash = hash_add_string(hash, file->entries[i].key);
                hash = hash_add_string(hash, file->entries[i].value);
        }
        for (size_t i = 0; secrets && secrets[i]; i++)
                hash = hash_add_string(hash, secrets[i]);
        return hash;
}

/* Adds the mistakes from one on to the text, as long as there is room for them. */
static int problems_add_text(const ConfigProblems *problems, size_t from, size_t n,
                             TextBuffer *text, size_t *n_shown) {
        int r;

        for (size_t i = from; i < from + n && *n_shown < PROBLEMS_SHOWN; i++) {
                _cleanup_free_ char *line = NULL;
                r = config_problem_format(&problems->items[i], &line);
                if (r < 0)
                        return r;
                text_buffer_printf(text, "%s%s", (*n_shown)++ > 0 ? "; " : "", line);
        }
        return 0;
}

int config_problems_join(const ConfigFile *file, const ConfigProblems *problems, size_t first,
                         char **ret) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        size_t n_read = file ? file->n_problems : 0, n_applied = problems->n_items - first;
        size_t n_shown = 0;
        int r;

        r = problems_add_text(problems, file ? file->first_problem : 0, n_read, &text, &n_shown);
        if (r < 0)
                return r;
        r = problems_add_text(problems, first, n_applied, &text, &n_shown);
        if (r < 0)
                return r;
        if (n_read + n_applied > PROBLEMS_SHOWN)
                text_buffer_printf(&text, "; and %zu more (see healthd --verify)",
                                   n_read + n_applied - PROBLEMS_SHOWN);
        return text_buffer_finish(&text, ret, NULL);
}
