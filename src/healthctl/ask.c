/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* is-healthy, is-ready and wait: answers for scripts, by the exit status; and check, for Nagios. */

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/time-util.h"
#include "healthctl/client.h"
#include "healthctl/host-view.h"
#include "healthctl/json.h"
#include "healthctl/pause.h"

#define WAIT_PACE_MSEC  250
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

static void add_name(TextBuffer *names, const char *name) {
        text_buffer_printf(names, "%s%s", names->length > 0 ? ", " : "", name);
}

/* Adds what does not pass of the checks named, or of the whole host. */
static int find_failing(Healthctl *ctl, TextBuffer *failing) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL;
        const cJSON *name;
        Status status;
        int r;

        for (size_t i = 0; ctl->checks && ctl->checks[i]; i++) {
                r = ask_status(ctl, ctl->checks[i], &status);
                if (r < 0)
                        return r;
                if (!status_passes(status))
                        add_name(failing, ctl->checks[i]);
        }
        if (ctl->checks)
                return 0;
        r = healthctl_get(ctl, "/health/ready", &reply);
        if (r < 0)
                return r;
        cJSON_ArrayForEach(name, cJSON_GetObjectItemCaseSensitive(reply, "failing")) {
                if (cJSON_IsString(name))
                        add_name(failing, name->valuestring);
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

static int wait_until_ready(Healthctl *ctl) {
        uint64_t since_usec = now_monotonic_usec();
        int r;

        for (;;) {
                _cleanup_(text_buffer_done) TextBuffer failing = {};
                bool is_down;

                r = find_failing(ctl, &failing);
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
                pause_msec(WAIT_PACE_MSEC);
        }
}

int verb_wait(Healthctl *ctl, char **arguments) {
        int r;

        for (; *arguments; arguments++)
                if (string_list_add(&ctl->checks, *arguments) < 0)
                        return -ENOMEM;
        r = wait_until_ready(ctl);
        end_progress(ctl);
        return r;
}
