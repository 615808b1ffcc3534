/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* status: how the host is, what is wrong first; and list: all checks by name. */

#include "healthctl/status.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "healthctl/json.h"
#include "healthctl/table.h"

#define RESULTS_SHOWN  20
#define RESULTS_NARROW 10 /* on a terminal that has better use for its width */
#define WIDTH_NARROW   100
#define LINES_AROUND   6 /* headline, names of columns, the last line, the prompt, blank ones */
#define LINES_NAMES    3 /* of healthy checks, at least */

static bool is_narrow(const Terminal *terminal) {
        return terminal->width > 0 && terminal->width < WIDTH_NARROW;
}

static void print_headline(const Terminal *terminal, const HostView *view) {
        char host[256] = "this host", span[64];
        static const Status order[] = { STATUS_UNHEALTHY, STATUS_ERROR, STATUS_UNKNOWN,
                                        STATUS_DEGRADED, STATUS_HEALTHY };
        const char *separator = ":";

        (void) gethostname(host, sizeof(host) - 1);
        (void) fprintf(terminal->out, "%s%s%s %s is %s%s%s",
                       terminal_colour(terminal, view->status), terminal_dot(terminal),
                       terminal_plain(terminal), host, terminal_colour(terminal, view->status),
                       status_to_string(view->status), terminal_plain(terminal));
        for (size_t i = 0; i < ELEMENTS(order); i++) {
                if (view->counts[order[i]] == 0)
                        continue;
                (void) fprintf(terminal->out, "%s %zu %s", separator, view->counts[order[i]],
                               status_to_string(order[i]));
                separator = ",";
        }
        if (!is_narrow(terminal))
                (void) fprintf(terminal->out, " (healthd up %s)",
                               format_since(span, sizeof(span), view->now - view->uptime,
                                            view->now));
        (void) fputc('\n', terminal->out);
}

/* What can be said by its name alone: it is healthy, and nothing else. */
static bool check_is_plain(const CheckView *check) {
        return check->status == STATUS_HEALTHY && !check->has_marks && !check->reason;
}

static int print_table(const Terminal *terminal, const HostView *view, bool with_names,
                       bool with_plain) {
        static const TableColumn columns[] = {
                { "", 0 },
                { "CHECK", 0 },
                { "STATUS", 0 },
                { "SINCE", 0 },
                { "RECENT", 0 },
                { "WHY", SCOLS_FL_WRAP },
                {},
        };
        size_t n_results = is_narrow(terminal) ? RESULTS_NARROW : RESULTS_SHOWN;
        _cleanup_(table_done) Table table = {};

        table_init(&table, terminal, columns, with_names);
        for (size_t i = 0; i < view->n_checks; i++) {
                const CheckView *check = &view->checks[i];
                const char *colour = terminal_colour(terminal, check->status);
                _cleanup_free_ char *why = NULL, *spark = NULL;
                char since[64];

                if (!with_plain && check_is_plain(check))
                        continue;
                why = check_view_explain(check, view->now);
                spark = check_view_spark(check, terminal, n_results);
                if (!why || !spark)
                        return -ENOMEM;
                table_add_row(&table);
                table_add_cell(&table, terminal_dot(terminal), colour);
                table_add_cell(&table, check->name, NULL);
                table_add_cell(&table, status_to_string(check->status), colour);
                table_add_cell(&table, format_since(since, sizeof(since), check->since, view->now),
                               NULL);
                table_add_cell(&table, spark, NULL);
                table_add_cell(&table, why, NULL);
        }
        return table_print(&table);
}

/* The names of plainly healthy checks side by side, in at most n_lines. */
static void print_names(const Terminal *terminal, const HostView *view, size_t n_plain,
                        size_t n_lines) {
        size_t width = 0, per_line, n_shown = 0, room;

        for (size_t i = 0; i < view->n_checks; i++)
                if (check_is_plain(&view->checks[i]) && strlen(view->checks[i].name) > width)
                        width = strlen(view->checks[i].name);
        per_line = terminal->width / (width + 2);
        per_line = per_line > 0 ? per_line : 1;
        room = per_line * n_lines;
        (void) fprintf(terminal->out, "\n%shealthy%s\n", terminal_colour(terminal, STATUS_HEALTHY),
                       terminal_plain(terminal));
        for (size_t i = 0; i < view->n_checks && n_shown < room; i++) {
                if (!check_is_plain(&view->checks[i]))
                        continue;
                n_shown++;
                (void) fprintf(terminal->out, "%-*s%s", (int) width + 2, view->checks[i].name,
                               n_shown % per_line == 0 ? "\n" : "");
        }
        if (n_shown % per_line != 0)
                (void) fputc('\n', terminal->out);
        if (n_shown < n_plain)
                (void) fprintf(terminal->out, "and %zu more; see healthctl list\n",
                               n_plain - n_shown);
}

int status_print(const Healthctl *ctl, const Terminal *terminal, HostView *view, bool all) {
        size_t n_plain = 0, room;
        int r;

        host_view_sort_by_urgency(view);
        for (size_t i = 0; i < view->n_checks; i++)
                n_plain += check_is_plain(&view->checks[i]);
        all = all || terminal->height == 0 || view->n_checks + LINES_AROUND <= terminal->height;
        print_headline(terminal, view);
        (void) fputc('\n', terminal->out);
        if (all || n_plain < view->n_checks) {
                r = print_table(terminal, view, ctl->legend, all);
                if (r < 0)
                        return r;
        }
        if (!all && n_plain > 0) {
                room = view->n_checks - n_plain + LINES_AROUND + LINES_NAMES;
                print_names(terminal, view, n_plain,
                            room < terminal->height ? terminal->height - room : LINES_NAMES);
        }
        return 0;
}

int verb_status(Healthctl *ctl, char **arguments) {
        _cleanup_(host_view_done) HostView view = {};
        int r;

        r = host_view_read(ctl, arguments, &view);
        if (r < 0)
                return r;
        if (ctl->json != JSON_OFF)
                return json_print(ctl, view.reply);
        terminal_open_pager(&ctl->terminal);
        r = status_print(ctl, &ctl->terminal, &view, arguments[0]);
        if (r < 0)
                return r;
        if (ctl->legend)
                (void) fprintf(ctl->terminal.out,
                               "\n%zu check%s. healthctl show CHECK says everything about one.\n",
                               view.n_checks, view.n_checks == 1 ? "" : "s");
        return 0;
}

static int list_print(const Healthctl *ctl, const HostView *view) {
        static const TableColumn columns[] = {
                { "CHECK", 0 },
                { "STATUS", 0 },
                { "TYPE", 0 },
                { "SINCE", SCOLS_FL_RIGHT },
                { "LAST", SCOLS_FL_RIGHT },
                { "NEXT", SCOLS_FL_RIGHT },
                { "DESCRIPTION", SCOLS_FL_TRUNC },
                {},
        };
        _cleanup_(table_done) Table table = {};

        table_init(&table, &ctl->terminal, columns, ctl->legend);
        for (size_t i = 0; i < view->n_checks; i++) {
                const CheckView *check = &view->checks[i];
                double next = json_number(check->json, "next_run", 0);
                char since[64], last[64];

                table_add_row(&table);
                table_add_cell(&table, check->name, NULL);
                table_add_cell(&table, status_to_string(check->status),
                               terminal_colour(&ctl->terminal, check->status));
                table_add_cell(&table, json_text(check->json, "type"), NULL);
                table_add_cell(&table, format_since(since, sizeof(since), check->since, view->now),
                               NULL);
                table_add_cell(&table,
                               format_since(last, sizeof(last),
                                            json_number(check->json, "checked_at", 0), view->now),
                               NULL);
                table_add_cell(&table,
                               next > 0 ? format_since(since, sizeof(since), view->now, next) : "-",
                               NULL);
                table_add_cell(&table, json_text(check->json, "description"), NULL);
        }
        return table_print(&table);
}

int verb_list(Healthctl *ctl, char **arguments) {
        _cleanup_(host_view_done) HostView view = {};
        int r;

        r = host_view_read(ctl, arguments, &view);
        if (r < 0)
                return r;
        if (ctl->json != JSON_OFF)
                return json_print(ctl, view.reply);
        for (size_t i = 0; ctl->quiet && i < view.n_checks; i++)
                (void) fprintf(ctl->terminal.out, "%s\n", view.checks[i].name);
        if (ctl->quiet)
                return 0;
        terminal_open_pager(&ctl->terminal);
        r = list_print(ctl, &view);
        if (r < 0)
                return r;
        if (ctl->legend)
                (void) fprintf(ctl->terminal.out, "\n%zu check%s.\n", view.n_checks,
                               view.n_checks == 1 ? "" : "s");
        return 0;
}
