/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/gate-settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/time-util.h"

#define SECTION "Server"

static const char *const gate_keys[] = { "Certificate", "Key", "ClientCA", "Token", NULL };

/* Also of a key in another section that is misspelt or called as other programs call it. */
static bool is_like_gate_key(const char *key) {
        static const char *const words[] = { "cert", "key", "token", "tls", "ssl", "auth" };

        for (size_t i = 0; i < ELEMENTS(words); i++)
                if (strcasestr(key, words[i]))
                        return true;
        return strstr(key, "CA") || string_nearest(key, gate_keys);
}

/* In [Server] all but the known keys that are about something else. */
static bool may_concern_gate(const ConfigEntry *entry, const ConfigKey *server_keys) {
        if (!string_equal(entry->section, SECTION))
                return is_like_gate_key(entry->key);
        for (const ConfigKey *key = server_keys; key->name; key++)
                if (string_equal(key->name, entry->key))
                        return string_list_contains((char *const *) gate_keys, key->name);
        return true;
}

static bool has_problem_at(const char *path, unsigned line, size_t first,
                           const ConfigProblems *problems) {
        for (size_t i = first; i < problems->n_items; i++)
                if (string_equal(problems->items[i].file, path) && problems->items[i].line == line)
                        return true;
        return false;
}

bool gate_settings_are_unclear(const ConfigFile *file, const ConfigKey *server_keys, size_t first,
                               const ConfigProblems *problems) {
        /* Nobody knows what was to stand there. */
        if (file->n_problems > 0)
                return true;
        for (size_t i = 0; i < file->n_entries; i++) {
                const ConfigEntry *entry = &file->entries[i];

                /* An unknown section may be a misspelt [Server]. */
                if (has_problem_at(entry->file, entry->section_line, first, problems) ||
                    (may_concern_gate(entry, server_keys) &&
                     has_problem_at(entry->file, entry->line, first, problems)))
                        return true;
        }
        return false;
}

bool gate_settings_have_problem(const ConfigFile *file, const char *key, size_t first,
                                const ConfigProblems *problems) {
        for (size_t i = 0; i < file->n_entries; i++) {
                const ConfigEntry *entry = &file->entries[i];

                if (string_equal(entry->section, SECTION) && string_equal(entry->key, key) &&
                    has_problem_at(entry->file, entry->line, first, problems))
                        return true;
        }
        return false;
}

int gate_settings_load(const ConfigFile *file, const HttpGateKeys *keys, ConfigContext *context,
                       HttpGate *ret) {
        TypeSetup setup = {};
        int r;

        r = http_gate_load(keys, context->placeholder_used, &setup, ret);
        if (r == -EINVAL) {
                config_report_refusal(file, SECTION, &setup, context);
                *ret = (HttpGate){ .closed = true };
                r = 0;
        }
        free(setup.why);
        return r;
}

static void advise(const ConfigFile *file, const char *key, ConfigProblems *advice,
                   const char *text) {
        const ConfigEntry *entry = config_file_find(file, SECTION, key);

        if (entry)
                config_problems_add(advice, entry->file, entry->line, "%s=%s %s", key, entry->value,
                                    text);
}

static int advise_of_certificate(const ConfigFile *file, const HttpTls *tls,
                                 ConfigProblems *advice) {
        time_t now = (time_t) (now_realtime_usec() / USEC_PER_SEC), begins = http_tls_begins(tls),
               expires = http_tls_expires(tls);
        _cleanup_free_ char *text = NULL;
        char day[sizeof("2026-11-28")] = "";
        struct tm date;
        int r = 0;

        if (expires < now && gmtime_r(&expires, &date)) {
                (void) strftime(day, sizeof(day), "%F", &date);
                r = string_printf(&text, "has expired on %s: clients will refuse it", day);
        } else if (begins > now && gmtime_r(&begins, &date)) {
                (void) strftime(day, sizeof(day), "%F", &date);
                r = string_printf(&text,
                                  "is not valid before %s: clients will refuse it; is the clock of "
                                  "this host right?",
                                  day);
        }
        if (text)
                advise(file, "Certificate", advice, text);
        return r;
}

static void advise_of_files(const ConfigFile *file, ConfigProblems *advice) {
        static const char *const secrets[] = { "Key", "Token" };

        for (size_t i = 0; i < ELEMENTS(secrets); i++) {
                const ConfigEntry *entry = config_file_find(file, SECTION, secrets[i]);
                struct stat status;

                if (entry && *entry->value == '/' && stat(entry->value, &status) >= 0 &&
                    status.st_mode & S_IROTH)
                        advise(file, secrets[i], advice,
                               "can be read by every user of this host: chmod o=");
        }
}

int gate_settings_advise(const ConfigFile *file, const HttpGate *gate, bool wants_authentication,
                         ConfigProblems *advice) {
        const bool has_tls = config_file_find(file, SECTION, "Certificate");
        const bool asks = config_file_find(file, SECTION, "ClientCA") ||
                          config_file_find(file, SECTION, "Token");

        if (gate->closed)
                return 0;
        if (file->mask && !has_tls && !asks)
                config_problems_add(advice, file->mask, 0,
                                    "is empty or a link to /dev/null, which masks healthd.conf: "
                                    "nothing in it counts, and the TCP port is served without TLS "
                                    "and without a token");
        advise_of_files(file, advice);
        if (!has_tls)
                advise(file, "Token", advice,
                       "is sent in the clear without Certificate=, unless a proxy on this host "
                       "speaks TLS");
        if (wants_authentication && !asks)
                advise(file, "Details", advice,
                       "is as Details=local without ClientCA= or Token=: nobody is authenticated");
        return gate->tls ? advise_of_certificate(file, gate->tls, advice) : 0;
}
