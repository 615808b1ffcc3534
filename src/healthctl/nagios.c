/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* check: one line as a Nagios plug-in writes it, so that monitoring which knows these can ask. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "healthctl/client.h"
#include "healthctl/host-view.h"
#include "healthctl/json.h"

/* Exit statuses of the plug-in interface. */
static const struct {
        int exit;
        const char *word;
} verdicts[_STATUS_MAX] = {
        [STATUS_HEALTHY] = { 0, "OK" },         [STATUS_DEGRADED] = { 1, "WARNING" },
        [STATUS_UNHEALTHY] = { 2, "CRITICAL" }, [STATUS_ERROR] = { 3, "UNKNOWN" },
        [STATUS_UNKNOWN] = { 3, "UNKNOWN" },
};

/* What a name ends in says what it counts. */
static const char *unit_of(const char *name) {
        static const struct {
                const char *ending, *unit;
        } units[] = {
                { "_ms", "ms" },
                { "_s", "s" },
                { "_percent", "%" },
                { "_bytes", "B" },
        };
        size_t length = strlen(name);

        for (size_t i = 0; i < ELEMENTS(units); i++) {
                size_t ending = strlen(units[i].ending);

                if (length > ending && string_equal(name + length - ending, units[i].ending))
                        return units[i].unit;
        }
        return "";
}

/* 'label'=value[unit]: a quote in a label is doubled, and it may have no "=". */
static void add_performance(TextBuffer *line, const char *name, double value) {
        text_buffer_add_string(line, " '");
        for (const char *p = name; *p; p++)
                if (*p == '\'')
                        text_buffer_add_string(line, "''");
                else
                        text_buffer_add(line, *p == '=' || *p == '|' ? "_" : p, 1);
        text_buffer_printf(line, "'=%.10g%s", value, unit_of(name));
}

/* A bar ends the text for whoever reads it. */
static void add_text(TextBuffer *line, const char *text) {
        for (; *text; text++)
                text_buffer_add(line, *text == '|' ? "/" : text, 1);
}

static int print_verdict(Healthctl *ctl, Status status, TextBuffer *line) {
        _cleanup_free_ char *text = NULL;

        if (text_buffer_finish(line, &text, NULL) < 0)
                return -ENOMEM;
        (void) fprintf(ctl->terminal.out, "HEALTHD %s - %s\n", verdicts[status].word, text);
        return verdicts[status].exit;
}

static int check_one(Healthctl *ctl, const char *name) {
        _cleanup_(text_buffer_done) TextBuffer line = {};
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL;
        _cleanup_free_ char *why = NULL;
        const cJSON *json, *detail, *details;
        CheckView check;
        int r;

        r = healthctl_get_check(ctl, name, &reply, &json);
        if (r < 0)
                return r;
        check_view_read(json, &check);
        why = check_view_explain(&check, json_number(reply, "timestamp", 0));
        if (!why)
                return -ENOMEM;
        add_text(&line, check.name);
        text_buffer_printf(&line, " is %s%s", status_to_string(check.status), *why ? ": " : "");
        add_text(&line, why);
        text_buffer_add_string(&line, " |");
        if (cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(json, "duration_ms")))
                add_performance(&line, "duration_ms", json_number(json, "duration_ms", 0));
        details = cJSON_GetObjectItemCaseSensitive(json, "details");
        if (!cJSON_IsObject(details))
                details = NULL;
        cJSON_ArrayForEach(detail, details) {
                if (cJSON_IsNumber(detail) && !string_equal(detail->string, "duration_ms"))
                        add_performance(&line, detail->string, detail->valuedouble);
        }
        return print_verdict(ctl, check.status, &line);
}

static int check_host(Healthctl *ctl) {
        _cleanup_(text_buffer_done) TextBuffer line = {};
        _cleanup_(host_view_done) HostView view = {};
        int r;

        r = host_view_read(ctl, NULL, &view);
        if (r < 0)
                return r;
        host_view_sort_by_urgency(&view);
        text_buffer_printf(&line, "%zu of %zu checks are healthy", view.counts[STATUS_HEALTHY],
                           view.n_checks);
        for (size_t i = 0; i < view.n_checks && view.checks[i].status != STATUS_HEALTHY; i++) {
                text_buffer_add_string(&line, "; ");
                add_text(&line, view.checks[i].name);
                text_buffer_printf(&line, " %s", status_to_string(view.checks[i].status));
        }
        text_buffer_add_string(&line, " |");
        for (Status i = 0; i < _STATUS_MAX; i++)
                add_performance(&line, status_to_string(i), (double) view.counts[i]);
        return print_verdict(ctl, view.status, &line);
}

int verb_check(Healthctl *ctl, char **arguments) {
        int r = arguments[0] ? check_one(ctl, arguments[0]) : check_host(ctl);

        /* Nagios reads standard output only. */
        if (r < 0 && ctl->error) {
                terminal_make_printable(&ctl->terminal, ctl->error);
                (void) fprintf(ctl->terminal.out, "HEALTHD UNKNOWN - %s\n", ctl->error);
                healthctl_forgive(ctl);
                return verdicts[STATUS_UNKNOWN].exit;
        }
        return r;
}
