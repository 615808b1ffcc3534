/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "manager.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/footprint.h"
#include "base/time-util.h"
#include "check/dependencies.h"
#include "manager-internal.h"
#include "publish/journal-messages.h"
#include "publish/transitions.h"

#define KEPT_MAX          4
#define DRAIN_WITHIN_USEC (5 * USEC_PER_SEC)
/* Those who have waited for the start are answered first. */
#define TRIM_AFTER_USEC   USEC_PER_SEC

/* Journal first, then everybody who looks sees the new generation. */
void manager_on_report(Check *check, const CheckChanges *changes, void *userdata) {
        Manager *manager = userdata;

        manager->view.generation++;
        memory_note(manager->memory, check, changes);
        transitions_log(manager->journal, &manager->view, check, changes);
        guards_note(manager->guards, check);
        if (manager->alerts && (changes->transition || changes->flapping))
                alerts_note(manager->alerts, check);
        dependencies_run(&manager->view.checks, check, check->checked_usec);
        service_status_touch(&manager->status);
}

static void manager_on_drained(void *userdata) {
        Manager *manager = userdata;

        (void) sd_event_exit(manager->runtime->event, 0);
}

static void manager_on_trim(Timer *timer, void *userdata) {
        (void) timer;
        (void) userdata;
        footprint_trim();
}

static void manager_on_drain_timeout(Timer *timer, void *userdata) {
        (void) timer;
        manager_on_drained(userdata);
}

/* Answers the requests that have begun, for a while, and ends the loop. */
static void manager_drain(Manager *manager) {
        if (timer_is_armed(&manager->drain_timer))
                return;
        (void) timer_arm_after(&manager->drain_timer, DRAIN_WITHIN_USEC);
        http_server_drain(manager->server, manager_on_drained, manager);
}

static int manager_on_abort(sd_event_source *s, const struct signalfd_siginfo *signal,
                            void *userdata) {
        Manager *manager = userdata;

        (void) s;
        (void) signal;
        manager->aborted = true;
        manager_drain(manager);
        return 0;
}

/*
 * While feeding is withheld on purpose, the loop turns and the abort that systemd will send need
 * not cost anybody an answer. A loop that hangs must not take this way: it keeps the default.
 */
static void manager_expect_abort(Manager *manager, bool expected) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGABRT);
        manager->abort_source = sd_event_source_disable_unref(manager->abort_source);
        sigprocmask(expected ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
        if (expected && sd_event_add_signal(manager->runtime->event, &manager->abort_source,
                                            SIGABRT, manager_on_abort, manager) < 0)
                sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void manager_on_watchdog(const char *cause, uint64_t timeout_usec, void *userdata) {
        Manager *manager = userdata;
        JournalEntry *entry;
        char span[64];

        time_span_format(span, sizeof(span), timeout_usec);
        if (cause)
                entry = journal_entry_new(
                                LOG_ERR, MESSAGE_WATCHDOG_WITHHELD,
                                "Not feeding the watchdog: %s. systemd restarts %s "
                                "when this lasts for WatchdogSec=%s.",
                                cause, manager->options->wrapped_pid > 0 ? "this unit" : "healthd",
                                span);
        else
                entry = journal_entry_new(LOG_NOTICE, MESSAGE_WATCHDOG_RESUMED,
                                          "Feeding the watchdog again.");
        journal_entry_add(entry, "HEALTH_REASON", "%s", cause ? cause : "");
        journal_submit(manager->journal, entry);
        manager_expect_abort(manager, cause != NULL);
        /* Found at the next start, it tells that this was such a restart. */
        memory_budget(manager->memory)->withholding = cause != NULL;
        memory_save_budget(manager->memory);
}

/* Silences end by the clock on the wall. What the checks found out before a sleep is old. */
static void manager_on_sleep(uint64_t asleep_usec, void *userdata) {
        uint64_t now_usec = now_monotonic_usec();
        Manager *manager = userdata;
        char slept[64], excuse[64];
        JournalEntry *entry;

        control_desk_look(&manager->desk);
        manager->view.generation++;
        if (asleep_usec == 0)
                return;
        time_span_format(slept, sizeof(slept), asleep_usec);
        time_span_format(excuse, sizeof(excuse), SLEEP_EXCUSE_USEC);
        entry = journal_entry_new(LOG_INFO, MESSAGE_AWAKE,
                                  "The machine was asleep for %s. All checks run now; failures of "
                                  "the next %s do not count, as the network may have to come back.",
                                  slept, excuse);
        journal_submit(manager->journal, entry);
        for (size_t i = 0; i < manager->view.checks.n_items; i++)
                check_wake(manager->view.checks.items[i], asleep_usec, now_usec);
}

static void manager_on_shortage(int error, void *userdata) {
        Manager *manager = userdata;
        JournalEntry *entry;

        entry = journal_entry_new(LOG_WARNING, MESSAGE_LISTENER_PAUSED,
                                  "Cannot accept a connection: %s. Trying again in a moment; raise "
                                  "LimitNOFILE= if this lasts.",
                                  strerror(-error));
        journal_submit(manager->journal, entry);
}

static int manager_on_reload_asked(void *userdata) {
        Manager *manager = userdata;
        int r;

        r = manager_reload(manager);
        return r < 0 ? r : (int) manager->view.checks.n_items;
}

static void manager_stop(Manager *manager) {
        /* Our end is not that of the program we speak for. */
        if (manager->options->wrapped_pid == 0) {
                notify_stopping(manager->notify);
                notify_status(manager->notify, "stopping");
        }
        service_status_done(&manager->status);
        guard_feed_disarm(manager->guard_feed);
        /* Whoever stops us while it is withheld is not the watchdog: this costs no budget. */
        memory_budget(manager->memory)->withholding = false;
        memory_save_budget(manager->memory);
        manager_drain(manager);
}

static int manager_on_signal(sd_event_source *s, const struct signalfd_siginfo *signal,
                             void *userdata) {
        Manager *manager = userdata;

        (void) s;
        if (signal->ssi_signo == SIGHUP)
                (void) manager_reload(manager);
        else
                manager_stop(manager);
        return 0;
}

static int manager_watch_signals(Manager *manager) {
        static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
        int r;

        for (size_t i = 0; i < ELEMENTS(signals); i++) {
                r = sd_event_add_signal(manager->runtime->event, &manager->signals[i], signals[i],
                                        manager_on_signal, manager);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int manager_on_wrapped_end(sd_event_source *source, int fd, uint32_t revents,
                                  void *userdata) {
        (void) source;
        (void) fd;
        (void) revents;
        manager_on_drained(userdata);
        return 0;
}

/* There is nobody to speak for once the program has ended. */
static int manager_watch_wrapped(Manager *manager) {
        int fd, r;

        if (manager->options->wrapped_pid == 0)
                return 0;
        fd = pidfd_open(manager->options->wrapped_pid, 0);
        if (fd < 0)
                return -errno;
        r = sd_event_add_io(manager->runtime->event, &manager->wrapped_source, fd, EPOLLIN,
                            manager_on_wrapped_end, manager);
        if (r < 0) {
                close(fd);
                return r;
        }
        return sd_event_source_set_io_fd_own(manager->wrapped_source, true);
}

/* Sorts what systemd passed: listening sockets, and what we had it keep for us. */
static int manager_take_fds(Manager *manager, MemoryFd *kept, size_t *ret_n_kept,
                            char ***ret_names) {
        size_t n_kept = 0;
        int r, n;

        n = sd_listen_fds_with_names(1, ret_names);
        if (n < 0)
                return n;
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;

                if (memory_is_fd_name((*ret_names)[i]) && n_kept < KEPT_MAX) {
                        kept[n_kept++] = (MemoryFd){ fd, (*ret_names)[i] };
                        continue;
                }
                if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
                        continue;
                r = http_server_add_listener(manager->server, fd);
                if (r < 0)
                        return r;
        }
        *ret_n_kept = n_kept;
        return 0;
}

static int manager_take_over(Manager *manager) {
        _cleanup_(string_list_freep) StringList names = NULL;
        _cleanup_free_ char *path = NULL;
        bool wrapped = manager->options->wrapped_pid > 0;
        /* What a wrapped program's unit keeps is the program's. */
        const char *directory = wrapped ? NULL : getenv("STATE_DIRECTORY");
        MemoryFd kept[KEPT_MAX];
        size_t n_kept;
        int r;

        r = manager_take_fds(manager, kept, &n_kept, &names);
        if (r < 0)
                return r;
        if (directory) {
                r = string_printf(&path, "%s/state", directory);
                if (r < 0)
                        return r;
        }
        r = memory_new(wrapped ? NULL : manager->notify, manager->journal, path, kept, n_kept,
                       &manager->memory);
        if (r < 0)
                return r;
        restart_budget_begin(memory_budget(manager->memory), now_monotonic_usec());
        watchdog_set_budget(manager->watchdog, memory_budget(manager->memory),
                            &manager->status.restart_limit);
        manager->status.view = &manager->view;
        manager->status.notify = manager->notify;
        manager->status.journal = manager->journal;
        manager->status.memory = manager->memory;
        if (!wrapped) {
                r = alerts_new(manager->runtime, &manager->view, manager->journal, manager->memory,
                               &manager->alerts);
                if (r < 0)
                        return r;
        }
        manager->view.alerts = manager->alerts;
        r = textfile_new(manager->runtime, &manager->view, manager->journal, &manager->textfile);
        if (r < 0)
                return r;
        manager->desk = (ControlDesk){
                .view = &manager->view,
                .memory = manager->memory,
                .alerts = manager->alerts,
                .journal = manager->journal,
                .reload = manager_on_reload_asked,
                .userdata = manager,
        };
        control_desk_start(&manager->desk, manager->runtime);
        http_server_set_control_handler(manager->server, control_desk_handle, &manager->desk);
        sleep_watch_set_handler(manager->runtime->sleep, manager_on_sleep, manager);
        r = guards_new(manager->runtime, &manager->view, manager->journal, manager->memory,
                       &manager->guards);
        if (r < 0)
                return r;
        return guard_feed_new(manager->runtime, &manager->view, manager->journal,
                              watchdog_timeout_usec(manager->watchdog),
                              wrapped ? NULL : getenv("RUNTIME_DIRECTORY"), &manager->guard_feed);
}

static int manager_listen(Manager *manager, char **ret_error) {
        int r;

        for (size_t i = 0; manager->options->listen && manager->options->listen[i]; i++) {
                r = http_server_listen(manager->server, manager->options->listen[i], ret_error);
                if (r < 0)
                        return r;
        }
        return 0;
}

Manager *manager_free(Manager *manager) {
        if (!manager)
                return NULL;
        control_desk_done(&manager->desk);
        guards_free(manager->guards);
        alerts_free(manager->alerts);
        textfile_free(manager->textfile);
        guard_feed_free(manager->guard_feed);
        watchdog_free(manager->watchdog);
        http_server_free(manager->server);
        check_set_done(&manager->view.checks);
        timer_disarm(&manager->drain_timer);
        timer_disarm(&manager->trim_timer);
        service_status_done(&manager->status);
        notify_free(manager->notify);
        /* It lent its descriptor to the notifications, and its history to the checks. */
        memory_free(manager->memory);
        journal_free(manager->journal);
        for (size_t i = 0; i < ELEMENTS(manager->signals); i++)
                sd_event_source_unref(manager->signals[i]);
        sd_event_source_unref(manager->abort_source);
        sd_event_source_unref(manager->wrapped_source);
        runtime_free(manager->runtime);
        free(manager);
        return NULL;
}

/* Everything that publishes, before there is anything to publish. */
static int manager_init_publishers(Manager *manager) {
        Runtime *runtime = manager->runtime;
        int r;

        r = journal_new(&runtime->statistics.journal_dropped, &manager->journal);
        if (r < 0)
                return r;
        r = notify_new(runtime->scheduler, &manager->notify);
        if (r < 0)
                return r;
        r = http_server_new(runtime, &manager->view, &manager->server);
        if (r < 0)
                return r;
        http_server_set_shortage_handler(manager->server, manager_on_shortage, manager);
        return watchdog_new(runtime, &manager->view, manager->notify, manager_on_watchdog, manager,
                            &manager->watchdog);
}

int manager_new(const ManagerOptions *options, Manager **ret, char **ret_error) {
        _cleanup_(manager_freep) Manager *manager = calloc(1, sizeof(Manager));
        int r;

        if (!manager)
                return -ENOMEM;
        manager->options = options;
        manager->view.started_usec = now_monotonic_usec();
        if (getrandom(&manager->view.instance, sizeof(manager->view.instance), 0) < 0)
                return -errno;
        r = runtime_new(&manager->runtime);
        if (r < 0)
                return r;
        timer_init(&manager->trim_timer, manager->runtime->scheduler, manager_on_trim, manager);
        timer_init(&manager->drain_timer, manager->runtime->scheduler, manager_on_drain_timeout,
                   manager);
        service_status_init(&manager->status, manager->runtime->scheduler);
        manager->view.runtime = manager->runtime;
        r = manager_init_publishers(manager);
        if (r < 0)
                return r;
        r = manager_watch_signals(manager);
        if (r < 0)
                return r;
        r = manager_watch_wrapped(manager);
        if (r < 0)
                return r;
        r = manager_take_over(manager);
        if (r < 0)
                return r;
        r = manager_load(manager, ret_error);
        if (r < 0)
                return r;
        r = manager_listen(manager, ret_error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(manager);
        return 0;
}

static void manager_log_started(Manager *manager) {
        size_t n_listeners = http_server_listeners(manager->server);
        pid_t wrapped_pid = manager->options->wrapped_pid;
        JournalEntry *entry;

        if (wrapped_pid > 0)
                entry = journal_entry_new(LOG_INFO, MESSAGE_STARTED,
                                          "healthd " HEALTHD_VERSION
                                          " started for process %d; checks: %zu.",
                                          wrapped_pid, manager->view.checks.n_items);
        else if (n_listeners == 0)
                entry = journal_entry_new(LOG_WARNING, MESSAGE_STARTED,
                                          "healthd " HEALTHD_VERSION
                                          " started with %zu checks, and "
                                          "nobody can ask it: start healthd.socket, or give "
                                          "--listen=ADDRESS.",
                                          manager->view.checks.n_items);
        else
                entry = journal_entry_new(LOG_INFO, MESSAGE_STARTED,
                                          "healthd " HEALTHD_VERSION " started; checks: %zu, "
                                          "listening sockets: %zu.",
                                          manager->view.checks.n_items, n_listeners);
        journal_submit(manager->journal, entry);
}

int manager_run(Manager *manager) {
        int r;

        manager_log_started(manager);
        if (service_status_budget_is_spent(&manager->status, now_monotonic_usec()))
                journal_submit(manager->journal,
                               journal_entry_new(LOG_ERR, MESSAGE_BUDGET_SPENT,
                                                 "The restart budget is spent: %u restarts did not "
                                                 "help. The watchdog is fed from now on, and "
                                                 "/health answers 503, until the checks pass.",
                                                 memory_budget(manager->memory)->restarts.n_times));
        service_status_tell(&manager->status);
        /* Out of memory: it stays larger. */
        (void) timer_arm_after(&manager->trim_timer, TRIM_AFTER_USEC);
        r = runtime_run(manager->runtime);
        journal_submit(manager->journal, journal_entry_new(LOG_INFO, MESSAGE_STOPPED,
                                                           "Stopped after %" PRIu64
                                                           " probes and %" PRIu64 " requests.",
                                                           manager->runtime->statistics.probes_run,
                                                           manager->runtime->statistics.requests));
        if (!manager->aborted)
                memory_save_file(manager->memory);
        return r < 0 ? r : manager->aborted;
}
