/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "healthctl/host-view.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time-util.h"
#include "healthctl/client.h"
#include "healthctl/json.h"

#define SECONDS_MAX 1e11 /* the year 5000: what is later is no time */

void host_view_done(HostView *view) {
        cJSON_Delete(view->reply);
        free(view->checks);
        *view = (HostView){};
}

void check_view_read(const cJSON *json, CheckView *ret) {
        const char *reason = json_text(json, "reason");
        const cJSON *required = cJSON_GetObjectItemCaseSensitive(json, "required");
        const cJSON *breaker = cJSON_GetObjectItemCaseSensitive(json, "breaker");

        *ret = (CheckView){
                .json = json,
                .name = json->string,
                .status = json_status(json, "status"),
                .last_status = json_status(json, "last_status"),
                .required = !cJSON_IsFalse(required),
                .is_quiet = cJSON_HasObjectItem(json, "silenced") ||
                            cJSON_HasObjectItem(json, "blocked_by") ||
                            json_is_true(json, "maintenance"),
                .reason = reason ? reason : json_text(json, "error"),
                .since = json_number(json, "since", 0),
                .recent = json_text(json, "recent"),
        };
        ret->has_marks = ret->is_quiet || json_is_true(json, "flapping") ||
                         (breaker && !string_equal(json_text(breaker, "position"), "closed"));
}

static bool name_matches(const char *name, char *const *patterns) {
        for (size_t i = 0; patterns && patterns[i]; i++)
                if (string_equal(patterns[i], name) ||
                    fnmatch(patterns[i], name, FNM_NOESCAPE) == 0)
                        return true;
        return !patterns || !patterns[0];
}

/* Removes what was not asked for; a pattern that matches nothing is a mistake of its writer. */
static int checks_filter(Healthctl *ctl, cJSON *checks, char *const *patterns) {
        for (size_t i = 0; patterns && patterns[i]; i++) {
                char *const one[] = { patterns[i], NULL };
                const cJSON *check = checks ? checks->child : NULL;

                while (check && !name_matches(check->string, one))
                        check = check->next;
                if (!check)
                        return healthctl_fail_unknown(ctl, checks, patterns[i]);
        }
        for (cJSON *check = checks->child, *next; check; check = next) {
                next = check->next;
                if (!name_matches(check->string, patterns))
                        cJSON_Delete(cJSON_DetachItemViaPointer(checks, check));
        }
        return 0;
}

int host_view_read(Healthctl *ctl, char *const *patterns, HostView *ret) {
        cJSON *reply;
        int r;

        r = healthctl_get(ctl, ctl->json == JSON_OFF ? "/health?recent=yes" : "/health", &reply);
        return r < 0 ? r : host_view_parse(ctl, reply, patterns, ret);
}

int host_view_parse(Healthctl *ctl, cJSON *reply, char *const *patterns, HostView *ret) {
        _cleanup_(host_view_done) HostView view = { .reply = reply };
        const cJSON *check;
        cJSON *checks;
        int r;

        checks = cJSON_GetObjectItemCaseSensitive(view.reply, "checks");
        if (!cJSON_IsObject(checks))
                return healthctl_fail(ctl, -EBADMSG, "healthd's answer has no checks in it.");
        r = checks_filter(ctl, checks, patterns);
        if (r < 0)
                return r;
        view.status = json_status(view.reply, "status");
        view.now = json_number(view.reply, "timestamp", 0);
        view.uptime = json_number(view.reply, "uptime", 0);
        view.checks = calloc((size_t) cJSON_GetArraySize(checks) + 1, sizeof(CheckView));
        if (!view.checks)
                return -ENOMEM;
        cJSON_ArrayForEach(check, checks) {
                CheckView *read = &view.checks[view.n_checks++];

                check_view_read(check, read);
                view.counts[read->status]++;
        }
        *ret = view;
        view = (HostView){};
        return 0;
}

static int check_view_compare(const void *left, const void *right) {
        static const int ranks[_STATUS_MAX] = {
                [STATUS_UNHEALTHY] = 0, [STATUS_ERROR] = 1,   [STATUS_UNKNOWN] = 2,
                [STATUS_DEGRADED] = 3,  [STATUS_HEALTHY] = 4,
        };
        const CheckView *a = left, *b = right;

        if (a->status != b->status)
                return ranks[a->status] - ranks[b->status];
        if (a->is_quiet != b->is_quiet)
                return a->is_quiet - b->is_quiet;
        if (a->required != b->required)
                return b->required - a->required;
        return strcmp(a->name, b->name);
}

void host_view_sort_by_urgency(HostView *view) {
        qsort(view->checks, view->n_checks, sizeof(CheckView), check_view_compare);
}

const char *format_since(char *buffer, size_t size, double then, double now) {
        double seconds = now - then;

        if (then <= 0 || !(seconds < SECONDS_MAX)) {
                (void) snprintf(buffer, size, "-");
                return buffer;
        }
        /* Whole seconds, but for what began just now. */
        return time_span_format(buffer, size, seconds > 0 ? (uint64_t) seconds * USEC_PER_SEC : 0);
}

const char *format_time(char *buffer, size_t size, double then) {
        time_t seconds = then > 0 && then < SECONDS_MAX ? (time_t) then : 0;
        struct tm tm;

        if (seconds == 0 || !localtime_r(&seconds, &tm) ||
            strftime(buffer, size, "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
                (void) snprintf(buffer, size, "-");
        return buffer;
}

static void add_breaker(TextBuffer *text, const cJSON *check, double now) {
        const cJSON *breaker = cJSON_GetObjectItemCaseSensitive(check, "breaker");
        const char *position = json_text(breaker, "position");
        char span[64];

        if (!position || string_equal(position, "closed"))
                return;
        text_buffer_printf(text, " [breaker %s", position);
        if (cJSON_HasObjectItem(breaker, "next_attempt"))
                text_buffer_printf(text, ", next attempt in %s",
                                   format_since(span, sizeof(span), now,
                                                json_number(breaker, "next_attempt", now)));
        text_buffer_add_string(text, "]");
}

static void add_quiet(TextBuffer *text, const cJSON *check, double now) {
        const cJSON *silence = cJSON_GetObjectItemCaseSensitive(check, "silenced");
        const char *author = json_text(silence, "author"), *why = json_text(silence, "reason");
        char span[64];

        if (silence)
                text_buffer_printf(text, " [silenced for %s by %s: %s]",
                                   format_since(span, sizeof(span), now,
                                                json_number(silence, "until", now)),
                                   author ? author : "?", why ? why : "?");
        if (json_is_true(check, "maintenance"))
                text_buffer_add_string(text, " [maintenance]");
}

static void add_marks(TextBuffer *text, const cJSON *check, double now) {
        const char *blocker = json_text(check, "blocked_by");

        if (blocker)
                text_buffer_printf(text, " [blocked by %s]", blocker);
        add_breaker(text, check, now);
        if (json_is_true(check, "flapping"))
                text_buffer_add_string(text, " [flapping]");
        add_quiet(text, check, now);
}

char *check_view_explain(const CheckView *check, double now) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        char *explained;

        if (check->reason)
                text_buffer_printf(&text, " %s", check->reason);
        else if (check->status == STATUS_UNKNOWN &&
                 cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(check->json, "checked_at")))
                text_buffer_add_string(&text, " no result yet");
        if (check->last_status != STATUS_UNKNOWN && check->last_status != check->status)
                text_buffer_printf(&text, " [last result %s]",
                                   status_to_string(check->last_status));
        if (check->has_marks)
                add_marks(&text, check->json, now);
        if (!check->required && check->status != STATUS_HEALTHY)
                text_buffer_add_string(&text, " [optional]");
        if (text_buffer_finish(&text, &explained, NULL) < 0)
                return NULL;
        /* Each part begins with a space. */
        if (*explained)
                memmove(explained, explained + 1, strlen(explained));
        return explained;
}

char *check_view_spark(const CheckView *check, const Terminal *terminal, size_t n) {
        size_t length = check->recent ? strlen(check->recent) : 0;
        _cleanup_(text_buffer_done) TextBuffer text = {};
        char *spark;

        for (size_t i = length > n ? length - n : 0; i < length; i++) {
                Status status = STATUS_HEALTHY;

                while (status < _STATUS_MAX && *status_to_string(status) != check->recent[i])
                        status++;
                text_buffer_add_string(&text,
                                       terminal_spark(terminal, status < _STATUS_MAX ? status : 0));
        }
        return text_buffer_finish(&text, &spark, NULL) < 0 ? NULL : spark;
}
