/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an administrator may ask of the daemon: run, silence, unsilence, reset-breaker, reload,
 * beat. */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/time-util.h"
#include "healthctl/client.h"
#include "healthctl/json.h"
#include "healthctl/pause.h"
#include "healthctl/show.h"
#include "healthctl/table.h"

/* Timeout= of a check is an hour at most; nobody wants to wait that long by accident. */
#define RUN_TIMEOUT_USEC  (90 * USEC_PER_SEC)
#define RUN_PACE_MSEC     50
#define RUN_PACE_MAX_MSEC 1000

/* An object with one member. */
static cJSON *object_with(const char *name, const char *text) {
        _cleanup_(cJSON_Deletep) cJSON *object = cJSON_CreateObject();

        if (!object || !cJSON_AddStringToObject(object, name, text))
                return NULL;
        return TAKE_PTR(object);
}

/* Says what the daemon has done, unless that was not wanted. */
static int print_done(Healthctl *ctl, const cJSON *reply, const char *prefix) {
        const char *detail = json_text(reply, "detail");

        if (ctl->json != JSON_OFF)
                return json_print(ctl, reply);
        if (!ctl->quiet)
                (void) fprintf(ctl->terminal.out, "%s%s%s\n", prefix ? prefix : "",
                               prefix ? ": " : "", detail ? detail : "done");
        return 0;
}

static int post_check(Healthctl *ctl, const char *verb, const char *name) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL;
        int r;

        r = healthctl_post(ctl, verb, object_with("check", name), &reply);
        return r < 0 ? r : print_done(ctl, reply, name);
}

int verb_reset_breaker(Healthctl *ctl, char **arguments) {
        for (; *arguments; arguments++) {
                int r = post_check(ctl, "reset-breaker", *arguments);
                if (r < 0)
                        return r;
        }
        return 0;
}

int verb_reload(Healthctl *ctl, char **arguments) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL;
        int r;

        (void) arguments;
        r = healthctl_post(ctl, "reload", cJSON_CreateObject(), &reply);
        return r < 0 ? r : print_done(ctl, reply, NULL);
}

/* The last result as /health has it, until there is another than before. */
static int run_wait(Healthctl *ctl, const char *name, double before, cJSON **ret_reply,
                    const cJSON **ret_check) {
        uint64_t patience_usec = ctl->timeout_usec ? ctl->timeout_usec : RUN_TIMEOUT_USEC;
        uint64_t until_usec = now_monotonic_usec() + patience_usec;
        unsigned pace_msec = RUN_PACE_MSEC;
        char span[64];
        int r;

        while (now_monotonic_usec() < until_usec) {
                _cleanup_(cJSON_Deletep) cJSON *reply = NULL;

                r = healthctl_get_check(ctl, name, &reply, ret_check);
                if (r < 0)
                        return r;
                if (json_number(*ret_check, "checked_at", 0) != before) {
                        *ret_reply = TAKE_PTR(reply);
                        return 0;
                }
                pause_msec(pace_msec);
                pace_msec = pace_msec * 3 / 2 < RUN_PACE_MAX_MSEC ? pace_msec * 3 / 2
                                                                  : RUN_PACE_MAX_MSEC;
        }
        return healthctl_fail(ctl, -ETIMEDOUT,
                              "The run of \"%s\" has not ended within %s. --timeout= waits longer; "
                              "\"healthctl show %s\" shows its result when it is there.",
                              name, time_span_format(span, sizeof(span), patience_usec), name);
}

static int run_start(Healthctl *ctl, const char *name, const cJSON *check) {
        const cJSON *breaker = cJSON_GetObjectItemCaseSensitive(check, "breaker");
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL;
        int r;

        r = healthctl_post(ctl, "run", object_with("check", name), &reply);
        if (r == -EBUSY && string_equal(json_text(breaker, "position"), "open"))
                return healthctl_fail(ctl, r,
                                      "The breaker of \"%s\" is open: its server is left alone for "
                                      "a while. To close it and run the check: healthctl "
                                      "reset-breaker %s",
                                      name, name);
        return r;
}

int verb_run(Healthctl *ctl, char **arguments) {
        _cleanup_(cJSON_Deletep) cJSON *before = NULL, *after = NULL;
        const cJSON *json;
        CheckView check;
        int r;

        r = healthctl_get_check(ctl, arguments[0], &before, &json);
        if (r < 0)
                return r;
        r = run_start(ctl, arguments[0], json);
        if (r < 0)
                return r;
        r = run_wait(ctl, arguments[0], json_number(json, "checked_at", 0), &after, &json);
        if (r < 0)
                return r;
        check_view_read(json, &check);
        if (ctl->json != JSON_OFF)
                r = json_print(ctl, after);
        else if (!ctl->quiet) {
                show_print_name(&ctl->terminal, &check);
                r = show_print_result(ctl, &check, json_number(after, "timestamp", 0));
        }
        if (r < 0)
                return r;
        return status_passes(check.last_status) ? EXIT_SUCCESS : EXIT_NO;
}

static int silence_list(Healthctl *ctl) {
        static const TableColumn columns[] = {
                { "ID", SCOLS_FL_RIGHT },
                { "CHECK", 0 },
                { "LEFT", 0 },
                { "AUTHOR", 0 },
                { "REASON", SCOLS_FL_WRAP },
                {},
        };
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL;
        _cleanup_(table_done) Table table = {};
        const cJSON *silence, *silences;
        int r;

        r = healthctl_get(ctl, "/health/silences", &reply);
        if (r < 0)
                return r;
        if (ctl->json != JSON_OFF)
                return json_print(ctl, reply);
        silences = cJSON_GetObjectItemCaseSensitive(reply, "silences");
        if (ctl->legend && cJSON_GetArraySize(silences) == 0) {
                (void) fputs("Nothing is silenced.\n", ctl->terminal.out);
                return 0;
        }
        terminal_open_pager(&ctl->terminal);
        table_init(&table, &ctl->terminal, columns, ctl->legend);
        cJSON_ArrayForEach(silence, silences) {
                char id[32], left[64];

                (void) snprintf(id, sizeof(id), "%.0f", json_number(silence, "id", 0));
                table_add_row(&table);
                table_add_cell(&table, id, NULL);
                table_add_cell(&table, json_text(silence, "check"), NULL);
                table_add_cell(&table,
                               format_since(left, sizeof(left), json_number(reply, "timestamp", 0),
                                            json_number(silence, "until", 0)),
                               NULL);
                table_add_cell(&table, json_text(silence, "author"), NULL);
                table_add_cell(&table, json_text(silence, "reason"), NULL);
        }
        return table_print(&table);
}

int verb_silence(Healthctl *ctl, char **arguments) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL, *body = NULL;
        char until[64];
        int r;

        if (!arguments[0])
                return silence_list(ctl);
        if (!ctl->duration || !ctl->reason)
                return healthctl_fail(ctl, -EINVAL,
                                      "For how long, and why? Write for example: healthctl silence "
                                      "%s --for=2h --reason=\"moving the cache, ticket 42\"",
                                      arguments[0]);
        body = object_with("check", arguments[0]);
        if (!body || !cJSON_AddStringToObject(body, "duration", ctl->duration) ||
            !cJSON_AddStringToObject(body, "reason", ctl->reason))
                return -ENOMEM;
        r = healthctl_post(ctl, "silence", TAKE_PTR(body), &reply);
        if (r < 0)
                return r;
        if (ctl->json != JSON_OFF)
                return json_print(ctl, reply);
        if (!ctl->quiet)
                (void) fprintf(ctl->terminal.out,
                               "Silenced until %s (id %.0f, checks: %.0f). To end it: healthctl "
                               "unsilence %.0f\n",
                               format_time(until, sizeof(until), json_number(reply, "until", 0)),
                               json_number(reply, "id", 0), json_number(reply, "checks", 0),
                               json_number(reply, "id", 0));
        return 0;
}

int verb_unsilence(Healthctl *ctl, char **arguments) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL, *body = NULL;
        char *end = arguments[0];
        unsigned long id = isdigit((unsigned char) *end) ? strtoul(end, &end, 10) : 0;
        int r;

        if (id > 0 && !*end) {
                body = cJSON_CreateObject();
                if (!body || !cJSON_AddNumberToObject(body, "id", (double) id))
                        return -ENOMEM;
        } else
                body = object_with("check", arguments[0]);
        r = healthctl_post(ctl, "unsilence", TAKE_PTR(body), &reply);
        return r < 0 ? r : print_done(ctl, reply, NULL);
}

int verb_beat(Healthctl *ctl, char **arguments) {
        bool finish = ctl->finish || ctl->exit_status >= 0;
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL, *body = object_with("check", arguments[0]);
        int r;

        if (ctl->start && finish)
                return healthctl_fail(ctl, -EINVAL,
                                      "A job calls in with --start when it begins and with "
                                      "--finish (and --exit-status=) when it has ended.");
        if (!body ||
            ((ctl->start || finish) &&
             !cJSON_AddStringToObject(body, "status", ctl->start ? "start" : "finish")) ||
            (ctl->exit_status >= 0 &&
             !cJSON_AddNumberToObject(body, "exit_status", ctl->exit_status)))
                return -ENOMEM;
        r = healthctl_post(ctl, "beat", TAKE_PTR(body), &reply);
        if (r < 0)
                return r;
        /* From cron, every word is a mail. */
        return ctl->json != JSON_OFF ? json_print(ctl, reply) : EXIT_SUCCESS;
}
