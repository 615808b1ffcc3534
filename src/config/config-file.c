/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config-file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file-util.h"

#define FILE_SIZE_MAX   ((off_t) 1024 * 1024)
#define LINE_SIZE_MAX   ((size_t) 64 * 1024)
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

/* Room for one more item; doubles whenever the count is a power of two. NULL: out of memory. */
static void *array_reserve(void *items, size_t n_items, size_t item_size) {
        if (items && (n_items & (n_items - 1)) != 0)
                return items;
        return reallocarray(items, n_items > 0 ? n_items * 2 : 1, item_size);
}

static void config_problem_done(ConfigProblem *problem) {
        free(problem->file);
        free(problem->text);
        *problem = (ConfigProblem){};
}

void config_problems_add(ConfigProblems *problems, const char *file, unsigned line,
                         const char *format, ...) {
        _cleanup_(config_problem_done) ConfigProblem problem = { .line = line };
        ConfigProblem *grown;
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = string_vprintf(&problem.text, format, arguments);
        va_end(arguments);
        if (r >= 0)
                r = string_replace(&problem.file, file);
        grown = r < 0 ? NULL
                      : array_reserve(problems->items, problems->n_items, sizeof(ConfigProblem));
        if (!grown) {
                problems->lost = true;
                return;
        }
        problems->items = grown;
        grown[problems->n_items++] = problem;
        problem = (ConfigProblem){};
}

void config_problems_done(ConfigProblems *problems) {
        for (size_t i = 0; i < problems->n_items; i++)
                config_problem_done(&problems->items[i]);
        free(problems->items);
        *problems = (ConfigProblems){};
}

int config_problem_format(const ConfigProblem *problem, char **ret) {
        char *text = NULL;
        int r;

        if (problem->line > 0)
                r = string_printf(&text, "%s:%u: %s", problem->file, problem->line, problem->text);
        else
                r = string_printf(&text, "%s: %s", problem->file, problem->text);
        if (r < 0)
                return r;
        *ret = text;
        return 0;
}

static void config_entry_done(ConfigEntry *entry) {
        free(entry->section);
        free(entry->key);
        string_free_secret(entry->value);
        *entry = (ConfigEntry){};
}

ConfigFile *config_file_free(ConfigFile *file) {
        if (!file)
                return NULL;
        for (size_t i = 0; i < file->n_entries; i++)
                config_entry_done(&file->entries[i]);
        free(file->entries);
        string_list_free(file->paths);
        free(file->mask);
        free(file->name);
        free(file);
        return NULL;
}

void config_file_drop_section(ConfigFile *file, const char *section) {
        size_t kept = 0;

        for (size_t i = 0; i < file->n_entries; i++)
                if (string_equal(file->entries[i].section, section))
                        config_entry_done(&file->entries[i]);
                else
                        file->entries[kept++] = file->entries[i];
        file->n_entries = kept;
}

/* One text on its way through the parser. */
typedef struct Reading {
        ConfigFile *file;
        const char *path; /* the file's own copy */
        ConfigProblems *problems;
        unsigned line; /* of the text */

        char *assembled; /* a line with those it is continued by; as large as the whole text */
        size_t length;
        unsigned start; /* the line where it starts */
        bool continued;
        bool spoiled; /* was complained about already: not to be parsed */

        char *section;
        unsigned section_line;
        bool lost; /* between a header nobody could read and the next one */
} Reading;

static void reading_done(Reading *reading, size_t size) {
        /* It may have held a password. */
        if (reading->assembled)
                explicit_bzero(reading->assembled, size);
        free(reading->assembled);
        free(reading->section);
}

static bool text_is_utf8(const char *text, size_t size) {
        for (size_t i = 0, length; i < size; i += length) {
                length = utf8_sequence_length(text + i, size - i);
                if (length == 0)
                        return false;
        }
        return true;
}

static bool name_is_valid(const char *name) {
        return *name && name[strspn(name, NAME_CHARACTERS)] == '\0';
}

/* "[Name]". A broken header costs its line, and its section only if the name cannot be read. */
static int reading_parse_header(Reading *reading, char *text) {
        char *name = text + 1, *end = strchr(name, ']');
        const char *why = NULL;
        int r;

        if (!end)
                why = "the section header does not end; write [Name]";
        else if (end[1])
                why = "something follows the section header; a comment needs a line of its own";
        if (end)
                *end = '\0';
        name = string_strip(name);
        if (!name_is_valid(name)) {
                config_problems_add(reading->problems, reading->path, reading->start,
                                    "not a section header; write [Name], of letters and digits");
                reading->lost = true;
                return 0;
        }
        if (why)
                config_problems_add(reading->problems, reading->path, reading->start, "%s", why);
        r = string_replace(&reading->section, name);
        if (r < 0)
                return r;
        reading->section_line = reading->start;
        reading->lost = false;
        return 0;
}

static int reading_add_entry(Reading *reading, const char *key, const char *value) {
        _cleanup_(config_entry_done) ConfigEntry entry = {
                .file = reading->path,
                .line = reading->start,
                .section_line = reading->section_line,
                .section = strdup(reading->section),
                .key = strdup(key),
                .value = strdup(value),
        };
        ConfigFile *file = reading->file;
        ConfigEntry *grown;

        if (!entry.section || !entry.key || !entry.value)
                return -ENOMEM;
        grown = array_reserve(file->entries, file->n_entries, sizeof(ConfigEntry));
        if (!grown)
                return -ENOMEM;
        file->entries = grown;
        grown[file->n_entries++] = entry;
        entry = (ConfigEntry){};
        return 0;
}

static int reading_parse_assignment(Reading *reading, char *text) {
        char *equals = strchr(text, '=');
        const char *key;

        /* None of these repeats the line: it may be the rest of a password. */
        if (!equals) {
                config_problems_add(
                                reading->problems, reading->path, reading->start,
                                "neither Key=value nor [Section] nor a # comment; if it belongs "
                                "to the line before, end that one with a \\");
                return 0;
        }
        *equals = '\0';
        key = string_strip(text);
        if (!name_is_valid(key)) {
                config_problems_add(reading->problems, reading->path, reading->start,
                                    "what stands before the \"=\" is no key; keys are made of "
                                    "letters, digits, \"-\" and \"_\"");
                return 0;
        }
        if (reading->lost)
                return 0;
        if (!reading->section) {
                config_problems_add(reading->problems, reading->path, reading->start,
                                    "\"%.64s=\" stands before the first section; put a line such "
                                    "as [Section] above it",
                                    key);
                /* The cause is one, and so is the complaint. */
                reading->lost = true;
                return 0;
        }
        return reading_add_entry(reading, key, string_strip(equals + 1));
}

/* Parses what was assembled and starts afresh. */
static int reading_finish_line(Reading *reading) {
        bool spoiled = reading->spoiled;
        char *text;

        reading->assembled[reading->length] = '\0';
        reading->length = 0;
        reading->continued = false;
        reading->spoiled = false;
        text = string_strip(reading->assembled);
        if (spoiled) {
                if (*text == '[')
                        reading->lost = true;
                return 0;
        }
        if (!*text)
                return 0;
        return *text == '[' ? reading_parse_header(reading, text)
                            : reading_parse_assignment(reading, text);
}

static void reading_spoil(Reading *reading, unsigned line, const char *why) {
        if (!reading->spoiled)
                config_problems_add(reading->problems, reading->path, line, "%s", why);
        reading->spoiled = true;
}

/* A backslash that is not itself escaped, at the very end. */
static bool line_continues(const char *text, size_t size) {
        size_t n = 0;

        while (n < size && text[size - 1 - n] == '\\')
                n++;
        return n % 2 == 1;
}

static int reading_add_line(Reading *reading, const char *text, size_t size) {
        if (size > 0 && text[size - 1] == '\r')
                size--;
        while (size > 0 && isspace((unsigned char) *text)) {
                text++;
                size--;
        }
        if (size > 0 && strchr("#;", *text))
                return 0;
        if (!reading->continued)
                reading->start = reading->line;
        if (!text_is_utf8(text, size))
                reading_spoil(reading, reading->line, "not valid UTF-8; save the file as UTF-8");
        if (size > LINE_SIZE_MAX || reading->length + size > LINE_SIZE_MAX) {
                reading_spoil(reading, reading->start,
                              "longer than 64 KiB, with the lines it is continued by");
                reading->continued = line_continues(text, size);
                return reading->continued ? 0 : reading_finish_line(reading);
        }
        memcpy(reading->assembled + reading->length, text, size);
        reading->length += size;
        reading->continued = line_continues(text, size);
        if (!reading->continued)
                return reading_finish_line(reading);
        reading->assembled[reading->length - 1] = ' ';
        return 0;
}

static int reading_run(Reading *reading, const char *text, size_t size) {
        const char *end = text + size;
        int r;

        if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
                text += 3;
        while (text < end) {
                const char *newline = memchr(text, '\n', (size_t) (end - text));
                size_t length = (size_t) ((newline ? newline : end) - text);

                reading->line++;
                if (memchr(text, '\0', length)) {
                        config_problems_add(reading->problems, reading->path, reading->line,
                                            "a NUL byte: not a text file, or UTF-16; save it as "
                                            "UTF-8");
                        return 0;
                }
                r = reading_add_line(reading, text, length);
                if (r < 0)
                        return r;
                text += newline ? length + 1 : length;
        }
        return reading->continued ? reading_finish_line(reading) : 0;
}

/* The file's own copy of path, for the entries to point at. */
static int config_file_add_path(ConfigFile *file, const char *path, const char **ret) {
        int r;

        r = string_list_add(&file->paths, path);
        if (r < 0)
                return r;
        *ret = file->paths[string_list_length(file->paths) - 1];
        return 0;
}

int config_file_parse(ConfigFile *file, const char *path, const char *text, size_t size,
                      ConfigProblems *problems) {
        Reading reading = { .file = file, .problems = problems };
        int r;

        r = config_file_add_path(file, path, &reading.path);
        if (r < 0)
                return r;
        reading.assembled = malloc(size + 1);
        if (!reading.assembled)
                return -ENOMEM;
        r = reading_run(&reading, text, size);
        reading_done(&reading, size + 1);
        return r;
}

/* What keeps a file from being read, for people; NULL: nothing. */
static const char *config_file_fault(int error, const struct stat *status) {
        if (error == ENOENT)
                return "it leads nowhere; mend the link, or point it to /dev/null to mask the file";
        if (error == EACCES)
                return "Permission denied; the user that healthd runs as must be allowed to read "
                       "it, by its group for example: chgrp healthd, chmod 640";
        if (error)
                return strerrordesc_np(error);
        if (!S_ISREG(status->st_mode))
                return "not a regular file";
        if (status->st_size > FILE_SIZE_MAX)
                return "larger than 1 MiB, so not a configuration file";
        return NULL;
}

static int config_file_add_unreadable(ConfigFile *file, const char *path, const char *fault,
                                      ConfigProblems *problems) {
        const char *ignored;

        config_problems_add(problems, path, 0, "cannot be read: %s", fault);
        return config_file_add_path(file, path, &ignored);
}

int config_file_read(ConfigFile *file, const char *path, ConfigProblems *problems) {
        _cleanup_free_ char *text = NULL;
        struct stat status = {};
        const char *fault;
        size_t size;
        int r;

        r = stat(path, &status) < 0 ? errno : 0;
        if (r == ENOMEM)
                return -ENOMEM;
        fault = config_file_fault(r, &status);
        if (fault)
                return config_file_add_unreadable(file, path, fault, problems);
        /* One more than there should be tells whether it is still being written. */
        size = (size_t) status.st_size + 2;
        text = malloc(size);
        if (!text)
                return -ENOMEM;
        r = file_read_small(path, text, size);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return config_file_add_unreadable(file, path, config_file_fault(-r, &status),
                                                  problems);
        if ((size_t) r < size - 1)
                r = config_file_parse(file, path, text, (size_t) r, problems);
        else
                r = config_file_add_unreadable(file, path, "it grows meanwhile; try again",
                                               problems);
        explicit_bzero(text, size);
        return r;
}
