/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config-command.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define SPACES " \t\n"

static int refuse(char **ret_why, const char *text) {
        return string_replace(ret_why, text) < 0 ? -ENOMEM : -EINVAL;
}

/* What only a shell would understand: as an argument it is a mistake, unless it is quoted. */
static bool word_is_for_shell(const char *word) {
        static const char *const words[] = { "|",  "||",   "&",  "&&",         ";", ">",
                                             ">>", "2>&1", "2>", "2>>",        "<", "&>",
                                             "<<", "`",    "|&", ">/dev/null", NULL };

        return string_list_contains((char *const *) words, word);
}

static int word_check(const char *word, bool quoted, char **ret_why) {
        if (!quoted && word_is_for_shell(word)) {
                if (string_printf(ret_why,
                                  "there is no shell that would understand %s; quote it if it is "
                                  "an argument, else write /bin/sh -c '...'",
                                  word) < 0)
                        return -ENOMEM;
                return -EINVAL;
        }
        if (string_after_prefix(word, CREDENTIAL_PREFIX))
                return refuse(ret_why, "everybody can read the arguments of a program; hand the "
                                       "credential over by Environment=NAME=credential:NAME");
        return 0;
}

/* The next word without its quotes but with its escapes; what follows it goes to *text. */
static int word_cut(const char **text, TextBuffer *word, bool *ret_quoted, char **ret_why) {
        const char *p = *text;
        char quote = '\0';

        *ret_quoted = false;
        for (; *p && (quote || !strchr(SPACES, *p)); p++) {
                if (*p == '\\' && p[1])
                        text_buffer_add(word, p++, 1);
                else if (quote ? *p == quote : *p == '"' || *p == '\'') {
                        quote = quote ? '\0' : *p;
                        *ret_quoted = true;
                        continue;
                }
                text_buffer_add(word, p, 1);
        }
        *text = p;
        if (quote)
                return refuse(ret_why, "the closing quote is missing; write \\\" or \\' for a "
                                       "quote that is meant");
        return 0;
}

static int word_read(const char **text, StringList *argv, char **ret_why) {
        _cleanup_(text_buffer_done) TextBuffer cut = {};
        _cleanup_free_ char *escaped = NULL, *word = NULL;
        size_t length;
        bool quoted;
        int r;

        r = word_cut(text, &cut, &quoted, ret_why);
        if (r == 0)
                r = text_buffer_finish(&cut, &escaped, NULL);
        if (r < 0)
                return r;
        r = string_unescape(escaped, &word, &length);
        if (r == -EINVAL)
                return refuse(ret_why, "an escape that is not known; the escapes are those of C "
                                       "(\\n \\t \\x41) and \\s for a space, and a backslash that "
                                       "is meant is written \\\\");
        if (r < 0)
                return r;
        if (strlen(word) != length)
                return refuse(ret_why, "an argument cannot hold a NUL byte");
        r = word_check(word, quoted, ret_why);
        return r < 0 ? r : string_list_add(argv, word);
}

int config_parse_command(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        _cleanup_(string_list_freep) StringList argv = NULL;
        StringList *target = field;
        int r;

        (void) key;
        for (value += strspn(value, SPACES); *value; value += strspn(value, SPACES)) {
                r = word_read(&value, &argv, ret_why);
                if (r < 0)
                        return r;
        }
        if (!argv || *argv[0] != '/')
                return refuse(ret_why,
                              "not an absolute path; the program is not looked for in "
                              "PATH: write for example /usr/lib/nagios/plugins/check_disk");
        string_list_free(*target);
        *target = TAKE_PTR(argv);
        return 0;
}

/* The length of the name, 0 if it is none. */
static size_t assignment_name_length(const char *value) {
        size_t length = 0;

        while (isalnum((unsigned char) value[length]) || value[length] == '_')
                length++;
        return isdigit((unsigned char) *value) || value[length] != '=' ? 0 : length;
}

int config_parse_assignments(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        size_t length = assignment_name_length(value);
        StringList *list = field;
        char *copy;

        if (!*value)
                return config_parse_lines(key, value, field, ret_why);
        if (length == 0)
                return refuse(ret_why, "write NAME=VALUE, one on each line, without quotes; a name "
                                       "is made of letters, digits and \"_\"");
        for (char **item = *list; item && *item; item++) {
                if (strncmp(*item, value, length + 1) != 0)
                        continue;
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
                string_free_secret(*item);
                *item = copy;
                return 0;
        }
        return string_list_add(list, value);
}

static bool has_variable(char *const *environment, const char *assignment) {
        size_t length = strcspn(assignment, "=") + 1;

        for (; environment && *environment; environment++)
                if (strncmp(*environment, assignment, length) == 0)
                        return true;
        return false;
}

int command_environment_complete(StringList *environment) {
        static const char *const usual[] = {
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8",
                "HOME=/",
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTS(usual) && r >= 0; i++)
                if (!has_variable(*environment, usual[i]))
                        r = string_list_add(environment, usual[i]);
        return r;
}
