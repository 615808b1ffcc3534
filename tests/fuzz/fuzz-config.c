/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any text through the parser and the key tables; "%%" on a line of its own begins a drop-in. */

#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config-table.h"

#define SEPARATOR "\n%%\n"

typedef struct Target {
        char *text;
        char *path;
        char *password;
        bool flag;
        unsigned number;
        uint64_t span;
        uint64_t size;
        StringList words;
        StringList lines;
        int choice;
} Target;

static const ConfigRange number_range = { 1, 64 };
static const ConfigRange span_range = { 1000, UINT64_C(3600000000) };
static const char *const choices[] = { "started", "checked", "healthy", NULL };

static const ConfigKey check_keys[] = {
        { "Type", config_parse_string, offsetof(Target, text) },
        { "Interval", config_parse_span, offsetof(Target, span), &span_range },
        { "FailAfter", config_parse_unsigned, offsetof(Target, number), &number_range },
        { "Required", config_parse_bool, offsetof(Target, flag) },
        { "Groups", config_parse_words, offsetof(Target, words) },
        { "UnhealthyWhen", config_parse_lines, offsetof(Target, lines) },
        { "ReadyWhen", config_parse_word_of, offsetof(Target, choice), choices },
        {},
};
static const ConfigKey redis_keys[] = {
        { "Address", config_parse_string, offsetof(Target, text) },
        { "Password", config_parse_string, offsetof(Target, password),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "Socket", config_parse_path, offsetof(Target, path) },
        { "Memory", config_parse_span, offsetof(Target, size) },
        {},
};

static void target_done(Target *target) {
        free(target->text);
        free(target->path);
        string_free_secret(target->password);
        string_list_free(target->words);
        string_list_free(target->lines);
}

/* Unlike assert(), also in builds without assertions. */
static void require(bool truth) {
        if (!truth)
                abort();
}

/* What every entry promises, whatever was fed. */
static void check_entries(const ConfigFile *file, size_t size) {
        for (size_t i = 0; i < file->n_entries; i++) {
                const ConfigEntry *entry = &file->entries[i];
                size_t length = strlen(entry->value);

                require(entry->file && *entry->section && *entry->key);
                require(entry->section_line >= 1 && entry->line > entry->section_line);
                require(entry->line <= size + 1 && length <= size);
                require(length == 0 || (!strchr(" \t\r\n", entry->value[0]) &&
                                        !strchr(" \t\r\n", entry->value[length - 1])));
        }
}

static void check_problems(const ConfigProblems *problems) {
        for (size_t i = 0; i < problems->n_items; i++) {
                _cleanup_free_ char *line = NULL;

                require(config_problem_format(&problems->items[i], &line) == 0);
                for (const char *p = line; *p; p++)
                        require((unsigned char) *p >=
                                ' '); /* one line, and nothing for terminals */
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *) data;
        const char *separator = memmem(text, size, SEPARATOR, strlen(SEPARATOR));
        size_t first = separator ? (size_t) (separator - text) : size;
        _cleanup_(config_file_freep) ConfigFile *file = calloc(1, sizeof(ConfigFile));
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_(target_done) Target check = {}, redis = {};
        ConfigContext context = { .problems = &problems, .verify_only = size % 2 };
        ConfigSection sections[] = {
                { "Check", check_keys, &check },
                { "Redis", redis_keys, &redis },
        };

        require(file);
        require(config_file_parse(file, "main", text, first, &problems) == 0);
        if (separator)
                require(config_file_parse(file, "drop-in", separator + strlen(SEPARATOR),
                                          size - first - strlen(SEPARATOR), &problems) == 0);
        check_entries(file, size);
        require(config_apply(file, sections, ELEMENTS(sections), &context) == 0);
        check_problems(&problems);
        config_file_find(file, "Check", "Type");
        string_list_free(context.secrets);
        return 0;
}
