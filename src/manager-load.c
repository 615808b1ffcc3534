/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The configuration put into force, at the start and at each reload. */

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/footprint.h"
#include "base/time-util.h"
#include "manager-internal.h"
#include "publish/journal-messages.h"
#include "settings.h"

static void manager_log_problems(Manager *manager, int priority, const char *message_id,
                                 const ConfigProblems *problems) {
        for (size_t i = 0; i < problems->n_items; i++) {
                _cleanup_free_ char *text = NULL;

                if (config_problem_format(&problems->items[i], &text) < 0)
                        continue;
                journal_submit(manager->journal,
                               journal_entry_new(priority, message_id, "%s", text));
        }
}

/*
 * What a wrapped program's healthd has no business with, and perhaps no right to read, is none of
 * its mistakes: they are those of its own checks.
 */
static size_t manager_count_mistakes(const Manager *manager, const Settings *settings) {
        return manager->options->wrapped_pid > 0 ? settings_count_broken(settings)
                                                 : settings->problems.n_items;
}

static void manager_log_mistakes(Manager *manager, const Settings *settings) {
        if (manager->options->wrapped_pid == 0) {
                manager_log_problems(manager, LOG_ERR, MESSAGE_CONFIGURATION_PROBLEM,
                                     &settings->problems);
                return;
        }
        for (size_t i = 0; i < settings->n_checks; i++)
                if (settings->checks[i].problem)
                        journal_submit(manager->journal,
                                       journal_entry_new(LOG_ERR, MESSAGE_CONFIGURATION_PROBLEM,
                                                         "%s", settings->checks[i].problem));
}

static void manager_log_advice(Manager *manager, const Settings *settings) {
        manager_log_problems(manager, LOG_WARNING, MESSAGE_CONFIGURATION_ADVICE, &settings->advice);
}

/* Fills a new set: checks whose settings did not change are the same objects, with their state. */
static int manager_build_checks(Manager *manager, Settings *settings, CheckSet *ret) {
        int r;

        for (size_t i = 0; i < settings->n_checks; i++) {
                CheckSettings *wanted = &settings->checks[i];
                Check *check = check_set_find(&manager->view.checks, wanted->name);

                /* What broke one may have been elsewhere: another file, a check it depends on. */
                bool unchanged = check && check->type &&
                                 check->settings.identity == wanted->identity;

                if (!unchanged) {
                        r = check_new(wanted, manager->runtime, manager_on_report, manager, &check);
                        if (r < 0)
                                return r;
                }
                r = check_set_add(ret, check);
                if (r < 0) {
                        if (!unchanged)
                                check_free(check);
                        return r;
                }
        }
        check_set_sort(ret);
        return 0;
}

/* Frees the checks of one set that are not in the other. */
static void check_set_drop(CheckSet *set, const CheckSet *kept) {
        for (size_t i = 0; i < set->n_items; i++)
                if (check_set_find(kept, set->items[i]->settings.name) != set->items[i])
                        check_free(set->items[i]);
        free(set->items);
        *set = (CheckSet){};
}

/* Makes everything that takes memory, so that nothing can fail once it is put into force. */
static int manager_prepare(Manager *manager, Settings *settings, const CheckSet *checks) {
        int r = guards_prepare(manager->guards, checks);

        if (r >= 0 && manager->alerts)
                r = alerts_prepare(manager->alerts, settings->alerts, settings->n_alerts);
        /* One host, one file: a wrapped program has none. */
        if (r >= 0 && manager->alerts)
                r = textfile_prepare(manager->textfile, settings->textfile,
                                     settings->helper_directory);
        return r < 0 ? r : guard_feed_prepare(manager->guard_feed, checks);
}

/* Puts parsed settings into force: all of them, or none if memory is short. */
static int manager_apply(Manager *manager, Settings *settings) {
        CheckSet checks = {}, old = manager->view.checks;
        int r;

        r = manager_build_checks(manager, settings, &checks);
        if (r >= 0)
                r = manager_prepare(manager, settings, &checks);
        if (r >= 0)
                r = http_server_set_gate(manager->server, &settings->gate);
        if (r < 0) {
                /* Forgets what it was prepared for. */
                guard_feed_bind(manager->guard_feed);
                check_set_drop(&checks, &old);
                return r;
        }
        /* The time zone of maintenance windows may be another by now. */
        tzset();
        manager->view.checks = checks;
        manager->view.generation++;
        manager->status.restart_limit = settings->restart_limit;
        r = memory_bind(manager->memory, &checks);
        if (r < 0)
                journal_submit(manager->journal,
                               journal_entry_new(LOG_WARNING, MESSAGE_STATE_REFUSED,
                                                 "Cannot make room for the history: %s. It is not "
                                                 "kept until the next reload.",
                                                 strerror(-r)));
        check_set_drop(&old, &checks);
        guards_bind(manager->guards);
        guard_feed_bind(manager->guard_feed);
        if (manager->alerts) {
                alerts_bind(manager->alerts);
                textfile_bind(manager->textfile);
        }
        manager->status.ready_when = manager->options->wrapped_pid > 0 ? READY_WHEN_PASSED
                                                                       : settings->ready_when;
        http_server_set_details(manager->server, settings->details);
        for (size_t i = 0; i < checks.n_items; i++) {
                if (checks.items[i]->runs > 0 || timer_is_armed(&checks.items[i]->timer))
                        continue;
                /* Out of memory here: the check goes stale, which is seen. */
                (void) check_arm(checks.items[i]);
        }
        return 0;
}

/* Returns 0, -ENOENT (*ret_error, which may be NULL, says what is missing), or another errno. */
static int manager_read_settings(Manager *manager, Settings *ret, char **ret_error) {
        const ManagerOptions *options = manager->options;
        const SettingsScope scope = {
                .directories = options->directories,
                /* Ready at once: what it watches may be ordered after it, and is not there before.
                 */
                .ready_when = options->instance ? READY_WHEN_STARTED : READY_WHEN_CHECKED,
                .wrapped = options->wrapped_pid > 0,
        };
        const char *missing;
        int r;

        r = settings_load(&scope, manager->runtime, ret);
        if (r < 0 || !options->checks)
                return r;
        r = settings_keep_checks(ret, options->checks, &missing);
        if (r < 0 && ret_error)
                (void) string_printf(ret_error,
                                     "--check=%s: there is no checks/%s.check in the configuration",
                                     missing, missing);
        return r;
}

int manager_load(Manager *manager, char **ret_error) {
        _cleanup_(settings_done) Settings settings = {};
        int r;

        r = manager_read_settings(manager, &settings, ret_error);
        if (r < 0)
                return r;
        /* Those of other checks are none of the wrapped program's; its own say so by their status.
         */
        if (manager->options->wrapped_pid == 0) {
                manager_log_mistakes(manager, &settings);
                manager_log_advice(manager, &settings);
        }
        if (settings.gate.closed)
                journal_submit(manager->journal,
                               journal_entry_new(LOG_ERR, MESSAGE_TCP_CLOSED,
                                                 "Nobody is let in over TCP: it is not clear who "
                                                 "may come in. Correct healthd.conf and reload; "
                                                 "the unix socket is open."));
        return manager_apply(manager, &settings);
}

int manager_reload(Manager *manager) {
        _cleanup_(settings_done) Settings settings = {};
        bool mistaken;
        int r;

        if (manager->status.ready && manager->options->wrapped_pid == 0)
                notify_reloading(manager->notify, now_monotonic_usec());
        r = manager_read_settings(manager, &settings, NULL);
        mistaken = r >= 0 && manager_count_mistakes(manager, &settings) > 0;
        if (r >= 0)
                r = mistaken ? -EINVAL : manager_apply(manager, &settings);
        manager->status.refused = r < 0;
        if (r < 0) {
                manager_log_mistakes(manager, &settings);
                journal_submit(manager->journal,
                               journal_entry_new(LOG_ERR, MESSAGE_RELOAD_REFUSED,
                                                 "Reload refused, nothing was changed: %s. Correct "
                                                 "it and reload again.",
                                                 mistaken ? "the configuration has mistakes"
                                                          : strerror(-r)));
        } else {
                if (manager->options->wrapped_pid == 0)
                        manager_log_advice(manager, &settings);
                journal_submit(manager->journal, journal_entry_new(LOG_INFO, MESSAGE_RELOADED,
                                                                   "Reloaded: %zu checks.",
                                                                   manager->view.checks.n_items));
                footprint_trim();
        }
        if (manager->status.ready)
                notify_ready(manager->notify);
        service_status_tell(&manager->status);
        return r;
}
