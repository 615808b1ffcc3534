/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* show: everything about a check; history: what happened to it. */

#include "healthctl/show.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "healthctl/client.h"
#include "healthctl/json.h"
#include "healthctl/table.h"

#define TIME_SIZE     64
#define RESULTS_SHOWN 64 /* all that are kept */
#define CHANGES_SHOWN 5

/* The member's text for show's left edge: "      Status: ". */
static void print_label(const Terminal *terminal, const char *label) {
        (void) fprintf(terminal->out, "%13s: ", label);
}

static void print_text(const Terminal *terminal, const char *label, const char *text) {
        if (string_is_empty(text))
                return;
        print_label(terminal, label);
        (void) fprintf(terminal->out, "%s\n", text);
}

void show_print_name(const Terminal *terminal, const CheckView *check) {
        const char *description = json_text(check->json, "description");

        (void) fprintf(terminal->out, "%s%s%s %s%s%s%s%s\n",
                       terminal_colour(terminal, check->status), terminal_dot(terminal),
                       terminal_plain(terminal), terminal_bold(terminal), check->name,
                       terminal_plain(terminal), description ? " - " : "",
                       description ? description : "");
}

/* A measured value as a person writes it. */
static void print_value(FILE *out, const cJSON *value) {
        if (cJSON_IsString(value))
                (void) fputs(value->valuestring, out);
        else if (cJSON_IsBool(value))
                (void) fputs(cJSON_IsTrue(value) ? "true" : "false", out);
        else if (cJSON_IsNumber(value) && value->valuedouble == trunc(value->valuedouble))
                (void) fprintf(out, "%.0f", value->valuedouble);
        else if (cJSON_IsNumber(value))
                (void) fprintf(out, "%.6g", value->valuedouble);
        else
                (void) fputc('-', out);
}

static void print_details(const Terminal *terminal, const cJSON *details) {
        const cJSON *detail;
        size_t width = 0;

        if (!cJSON_IsObject(details))
                return;
        cJSON_ArrayForEach(detail, details) {
                if (strlen(detail->string) > width)
                        width = strlen(detail->string);
        }
        cJSON_ArrayForEach(detail, details) {
                if (detail == details->child)
                        print_label(terminal, "Measured");
                else
                        (void) fprintf(terminal->out, "%15s", "");
                (void) fprintf(terminal->out, "%-*s  ", (int) width, detail->string);
                print_value(terminal->out, detail);
                (void) fputc('\n', terminal->out);
        }
}

int show_print_result(const Healthctl *ctl, const CheckView *check, double now) {
        const cJSON *duration = cJSON_GetObjectItemCaseSensitive(check->json, "duration_ms");
        double checked = json_number(check->json, "checked_at", 0);
        const Terminal *terminal = &ctl->terminal;
        char since[TIME_SIZE];

        print_label(terminal, "Last result");
        if (checked <= 0)
                (void) fputs("none yet", terminal->out);
        else
                (void) fprintf(terminal->out, "%s%s%s, %s ago",
                               terminal_colour(terminal, check->last_status),
                               status_to_string(check->last_status), terminal_plain(terminal),
                               format_since(since, sizeof(since), checked, now));
        if (cJSON_IsNumber(duration))
                (void) fprintf(terminal->out, ", took %.1f ms", duration->valuedouble);
        (void) fputc('\n', terminal->out);
        print_text(terminal, "Why", check->reason);
        print_details(terminal, cJSON_GetObjectItemCaseSensitive(check->json, "details"));
        return 0;
}

static void print_status(const Terminal *terminal, const CheckView *check, double now) {
        char since[TIME_SIZE], then[TIME_SIZE];

        print_label(terminal, "Status");
        (void) fprintf(terminal->out, "%s%s%s", terminal_colour(terminal, check->status),
                       status_to_string(check->status), terminal_plain(terminal));
        if (check->since > 0)
                (void) fprintf(terminal->out, " since %s; %s ago",
                               format_time(then, sizeof(then), check->since),
                               format_since(since, sizeof(since), check->since, now));
        (void) fputc('\n', terminal->out);
}

static void print_breaker(const Terminal *terminal, const cJSON *check, double now) {
        const cJSON *breaker = cJSON_GetObjectItemCaseSensitive(check, "breaker");
        const char *position = json_text(breaker, "position");
        double next = json_number(breaker, "next_attempt", 0);
        char span[TIME_SIZE];

        if (!position || string_equal(position, "closed"))
                return;
        print_label(terminal, "Breaker");
        (void) fputs(position, terminal->out);
        if (next > 0)
                (void) fprintf(terminal->out,
                               ", the server is left alone; next attempt in %s, or by: healthctl "
                               "reset-breaker %s",
                               format_since(span, sizeof(span), now, next), check->string);
        (void) fputc('\n', terminal->out);
}

static void print_quiet(const Terminal *terminal, const cJSON *check) {
        const cJSON *silence = cJSON_GetObjectItemCaseSensitive(check, "silenced");
        const char *author = json_text(silence, "author"), *why = json_text(silence, "reason");
        const char *blocker = json_text(check, "blocked_by");
        char until[TIME_SIZE];

        if (silence) {
                print_label(terminal, "Silenced");
                (void) fprintf(terminal->out, "until %s by %s: %s (id %.0f)\n",
                               format_time(until, sizeof(until), json_number(silence, "until", 0)),
                               author ? author : "?", why ? why : "?",
                               json_number(silence, "id", 0));
        }
        if (json_is_true(check, "maintenance")) {
                print_label(terminal, "Maintenance");
                (void) fprintf(terminal->out, "until %s\n",
                               format_time(until, sizeof(until),
                                           json_number(check, "maintenance_until", 0)));
        }
        if (blocker) {
                print_label(terminal, "Blocked");
                (void) fprintf(terminal->out, "by %s, which fails too\n", blocker);
        }
        if (json_is_true(check, "flapping"))
                print_text(terminal, "Flapping", "the status changes all the time");
}

static void print_schedule(const Terminal *terminal, const cJSON *check, double now) {
        double failures = json_number(check, "consecutive_failures", 0);
        double next = json_number(check, "next_run", 0);
        char span[TIME_SIZE];

        if (failures > 0) {
                print_label(terminal, "Failures");
                (void) fprintf(terminal->out, "%.0f in a row\n", failures);
        }
        if (next > 0) {
                print_label(terminal, "Next run");
                (void) fprintf(terminal->out, "in %s\n",
                               format_since(span, sizeof(span), now, next));
        }
}

static void print_availability(const Terminal *terminal, const cJSON *history) {
        const cJSON *window, *windows = cJSON_GetObjectItemCaseSensitive(history, "availability");
        const char *separator = "";

        if (!cJSON_IsObject(windows))
                return;
        print_label(terminal, "Availability");
        cJSON_ArrayForEach(window, windows) {
                double ratio = json_number(window, "ratio", -1);

                if (ratio >= 0)
                        (void) fprintf(terminal->out, "%s%.2f %% in %s (%.0f of %.0f failed)",
                                       separator, ratio * 100, window->string,
                                       json_number(window, "failures", 0),
                                       json_number(window, "count", 0));
                else
                        (void) fprintf(terminal->out, "%sno results in %s", separator,
                                       window->string);
                separator = ", ";
        }
        (void) fputc('\n', terminal->out);
}

static void print_durations(const Terminal *terminal, const cJSON *history) {
        const cJSON *durations = cJSON_GetObjectItemCaseSensitive(history, "duration_ms");

        if (json_number(durations, "samples", 0) <= 0)
                return;
        print_label(terminal, "Durations");
        (void) fprintf(terminal->out, "p50 %.1f ms, p90 %.1f ms, p99 %.1f ms of %.0f results\n",
                       json_number(durations, "p50", 0), json_number(durations, "p90", 0),
                       json_number(durations, "p99", 0), json_number(durations, "samples", 0));
}

static void print_spark(const Terminal *terminal, const cJSON *history) {
        const cJSON *sample, *samples = cJSON_GetObjectItemCaseSensitive(history, "samples");

        if (!cJSON_IsArray(samples) || !samples->child)
                return;
        print_label(terminal, "Results");
        cJSON_ArrayForEach(sample, samples) {
                (void) fputs(terminal_spark(terminal, json_status(sample, "status")),
                             terminal->out);
        }
        (void) fputc('\n', terminal->out);
}

static void print_changes(const Terminal *terminal, const cJSON *history, int most) {
        const cJSON *change, *changes = cJSON_GetObjectItemCaseSensitive(history, "transitions");
        int skip = cJSON_GetArraySize(changes) - most;
        const char *label = "Changes";
        char then[TIME_SIZE];

        cJSON_ArrayForEach(change, changes) {
                const char *from = json_text(change, "from");
                Status to = json_status(change, "to");

                if (skip-- > 0)
                        continue;
                if (*label)
                        print_label(terminal, label);
                else
                        (void) fprintf(terminal->out, "%15s", "");
                label = "";
                (void) fprintf(terminal->out, "%s  %s -> %s%s%s\n",
                               format_time(then, sizeof(then), json_number(change, "at", 0)),
                               from ? from : "?", terminal_colour(terminal, to),
                               status_to_string(to), terminal_plain(terminal));
        }
}

/* A check whose file is broken has no history; nor may everybody see it. */
static int read_history(Healthctl *ctl, const char *name, cJSON **ret) {
        int r = healthctl_get_named(ctl, "/health/history?check=", name, ret);

        if (r != -ENOENT && r != -EACCES)
                return r;
        healthctl_forgive(ctl);
        *ret = cJSON_CreateObject();
        return *ret ? 0 : -ENOMEM;
}

int show_print(const Healthctl *ctl, const CheckView *check, const cJSON *history, double now) {
        const Terminal *terminal = &ctl->terminal;
        const char *type = json_text(check->json, "type");
        int r;

        show_print_name(terminal, check);
        if (type) {
                print_label(terminal, "Type");
                (void) fprintf(terminal->out, "%s, %s\n", type,
                               check->required ? "required" : "optional");
        }
        print_status(terminal, check, now);
        print_quiet(terminal, check->json);
        print_breaker(terminal, check->json, now);
        r = show_print_result(ctl, check, now);
        if (r < 0)
                return r;
        print_schedule(terminal, check->json, now);
        if (history->child) {
                print_availability(terminal, history);
                print_durations(terminal, history);
                print_spark(terminal, history);
                print_changes(terminal, history, CHANGES_SHOWN);
        }
        return 0;
}

/* For --json: what /health says of it, with its history as one more member. */
static int show_json(Healthctl *ctl, cJSON *reply, cJSON *history) {
        if (!cJSON_AddItemToObject(reply, "history", history)) {
                cJSON_Delete(history);
                return -ENOMEM;
        }
        return json_print(ctl, reply);
}

static int show_one(Healthctl *ctl, const char *name) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL, *history = NULL;
        const cJSON *json;
        CheckView check;
        int r;

        r = healthctl_get_check(ctl, name, &reply, &json);
        if (r < 0)
                return r;
        r = read_history(ctl, name, &history);
        if (r < 0)
                return r;
        if (ctl->json != JSON_OFF)
                return show_json(ctl, reply, TAKE_PTR(history));
        terminal_open_pager(&ctl->terminal);
        check_view_read(json, &check);
        return show_print(ctl, &check, history, json_number(reply, "timestamp", 0));
}

int verb_show(Healthctl *ctl, char **arguments) {
        int r;

        for (size_t i = 0; arguments[i]; i++) {
                if (i > 0 && ctl->json == JSON_OFF)
                        (void) fputc('\n', ctl->terminal.out);
                r = show_one(ctl, arguments[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int print_samples(const Healthctl *ctl, const cJSON *history) {
        static const TableColumn columns[] = {
                { "TIME", 0 },
                { "RESULT", 0 },
                { "DURATION", SCOLS_FL_RIGHT },
                {},
        };
        const cJSON *sample, *samples = cJSON_GetObjectItemCaseSensitive(history, "samples");
        _cleanup_(table_done) Table table = {};

        table_init(&table, &ctl->terminal, columns, ctl->legend);
        cJSON_ArrayForEach(sample, samples) {
                Status status = json_status(sample, "status");
                char then[TIME_SIZE], duration[TIME_SIZE];

                (void) snprintf(duration, sizeof(duration), "%.1f ms",
                                json_number(sample, "duration_ms", 0));
                table_add_row(&table);
                table_add_cell(&table,
                               format_time(then, sizeof(then), json_number(sample, "at", 0)), NULL);
                table_add_cell(&table, status_to_string(status),
                               terminal_colour(&ctl->terminal, status));
                table_add_cell(&table, duration, NULL);
        }
        return table_print(&table);
}

int verb_history(Healthctl *ctl, char **arguments) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL, *history = NULL;
        const Terminal *terminal = &ctl->terminal;
        const cJSON *json;
        CheckView check;
        int r;

        r = healthctl_get_check(ctl, arguments[0], &reply, &json);
        if (r < 0)
                return r;
        r = healthctl_get_named(ctl, "/health/history?check=", arguments[0], &history);
        if (r == -ENOENT)
                return healthctl_fail(ctl, r,
                                      "\"%s\" has no history: its file has mistakes. See healthctl "
                                      "show %s",
                                      arguments[0], arguments[0]);
        if (r < 0)
                return r;
        if (ctl->json != JSON_OFF)
                return json_print(ctl, history);
        terminal_open_pager(&ctl->terminal);
        check_view_read(json, &check);
        show_print_name(terminal, &check);
        print_availability(terminal, history);
        print_durations(terminal, history);
        print_changes(terminal, history, RESULTS_SHOWN);
        (void) fputc('\n', terminal->out);
        return print_samples(ctl, history);
}
