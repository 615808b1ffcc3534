/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/control-desk.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json-writer.h"
#include "base/time-util.h"
#include "publish/journal-messages.h"

/* The clock on the wall can be set; then a silence ends so late at most. */
#define SILENCE_PACE_USEC USEC_PER_MIN

static void format_author(uid_t uid, char *buffer, size_t size) {
        if (uid == 0)
                (void) snprintf(buffer, size, "root");
        else
                (void) snprintf(buffer, size, "uid %u", (unsigned) uid);
}

static void log_silence(const ControlDesk *desk, JournalEntry *entry, const Silence *silence) {
        journal_entry_add(entry, "HEALTH_CHECK", "%s", silence->pattern);
        journal_entry_add(entry, "HEALTH_SILENCE", "%" PRIu32, silence->id);
        journal_entry_add(entry, "HEALTH_SILENCED_BY", "%s", silence->author);
        journal_entry_add(entry, "HEALTH_REASON", "%s", silence->reason);
        journal_submit(desk->journal, entry);
}

static void control_desk_arm(ControlDesk *desk, uint64_t realtime_usec) {
        const SilenceTable *table = memory_silences(desk->memory);
        uint64_t pause_usec = SILENCE_PACE_USEC;

        for (size_t i = 0; i < table->n_items; i++) {
                uint64_t until_usec = table->items[i].until_usec;

                if (until_usec <= realtime_usec)
                        pause_usec = 0;
                else if (until_usec - realtime_usec < pause_usec)
                        pause_usec = until_usec - realtime_usec;
        }
        timer_disarm(&desk->silence_timer);
        if (table->n_items > 0)
                (void) timer_arm_after(&desk->silence_timer, pause_usec);
}

/* After a change: everybody who looks sees it, and it is kept. */
static void control_desk_changed(ControlDesk *desk, uint64_t realtime_usec) {
        memory_save_silences(desk->memory);
        desk->view->generation++;
        control_desk_arm(desk, realtime_usec);
}

static void control_desk_expire(ControlDesk *desk, uint64_t realtime_usec) {
        SilenceTable *table = memory_silences(desk->memory);

        for (size_t i = 0; i < table->n_items; i++)
                if (table->items[i].until_usec <= realtime_usec)
                        log_silence(desk,
                                    journal_entry_new(LOG_NOTICE, MESSAGE_SILENCE_ENDED,
                                                      "The silence of \"%s\" by %s is over.",
                                                      table->items[i].pattern,
                                                      table->items[i].author),
                                    &table->items[i]);
        if (silence_table_expire(table, realtime_usec) > 0)
                control_desk_changed(desk, realtime_usec);
}

void control_desk_look(ControlDesk *desk) {
        uint64_t realtime_usec = now_realtime_usec();

        control_desk_expire(desk, realtime_usec);
        control_desk_arm(desk, realtime_usec);
}

static void control_desk_on_timer(Timer *timer, void *userdata) {
        (void) timer;
        control_desk_look(userdata);
}

void control_desk_start(ControlDesk *desk, Runtime *runtime) {
        desk->view->silences = memory_silences(desk->memory);
        timer_init(&desk->silence_timer, runtime->scheduler, control_desk_on_timer, desk);
        control_desk_look(desk);
}

void control_desk_done(ControlDesk *desk) {
        if (desk->silence_timer.scheduler)
                timer_disarm(&desk->silence_timer);
}

/* Says that there is no such check, and which one may be meant. */
static int reply_no_check(const ControlDesk *desk, const char *name, ControlReply *ret) {
        const CheckSet *checks = &desk->view->checks;
        _cleanup_free_ const char **names = calloc(checks->n_items + 1, sizeof(char *));
        const char *nearest;

        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < checks->n_items; i++)
                names[i] = checks->items[i]->settings.name;
        nearest = string_nearest(name, names);
        return control_reply_say(ret, MHD_HTTP_NOT_FOUND,
                                 "there is no check \"%s\"%s%s%s /health lists them all.", name,
                                 nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                                 nearest ? "\"?" : ".");
}

static size_t count_matches(const ControlDesk *desk, const char *pattern) {
        const CheckSet *checks = &desk->view->checks;
        size_t n = 0;

        for (size_t i = 0; i < checks->n_items; i++) {
                const char *name = checks->items[i]->settings.name;

                n += string_equal(pattern, name) || fnmatch(pattern, name, FNM_NOESCAPE) == 0;
        }
        return n;
}

static int reply_silenced(const Silence *silence, size_t n_checks, ControlReply *ret) {
        _cleanup_(json_writer_done) JsonWriter json = {};

        json_object_begin(&json, NULL);
        json_add_string(&json, "detail", "silenced");
        json_add_unsigned(&json, "id", silence->id);
        json_add_string(&json, "check", silence->pattern);
        json_add_unsigned(&json, "checks", n_checks);
        json_add_seconds(&json, "until", silence->until_usec);
        json_add_string(&json, "author", silence->author);
        json_object_end(&json);
        ret->status = MHD_HTTP_OK;
        return json_writer_finish(&json, &ret->text, &ret->length);
}

static int control_desk_silence(ControlDesk *desk, const ControlRequest *request,
                                ControlReply *ret) {
        SilenceTable *table = memory_silences(desk->memory);
        uint64_t realtime_usec = now_realtime_usec();
        size_t n_checks = count_matches(desk, request->check);
        char author[SILENCE_AUTHOR_SIZE], span[64];
        _cleanup_free_ char *why = NULL;
        const Silence *silence;
        uint32_t id;
        int r;

        if (n_checks == 0)
                return reply_no_check(desk, request->check, ret);
        format_author(request->uid, author, sizeof(author));
        control_desk_expire(desk, realtime_usec);
        r = silence_table_add(table, request->check, author, request->reason, realtime_usec,
                              request->duration_usec, &id, &why);
        if (r < 0)
                return why ? control_reply_say(ret,
                                               r == -ENOSPC ? MHD_HTTP_CONFLICT
                                                            : MHD_HTTP_BAD_REQUEST,
                                               "%s", why)
                           : -ENOMEM;
        for (silence = table->items; silence->id != id; silence++)
                ;
        time_span_format(span, sizeof(span), request->duration_usec);
        log_silence(desk,
                    journal_entry_new(LOG_NOTICE, MESSAGE_SILENCED,
                                      "%s silenced \"%s\" for %s (checks: %zu): %s", author,
                                      silence->pattern, span, n_checks, silence->reason),
                    silence);
        control_desk_changed(desk, realtime_usec);
        return reply_silenced(silence, n_checks, ret);
}

static int reply_no_silence(const ControlDesk *desk, const ControlRequest *request,
                            ControlReply *ret) {
        const SilenceTable *table = memory_silences(desk->memory);
        const char *patterns[SILENCES_MAX + 1] = {}, *nearest;

        if (!request->check)
                return control_reply_say(ret, MHD_HTTP_NOT_FOUND,
                                         "there is no silence %" PRIu32
                                         "; /health/silences lists them",
                                         request->id);
        for (size_t i = 0; i < table->n_items; i++)
                patterns[i] = table->items[i].pattern;
        nearest = string_nearest(request->check, patterns);
        return control_reply_say(ret, MHD_HTTP_NOT_FOUND,
                                 "there is no silence for \"%s\" as it was written%s%s%s; "
                                 "/health/silences lists them",
                                 request->check, nearest ? "; did you mean \"" : "",
                                 nearest ? nearest : "", nearest ? "\"?" : "");
}

static int control_desk_unsilence(ControlDesk *desk, const ControlRequest *request,
                                  ControlReply *ret) {
        SilenceTable *table = memory_silences(desk->memory);
        char author[SILENCE_AUTHOR_SIZE];
        Silence ended;
        int r;

        if (request->check)
                r = silence_table_remove_pattern(table, request->check, &ended);
        else
                r = silence_table_remove(table, request->id, &ended);
        if (r < 0)
                return reply_no_silence(desk, request, ret);
        format_author(request->uid, author, sizeof(author));
        log_silence(desk,
                    journal_entry_new(LOG_NOTICE, MESSAGE_SILENCE_ENDED,
                                      "%s ended the silence of \"%s\" by %s.", author,
                                      ended.pattern, ended.author),
                    &ended);
        control_desk_changed(desk, now_realtime_usec());
        return control_reply_say(ret, MHD_HTTP_OK, "the silence of \"%s\" has ended",
                                 ended.pattern);
}

static int control_desk_reset_breaker(ControlDesk *desk, const ControlRequest *request,
                                      ControlReply *ret) {
        Check *check = check_set_find(&desk->view->checks, request->check);
        char author[SILENCE_AUTHOR_SIZE];
        JournalEntry *entry;

        if (!check)
                return reply_no_check(desk, request->check, ret);
        if (check->breaker.position == BREAKER_CLOSED)
                return control_reply_say(ret, MHD_HTTP_OK, "the breaker is closed already");
        check_reset_breaker(check);
        desk->view->generation++;
        format_author(request->uid, author, sizeof(author));
        entry = journal_entry_new(LOG_NOTICE, MESSAGE_BREAKER_CLOSED,
                                  "%s: the breaker is closed, reset by %s", check->settings.name,
                                  author);
        journal_entry_add(entry, "HEALTH_CHECK", "%s", check->settings.name);
        journal_entry_add(entry, "HEALTH_TYPE", "%s", check->settings.type_name);
        journal_entry_add(entry, "HEALTH_BREAKER", "closed");
        journal_submit(desk->journal, entry);
        return control_reply_say(ret, MHD_HTTP_OK, "the breaker is closed; the check runs now");
}

static int control_desk_run(ControlDesk *desk, const ControlRequest *request, ControlReply *ret) {
        Check *check = check_set_find(&desk->view->checks, request->check);
        int r;

        if (!check)
                return reply_no_check(desk, request->check, ret);
        r = check_run_now(check);
        if (r == -EINVAL)
                return control_reply_say(ret, MHD_HTTP_CONFLICT,
                                         "the check cannot run, its file has mistakes: %s",
                                         check->settings.problem ? check->settings.problem : "");
        if (r == -EBUSY)
                return control_reply_say(ret, MHD_HTTP_CONFLICT,
                                         "the breaker is open: its server is left alone for a "
                                         "while; POST /control/reset-breaker closes it and runs "
                                         "the check");
        if (r < 0 && r != -EALREADY)
                return r;
        return control_reply_say(ret, MHD_HTTP_ACCEPTED, "%s",
                                 r < 0 ? "the check runs already" : "the check runs now");
}

static int control_desk_reload(ControlDesk *desk, const ControlRequest *request,
                               ControlReply *ret) {
        int r = desk->reload(desk->userdata);

        (void) request;
        if (r < 0)
                return control_reply_say(ret, MHD_HTTP_CONFLICT,
                                         "reload refused, nothing was changed: %s; see "
                                         "\"healthd --verify\" or \"journalctl -u healthd\"",
                                         r == -EINVAL ? "the configuration has mistakes"
                                                      : strerror(-r));
        return control_reply_say(ret, MHD_HTTP_OK, "reloaded: %d checks", r);
}

static int control_desk_beat(ControlDesk *desk, const ControlRequest *request, ControlReply *ret) {
        Check *check = check_set_find(&desk->view->checks, request->check);
        Beat beat = {
                .kind = request->beat,
                .exit_status = request->exit_status,
                .uid = request->uid,
                .trusted = request->trusted,
        };
        int r;

        if (!check)
                return reply_no_check(desk, request->check, ret);
        r = check_beat(check, &beat);
        if (r == -EOPNOTSUPP)
                return control_reply_say(ret, MHD_HTTP_CONFLICT,
                                         "\"%s\" is no check of Type=heartbeat, so nobody calls in "
                                         "for it",
                                         check->settings.name);
        if (r == -EACCES)
                return control_reply_say(ret, MHD_HTTP_FORBIDDEN,
                                         "user %u may not call in for \"%s\"; name the user in "
                                         "User= of its [Heartbeat], or in the group " CONTROL_GROUP,
                                         (unsigned) request->uid, check->settings.name);
        if (r < 0)
                return r;
        return control_reply_say(ret, MHD_HTTP_OK, "noted");
}

/* What comes of it is seen at /health/alerts: it may take as long as the alert's Timeout=. */
static int control_desk_alert_test(ControlDesk *desk, const ControlRequest *request,
                                   ControlReply *ret) {
        _cleanup_(json_writer_done) JsonWriter json = {};
        const char *nearest;
        uint32_t id;
        int r;

        r = desk->alerts ? alerts_test(desk->alerts, request->alert, &id) : -ENOENT;
        if (r == -EINVAL)
                return control_reply_say(ret, MHD_HTTP_CONFLICT,
                                         "the file of the alert \"%s\" has mistakes; "
                                         "\"healthd --verify\" names them",
                                         request->alert);
        if (r < 0) {
                nearest = desk->alerts ? alerts_nearest(desk->alerts, request->alert) : NULL;
                return control_reply_say(ret, MHD_HTTP_NOT_FOUND,
                                         "there is no alert \"%s\"%s%s%s /health/alerts lists "
                                         "them all.",
                                         request->alert, nearest ? "; did you mean \"" : "",
                                         nearest ? nearest : "", nearest ? "\"?" : ".");
        }
        json_object_begin(&json, NULL);
        json_add_string(&json, "detail",
                        "a test message is on its way; /health/alerts tells how "
                        "it ends");
        json_add_unsigned(&json, "id", id);
        json_object_end(&json);
        ret->status = MHD_HTTP_ACCEPTED;
        return json_writer_finish(&json, &ret->text, &ret->length);
}

int control_desk_handle(const ControlRequest *request, ControlReply *ret, void *userdata) {
        static int (*const actions[_CONTROL_MAX])(ControlDesk *, const ControlRequest *,
                                                  ControlReply *) = {
                [CONTROL_SILENCE] = control_desk_silence,
                [CONTROL_UNSILENCE] = control_desk_unsilence,
                [CONTROL_RESET_BREAKER] = control_desk_reset_breaker,
                [CONTROL_RUN] = control_desk_run,
                [CONTROL_RELOAD] = control_desk_reload,
                [CONTROL_ALERT_TEST] = control_desk_alert_test,
                [CONTROL_BEAT] = control_desk_beat,
        };

        return actions[request->verb](userdata, request, ret);
}
