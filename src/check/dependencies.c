/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/dependencies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

typedef enum Mark {
        MARK_NEW,
        MARK_ON_PATH,
        MARK_DONE,
} Mark;

typedef struct Search {
        CheckSettings *checks;
        ConfigFile *const *files;
        size_t n_checks;
        ConfigProblems *problems;
        Mark *marks;
        size_t *path; /* the checks from the first to the one that is looked at */
        size_t n_path;
} Search;

static int compare_name(const void *name, const void *item) {
        return strcmp(name, ((const CheckSettings *) item)->name);
}

/* The number of the check of that name, or n_checks. */
static size_t search_find(const Search *search, const char *name) {
        const CheckSettings *found;

        found = bsearch(name, search->checks, search->n_checks, sizeof(CheckSettings),
                        compare_name);
        return found ? (size_t) (found - search->checks) : search->n_checks;
}

static int search_complain(Search *search, size_t number, const char *text) {
        const ConfigEntry *entry = config_file_find(search->files[number], "Check", "DependsOn");

        config_problems_add(search->problems, entry ? entry->file : search->checks[number].name,
                            entry ? entry->line : 0, "%s", text);
        if (search->problems->lost)
                return -ENOMEM;
        return check_settings_break(&search->checks[number], search->problems,
                                    search->problems->n_items - 1);
}

static int search_complain_unknown(Search *search, size_t number, const char *name) {
        _cleanup_free_ const char **names = calloc(search->n_checks + 1, sizeof(char *));
        _cleanup_free_ char *text = NULL;
        const char *nearest;
        int r;

        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < search->n_checks; i++)
                names[i] = search->checks[i].name;
        nearest = string_nearest(name, names);
        r = string_printf(&text, "DependsOn=%s: there is no check of this name%s%s%s", name,
                          nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                          nearest ? "\"?" : "");
        return r < 0 ? r : search_complain(search, number, text);
}

/* The last of the path names one that is on it already: "a -> b -> a". */
static int search_complain_circle(Search *search, size_t first) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        _cleanup_free_ char *line = NULL;
        size_t i = search->n_path;
        int r;

        while (search->path[i - 1] != first)
                i--;
        text_buffer_add_string(&text, "DependsOn= runs in a circle: ");
        for (i--; i < search->n_path; i++)
                text_buffer_printf(&text, "%s -> ", search->checks[search->path[i]].name);
        text_buffer_printf(&text, "%s; remove one of these", search->checks[first].name);
        r = text_buffer_finish(&text, &line, NULL);
        return r < 0 ? r : search_complain(search, search->path[search->n_path - 1], line);
}

static int search_visit(Search *search, size_t number) {
        char *const *names = search->checks[number].depends_on;
        int r = 0;

        search->marks[number] = MARK_ON_PATH;
        search->path[search->n_path++] = number;
        for (size_t i = 0; r == 0 && names && names[i]; i++) {
                size_t next = search_find(search, names[i]);

                if (next == search->n_checks)
                        r = search_complain_unknown(search, number, names[i]);
                else if (search->marks[next] == MARK_ON_PATH)
                        r = search_complain_circle(search, next);
                else if (search->marks[next] == MARK_NEW)
                        r = search_visit(search, next);
        }
        search->n_path--;
        search->marks[number] = MARK_DONE;
        return r;
}

int dependencies_verify(CheckSettings *checks, ConfigFile *const *files, size_t n_checks,
                        ConfigProblems *problems) {
        _cleanup_free_ Mark *marks = calloc(n_checks + 1, sizeof(Mark));
        _cleanup_free_ size_t *path = calloc(n_checks + 1, sizeof(size_t));
        Search search = { checks, files, n_checks, problems, marks, path, 0 };
        int r;

        if (!marks || !path)
                return -ENOMEM;
        for (size_t i = 0; i < n_checks; i++) {
                r = marks[i] == MARK_NEW ? search_visit(&search, i) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

const Check *dependencies_blocker(const CheckSet *set, const Check *check) {
        char *const *names = check->settings.depends_on;

        for (size_t i = 0; names && names[i]; i++) {
                const Check *other = check_set_find(set, names[i]);

                /* Its last result and not its settled status: the cause must be known first. */
                if (other && other->last_status != STATUS_UNKNOWN &&
                    !status_passes(other->last_status))
                        return other;
        }
        return NULL;
}

bool dependencies_are_known(const CheckSet *set, const Check *check) {
        char *const *names = check->settings.depends_on;

        for (size_t i = 0; names && names[i]; i++) {
                const Check *other = check_set_find(set, names[i]);

                if (other &&
                    other->checked_usec + check->settings.retry_interval_usec < check->since_usec)
                        return false;
        }
        return true;
}

void dependencies_run(const CheckSet *set, const Check *check, uint64_t now_usec) {
        char *const *names = check->settings.depends_on;

        if (status_passes(check->last_status) || status_has_failed(check->settling.status))
                return;
        for (size_t i = 0; names && names[i]; i++) {
                Check *other = check_set_find(set, names[i]);

                /* Once between two attempts of this check, and for all that depend on it. */
                if (other && now_usec >= other->checked_usec + check->settings.retry_interval_usec)
                        (void) check_run_now(other);
        }
}
