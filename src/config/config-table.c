/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config-table.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file-util.h"

#define CREDENTIAL_SIZE_MAX   (1024 * 1024)
#define CREDENTIAL_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
#define SHOWN_VALUE_MAX       80

static void cleanup_free_secret(char **text) {
        *text = string_free_secret(*text);
}

static bool key_is_list(const ConfigKey *key) {
        return key->flags & CONFIG_LIST || key->parse == config_parse_words ||
               key->parse == config_parse_lines;
}

static const ConfigSection *section_find(const ConfigSection *sections, size_t n_sections,
                                         const char *name) {
        for (size_t i = 0; i < n_sections; i++)
                if (string_equal(sections[i].name, name))
                        return &sections[i];
        return NULL;
}

static const ConfigKey *section_find_key(const ConfigSection *section, const char *name) {
        for (const ConfigKey *key = section->keys; key->name; key++)
                if (string_equal(key->name, name))
                        return key;
        return NULL;
}

/* What was probably meant, or else what there is. */
static void add_suggestion(TextBuffer *out, const char *text, const char *const *names,
                           const char *before, const char *after) {
        const char *nearest = string_nearest(text, names);

        if (nearest) {
                text_buffer_printf(out, "; did you mean %s%s%s?", before, nearest, after);
                return;
        }
        for (size_t i = 0; names[i]; i++)
                text_buffer_printf(out, "%s %s%s%s", i > 0 ? "," : "; known are", before, names[i],
                                   after);
}

static int report_unknown_section(const ConfigEntry *entry, const ConfigSection *sections,
                                  size_t n_sections, ConfigProblems *problems) {
        _cleanup_free_ const char **names = calloc(n_sections + 1, sizeof(char *));
        _cleanup_(text_buffer_done) TextBuffer hint = {};

        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < n_sections; i++)
                names[i] = sections[i].name;
        add_suggestion(&hint, entry->section, names, "[", "]");
        config_problems_add(problems, entry->file, entry->section_line, "unknown section [%.64s]%s",
                            entry->section, hint.text ? hint.text : "");
        return 0;
}

static int report_unknown_key(const ConfigEntry *entry, const ConfigSection *section,
                              const ConfigSection *sections, size_t n_sections,
                              ConfigProblems *problems) {
        _cleanup_free_ const char **names = NULL;
        _cleanup_(text_buffer_done) TextBuffer hint = {};
        size_t n_keys = 0;

        for (size_t i = 0; i < n_sections && !hint.text; i++)
                if (section_find_key(&sections[i], entry->key))
                        text_buffer_printf(&hint, "; it belongs in [%s]", sections[i].name);
        while (section->keys[n_keys].name)
                n_keys++;
        names = calloc(n_keys + 1, sizeof(char *));
        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < n_keys; i++)
                names[i] = section->keys[i].name;
        if (!hint.text)
                add_suggestion(&hint, entry->key, names, "\"", "=\"");
        config_problems_add(problems, entry->file, entry->line, "unknown key \"%.64s=\" in [%s]%s",
                            entry->key, section->name, hint.text ? hint.text : "");
        return 0;
}

/* A URL or a connection string may hold a password though its key is no secret. */
static bool value_may_be_shown(const ConfigKey *key, const char *value) {
        if (key->flags & CONFIG_SECRET || strlen(value) > SHOWN_VALUE_MAX)
                return false;
        /* What was written in the place of a path may be what should be in the file. */
        if (key->flags & CONFIG_FILE && *value != '/')
                return false;
        for (const char *p = value; *p; p++)
                if (iscntrl((unsigned char) *p))
                        return false;
        return !strchr(value, '@') && !strcasestr(value, "password") &&
               !string_after_prefix(value, CREDENTIAL_PREFIX);
}

static void report_value(const ConfigEntry *entry, const ConfigKey *key, const char *text,
                         ConfigProblems *problems) {
        config_problems_add(problems, entry->file, entry->line, "%s=%s: %s", key->name,
                            value_may_be_shown(key, entry->value) ? entry->value : "",
                            text ? text : "not a valid value");
}

static int credential_absent(const char *name, char **ret_why) {
        return config_why(ret_why,
                          "the credential \"%s\" is not there; add LoadCredential=%s:/path to "
                          "[Service] "
                          "of "
                          "the unit (systemctl edit healthd)",
                          name, name);
}

/*
 * The text in a file without its last newline; what: how the file is called in *ret_why. A FIFO
 * would hold whoever opens it.
 */
static int content_load(const char *path, const char *what, char **ret_value, char **ret_why) {
        _cleanup_free_ char *content = NULL;
        struct stat status;
        int r, length;

        if (stat(path, &status) < 0)
                return errno == ENOENT ? -ENOENT
                                       : config_why(ret_why, "%s cannot be read: %s", what,
                                                    strerrordesc_np(errno));
        if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
                return config_why(ret_why, "%s is not a regular file", what);
        content = malloc(CREDENTIAL_SIZE_MAX + 2);
        if (!content)
                return -ENOMEM;
        length = file_read_small(path, content, CREDENTIAL_SIZE_MAX + 2);
        if (length < 0)
                return config_why(ret_why, "%s cannot be read: %s", what, strerrordesc_np(-length));
        if (length > CREDENTIAL_SIZE_MAX)
                r = config_why(ret_why, "%s is larger than 1 MiB", what);
        else if (memchr(content, '\0', (size_t) length))
                r = config_why(ret_why, "%s contains a NUL byte; it must be text", what);
        else if (length == 0 || string_equal(content, "\n"))
                r = config_why(ret_why, "%s is empty", what);
        else {
                *ret_value = strndup(content, (size_t) length - (content[length - 1] == '\n'));
                r = *ret_value ? 0 : -ENOMEM;
        }
        explicit_bzero(content, (size_t) length);
        return r;
}

static int credential_load(const char *directory, const char *name, char **ret_value,
                           char **ret_why) {
        _cleanup_free_ char *path = NULL, *what = NULL;
        int r;

        r = string_printf(&path, "%s/%s", directory, name);
        if (r >= 0)
                r = string_printf(&what, "the credential \"%s\"", name);
        if (r >= 0)
                r = content_load(path, what, ret_value, ret_why);
        return r == -ENOENT ? credential_absent(name, ret_why) : r;
}

/*
 * systemd hides the credentials from the ExecReload= process that verifies, and leaves the
 * variable set: what cannot be looked into says nothing about the configuration.
 */
static bool credentials_are_visible(const ConfigContext *context) {
        if (!context->credentials_directory)
                return false;
        return !context->verify_only || access(context->credentials_directory, X_OK) >= 0;
}

static int credential_read(ConfigContext *context, const char *name, char **ret_value,
                           char **ret_why) {
        int r;

        if (!*name || name[strspn(name, CREDENTIAL_CHARACTERS)] || string_equal(name, ".") ||
            string_equal(name, ".."))
                return config_why(ret_why,
                                  "not a credential's name; after \"credential:\" stand letters, "
                                  "digits, \"_\", \"-\" and \".\" only");
        if (credentials_are_visible(context)) {
                r = credential_load(context->credentials_directory, name, ret_value, ret_why);
                return r < 0 ? r : string_list_add(&context->secrets, *ret_value);
        }
        if (!context->verify_only)
                return credential_absent(name, ret_why);
        /* Whoever verifies by hand has no credentials; the rest can be verified all the same. */
        context->placeholder_used = true;
        *ret_value = strdup(CREDENTIAL_PLACEHOLDER);
        return *ret_value ? 0 : -ENOMEM;
}

/* What may be a secret or a reference to one. */
static const char *entry_value(const ConfigEntry *entry, const ConfigKey *key) {
        const char *sign = key->flags & CONFIG_ASSIGNMENT ? strchr(entry->value, '=') : NULL;

        return sign ? sign + 1 : entry->value;
}

/* The entry with its credential's value in the place of the reference. */
static int entry_read_credential(const ConfigEntry *entry, const char *value,
                                 ConfigContext *context, char **ret_held, char **ret_why) {
        _cleanup_(cleanup_free_secret) char *held = NULL;
        const char *name = string_after_prefix(value, CREDENTIAL_PREFIX);
        int r;

        r = credential_read(context, name, &held, ret_why);
        if (r < 0 || value == entry->value) {
                *ret_held = r < 0 ? NULL : TAKE_PTR(held);
                return r;
        }
        return string_printf(ret_held, "%.*s%s", (int) (value - entry->value), entry->value, held);
}

static int entry_read_file(const ConfigEntry *entry, ConfigContext *context, char **ret_held,
                           char **ret_why) {
        int r;

        if (*entry->value != '/')
                return config_why(ret_why, "write the absolute path of a file, or credential:NAME");
        r = content_load(entry->value, "the file", ret_held, ret_why);
        if (r == -ENOENT)
                return config_why(ret_why, "there is no such file");
        return r < 0 ? r : string_list_add(&context->secrets, *ret_held);
}

/* Resolves a reference into *ret_held (NULL: the value is what is written); notes secrets. */
static int entry_resolve(const ConfigEntry *entry, const ConfigKey *key, ConfigContext *context,
                         char **ret_held, char **ret_why) {
        const char *value = entry_value(entry, key);
        bool refers = string_after_prefix(value, CREDENTIAL_PREFIX);

        if (refers && key->flags & CONFIG_CREDENTIAL)
                return entry_read_credential(entry, value, context, ret_held, ret_why);
        if (refers)
                return config_why(ret_why, "this key takes no credential; write the value itself");
        if (key->flags & CONFIG_FILE)
                return entry_read_file(entry, context, ret_held, ret_why);
        if (!(key->flags & CONFIG_SECRET) || key->flags & CONFIG_PARTLY)
                return 0;
        return string_list_add(&context->secrets, value);
}

static int entry_apply(const ConfigEntry *entry, const ConfigKey *key, void *field,
                       ConfigContext *context) {
        _cleanup_(cleanup_free_secret) char *held = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        if (!*entry->value)
                return key_is_list(key) ? key->parse(key, "", field, &text) : 0;
        r = entry_resolve(entry, key, context, &held, &text);
        if (r == 0)
                r = key->parse(key, held ? held : entry->value, field, &text);
        if (r == 0 || r == -ENOMEM)
                return r;
        /* A placeholder need not look like what it stands for. */
        if (held && *entry->value != '/' && !credentials_are_visible(context))
                return 0;
        report_value(entry, key, text, context->problems);
        return 0;
}

bool config_may_show(const ConfigSection *sections, size_t n_sections, const ConfigEntry *entry) {
        const ConfigSection *section = section_find(sections, n_sections, entry->section);
        const ConfigKey *key = section ? section_find_key(section, entry->key) : NULL;

        /* A misspelt Password= perhaps. */
        if (!key)
                return false;
        if (string_after_prefix(entry->value, CREDENTIAL_PREFIX))
                return true;
        return !(key->flags & CONFIG_SECRET) &&
               (!(key->flags & CONFIG_FILE) || *entry->value == '/');
}

/* A key's number among those of all sections; without a key, how many there are before section. */
static size_t key_number(const ConfigSection *sections, const ConfigSection *section,
                         const ConfigKey *key) {
        size_t number = key ? (size_t) (key - section->keys) : 0;

        for (; sections < section; sections++)
                for (const ConfigKey *other = sections->keys; other->name; other++)
                        number++;
        return number;
}

/* For each key number, one more than the index of its last empty assignment. */
static int resets_find(const ConfigFile *file, const ConfigSection *sections, size_t n_sections,
                       size_t **ret_resets) {
        size_t *resets = calloc(key_number(sections, sections + n_sections, NULL) + 1,
                                sizeof(size_t));

        if (!resets)
                return -ENOMEM;
        for (size_t i = 0; i < file->n_entries; i++) {
                const ConfigEntry *entry = &file->entries[i];
                const ConfigSection *section;
                const ConfigKey *key;

                if (*entry->value)
                        continue;
                section = section_find(sections, n_sections, entry->section);
                key = section ? section_find_key(section, entry->key) : NULL;
                if (key)
                        resets[key_number(sections, section, key)] = i + 1;
        }
        *ret_resets = resets;
        return 0;
}

/* Whether an entry stands under the same header as the one before it. */
static bool entry_is_in_same_section(const ConfigFile *file, size_t i) {
        return i > 0 && file->entries[i].file == file->entries[i - 1].file &&
               file->entries[i].section_line == file->entries[i - 1].section_line;
}

int config_apply(const ConfigFile *file, const ConfigSection *sections, size_t n_sections,
                 ConfigContext *context) {
        _cleanup_free_ size_t *resets = NULL;
        int r;

        r = resets_find(file, sections, n_sections, &resets);
        for (size_t i = 0; r == 0 && i < file->n_entries; i++) {
                const ConfigEntry *entry = &file->entries[i];
                const ConfigSection *section = section_find(sections, n_sections, entry->section);
                const ConfigKey *key = section ? section_find_key(section, entry->key) : NULL;

                if (key && i + 1 >= resets[key_number(sections, section, key)])
                        r = entry_apply(entry, key, (char *) section->target + key->offset,
                                        context);
                else if (key || string_after_prefix(entry->section, "X-"))
                        continue;
                else if (!section && !entry_is_in_same_section(file, i))
                        r = report_unknown_section(entry, sections, n_sections, context->problems);
                else if (section && !string_after_prefix(entry->key, "X-"))
                        r = report_unknown_key(entry, section, sections, n_sections,
                                               context->problems);
        }
        return r;
}

const ConfigEntry *config_file_find(const ConfigFile *file, const char *section, const char *key) {
        for (size_t i = file->n_entries; i > 0; i--) {
                const ConfigEntry *entry = &file->entries[i - 1];

                if (string_equal(entry->key, key) && string_equal(entry->section, section))
                        return *entry->value ? entry : NULL;
        }
        return NULL;
}
