/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/check-settings.h"
#include "config/config-search.h"
#include "config/config-table.h"
#include "probe/probe-table.h"
#include "settings.h"

#define MAIN_FILE "healthd.conf"
#define MASK      "***"

/* What of a file may be shown. */
typedef struct Discretion {
        const char *open_section;      /* all of it, or NULL */
        const ConfigSection *sections; /* of these what is known and no secret */
        size_t n_sections;
        char *const *secrets; /* to be taken out of what is shown */
} Discretion;

/* Whether a value may be shown, but for the secrets in it. */
static bool may_show(const Discretion *discretion, const ConfigEntry *entry) {
        return string_equal(entry->section, discretion->open_section) ||
               config_may_show(discretion->sections, discretion->n_sections, entry);
}

static int print_entry(FILE *out, const ConfigEntry *entry, const Discretion *discretion) {
        _cleanup_free_ char *value = strdup(may_show(discretion, entry) ? entry->value : MASK);

        if (!value)
                return -ENOMEM;
        for (size_t i = 0; discretion->secrets && discretion->secrets[i]; i++)
                string_redact(value, discretion->secrets[i]);
        /* What nobody knows to be a secret may be one, such as a Body=. */
        if (discretion->open_section && strcasestr(entry->value, "password") &&
            string_equal(value, entry->value)) {
                free(value);
                value = strdup(MASK);
                if (!value)
                        return -ENOMEM;
        }
        string_make_printable(value);
        (void) fprintf(out, "%s=%s\n", entry->key, value);
        explicit_bzero(value, strlen(value));
        return 0;
}

static int print_file(FILE *out, const ConfigFile *file, const Discretion *discretion) {
        const ConfigEntry *before = NULL;
        int r;

        for (size_t i = 0; i < file->n_entries; i++) {
                const ConfigEntry *entry = &file->entries[i];
                bool moves = !before || !string_equal(before->file, entry->file);

                if (moves)
                        (void) fprintf(out, "%s# %s\n", before ? "\n" : "", entry->file);
                if (moves || before->section_line != entry->section_line)
                        (void) fprintf(out, "[%s]\n", entry->section);
                r = print_entry(out, entry, discretion);
                if (r < 0)
                        return r;
                before = entry;
        }
        return 0;
}

static int print_main_file(char *const *directories, FILE *out, ConfigProblems *problems) {
        _cleanup_(config_file_freep) ConfigFile *file = NULL;
        Discretion discretion = {};
        int r;

        discretion.sections = settings_main_sections(&discretion.n_sections);
        r = config_search_read(directories, MAIN_FILE, problems, &file);
        return r < 0 ? r : print_file(out, file, &discretion);
}

static int print_check(FILE *out, const ConfigFile *file) {
        _cleanup_(config_problems_done) ConfigProblems ignored = {};
        _cleanup_(check_settings_done) CheckSettings settings = {};
        ConfigContext context = { .problems = &ignored, .verify_only = true };
        Discretion discretion = { .open_section = "Check" };
        ConfigSection of_type = {};
        int r;

        /* It says what the secrets are, and its type only if there is no mistake about them. */
        r = check_settings_load(&settings, file, probe_types, NULL, &context);
        if (r < 0)
                return r;
        if (settings.type) {
                of_type = (ConfigSection){ settings.type->section, settings.type->keys, NULL };
                discretion.sections = &of_type;
                discretion.n_sections = 1;
        }
        discretion.secrets = settings.secrets;
        return print_file(out, file, &discretion);
}

/* The file of a name, or NULL with *ret_why. */
static const ConfigFile *find_check(const ConfigFileList *files, const char *name, char **ret_why) {
        _cleanup_free_ const char **names = calloc(files->n_items + 2, sizeof(char *));
        const char *nearest = NULL;

        for (size_t i = 0; i < files->n_items; i++) {
                if (string_equal(files->items[i]->name, name))
                        return files->items[i];
                if (names)
                        names[i] = files->items[i]->name;
        }
        if (names) {
                names[files->n_items] = MAIN_FILE;
                nearest = string_nearest(name, names);
        }
        (void) string_printf(ret_why, "There is no file for a check \"%s\"%s%s%s", name,
                             nearest ? "; did you mean \"" : ".", nearest ? nearest : "",
                             nearest ? "\"?" : "");
        return NULL;
}

static int print_all(char *const *directories, const ConfigFileList *files, FILE *out,
                     ConfigProblems *problems) {
        int r;

        r = print_main_file(directories, out, problems);
        for (size_t i = 0; r >= 0 && i < files->n_items; i++) {
                (void) fputc('\n', out);
                r = print_check(out, files->items[i]);
        }
        return r;
}

int cat_print(char *const *directories, char *const *names, FILE *out, ConfigProblems *problems,
              char **ret_why) {
        _cleanup_(config_file_list_done) ConfigFileList files = {};
        int r;

        r = config_search_read_all(directories, "checks", ".check", problems, &files);
        if (r < 0)
                return r;
        if (!names)
                return print_all(directories, &files, out, problems);
        for (size_t i = 0; names[i]; i++) {
                const ConfigFile *file = NULL;

                if (i > 0)
                        (void) fputc('\n', out);
                if (string_equal(names[i], MAIN_FILE)) {
                        r = print_main_file(directories, out, problems);
                } else {
                        file = find_check(&files, names[i], ret_why);
                        r = file ? print_check(out, file) : -ENOENT;
                }
                if (r < 0)
                        return r;
        }
        return 0;
}
