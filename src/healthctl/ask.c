/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* is-healthy, is-ready and wait: answers for scripts, by the exit status; and check, for Nagios. */

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/time-util.h"
#include "healthctl/client.h"
#include "healthctl/json.h"
#include "healthctl/pause.h"

#define WAIT_PACE_MSEC  250
/* Each time the checks are run. */
#define FRESH_PACE_MSEC 500
#define PROGRESS_AROUND 28 /* columns: the words around the names */

static void print_word(const Healthctl *ctl, const char *word) {
        if (!ctl->quiet && ctl->json == JSON_OFF)
                (void) fprintf(ctl->terminal.out, "%s\n", word);
}

/* One check's status, or the host's (name NULL). */
static int ask_status(Healthctl *ctl, const char *name, Status *ret) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL;
        const cJSON *check;
        int r;

        if (name)
                r = healthctl_get_check(ctl, name, &reply, &check);
        else
                r = healthctl_get(ctl, "/health", &reply);
        if (r < 0)
                return r;
        *ret = json_status(reply, "status");
        return 0;
}

int verb_is_healthy(Healthctl *ctl, char **arguments) {
        bool is_healthy = true;
        Status status;
        int r;

        do {
                r = ask_status(ctl, *arguments, &status);
                if (r < 0)
                        return r;
                print_word(ctl, status_to_string(status));
                is_healthy = is_healthy && status == STATUS_HEALTHY;
        } while (*arguments && *++arguments);
        return is_healthy ? EXIT_SUCCESS : EXIT_NO;
}

int verb_is_ready(Healthctl *ctl, char **arguments) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL;
        bool is_ready;
        int r;

        (void) arguments;
        r = healthctl_get(ctl, "/health/ready", &reply);
        if (r < 0)
                return r;
        is_ready = string_equal(json_text(reply, "status"), "ready");
        if (ctl->json != JSON_OFF)
                r = json_print(ctl, reply);
        else
                print_word(ctl, is_ready ? "ready" : "not ready");
        if (r < 0)
                return r;
        return is_ready ? EXIT_SUCCESS : EXIT_NO;
}

static void add_name(TextBuffer *names, const char *name, const char *reason) {
        text_buffer_printf(names, "%s%s", names->length > 0 ? ", " : "", name);
        if (reason)
                text_buffer_printf(names, " (%s)", reason);
}

/* Has a check run soon, if we may; else it is waited for. Returns 0 or -ENOMEM. */
static int run_soon(Healthctl *ctl, const char *name) {
        static const char *const verbs[] = { "run", "reset-breaker" };
        int r = -EBUSY;

        /* An open breaker knows the service as it was before it was started. */
        for (size_t i = 0; r == -EBUSY && i < ELEMENTS(verbs); i++) {
                _cleanup_(cJSON_Deletep) cJSON *body = cJSON_CreateObject(), *reply = NULL;

                if (!body || !cJSON_AddStringToObject(body, "check", name))
                        return -ENOMEM;
                r = healthctl_post(ctl, verbs[i], TAKE_PTR(body), &reply);
        }
        healthctl_forgive(ctl);
        return r == -ENOMEM ? r : 0;
}

/* @seen: when a check was run last before we began to wait, NAN before the first look. */
static int find_failing_check(Healthctl *ctl, const char *name, double *seen, TextBuffer *failing) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL;
        const cJSON *check;
        double checked_at;
        bool passes;
        int r;

        r = healthctl_get_check(ctl, name, &reply, &check);
        if (r < 0)
                return r;
        passes = status_passes(json_status(check, "status"));
        checked_at = json_number(check, "checked_at", 0);
        if (isnan(*seen))
                *seen = checked_at;
        if (ctl->fresh &&
            (checked_at == *seen || !status_passes(json_status(check, "last_status"))))
                passes = false;
        if (passes)
                return 0;
        /* The gate of a start: why it failed is to stand in the unit's journal. */
        add_name(failing, name, ctl->fresh ? json_text(check, "reason") : NULL);
        return ctl->fresh ? run_soon(ctl, name) : 0;
}

/* Adds what does not pass of the checks named, or of the whole host. */
static int find_failing(Healthctl *ctl, double *seen, TextBuffer *failing) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL;
        const cJSON *name;
        int r;

        for (size_t i = 0; ctl->checks && ctl->checks[i]; i++) {
                r = find_failing_check(ctl, ctl->checks[i], &seen[i], failing);
                if (r < 0)
                        return r;
        }
        if (ctl->checks)
                return 0;
        r = healthctl_get(ctl, "/health/ready", &reply);
        if (r < 0)
                return r;
        cJSON_ArrayForEach(name, cJSON_GetObjectItemCaseSensitive(reply, "failing")) {
                if (cJSON_IsString(name))
                        add_name(failing, name->valuestring, NULL);
        }
        return 0;
}

/* One line on a terminal, written over and over. */
static void show_progress(const Healthctl *ctl, const char *what, uint64_t since_usec) {
        int room = (int) ctl->terminal.width - PROGRESS_AROUND;
        char span[64];

        if (!ctl->terminal.is_tty || ctl->quiet)
                return;
        (void) fprintf(ctl->terminal.out, "\r\033[KWaiting for %.*s, %s", room > 0 ? room : 0, what,
                       time_span_format(span, sizeof(span),
                                        (now_monotonic_usec() - since_usec) / USEC_PER_SEC *
                                                        USEC_PER_SEC));
        (void) fflush(ctl->terminal.out);
}

static void end_progress(const Healthctl *ctl) {
        if (ctl->terminal.is_tty && !ctl->quiet)
                (void) fputs("\r\033[K", ctl->terminal.out);
}

static int wait_ended(Healthctl *ctl, const char *what) {
        char span[64];

        (void) healthctl_fail(ctl, -ETIMEDOUT, "Still waiting for %s after %s.", what,
                              time_span_format(span, sizeof(span), ctl->timeout_usec));
        return EXIT_NO;
}

static int wait_until_ready(Healthctl *ctl, double *seen) {
        uint64_t since_usec = now_monotonic_usec();
        int r;

        for (;;) {
                _cleanup_(text_buffer_done) TextBuffer failing = {};
                bool is_down;

                r = find_failing(ctl, seen, &failing);
                /* It may be about to be started. */
                is_down = r == -ECONNREFUSED;
                if (r < 0 && !is_down)
                        return r;
                if (r >= 0 && failing.length == 0)
                        return EXIT_SUCCESS;
                if (ctl->timeout_usec > 0 && now_monotonic_usec() - since_usec >= ctl->timeout_usec)
                        return is_down ? r : wait_ended(ctl, failing.text);
                healthctl_forgive(ctl);
                show_progress(ctl, is_down ? "healthd" : failing.text, since_usec);
                pause_msec(ctl->fresh ? FRESH_PACE_MSEC : WAIT_PACE_MSEC);
        }
}

int verb_wait(Healthctl *ctl, char **arguments) {
        _cleanup_free_ double *seen = NULL;
        size_t n;
        int r;

        for (; *arguments; arguments++)
                if (string_list_add(&ctl->checks, *arguments) < 0)
                        return -ENOMEM;
        n = string_list_length(ctl->checks);
        if (ctl->fresh && n == 0)
                return healthctl_fail(ctl, -EINVAL, "--fresh is for checks: name them.");
        seen = calloc(n + 1, sizeof(double));
        if (!seen)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                seen[i] = NAN;
        r = wait_until_ready(ctl, seen);
        end_progress(ctl);
        return r;
}
