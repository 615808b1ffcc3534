/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What /health says, read into structs: the host and its checks. */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "check/status.h"
#include "healthctl/healthctl.h"

/* Texts are borrowed from the answer. Times are seconds since 1970; 0: not known. */
typedef struct CheckView {
        const cJSON *json;
        const char *name;
        Status status, last_status;
        bool required;
        bool is_quiet;  /* silenced, in maintenance or blocked */
        bool has_marks; /* that, or flapping, or with a breaker that is not closed */
        const char *reason;
        double since;
        const char *recent; /* the last results, a letter each, oldest first; or NULL */
} CheckView;

typedef struct HostView {
        cJSON *reply; /* owned */
        Status status;
        double now, uptime;
        CheckView *checks; /* owned; sorted by name, as they come */
        size_t n_checks;
        size_t counts[_STATUS_MAX];
} HostView;

/*
 * Asks for the checks (without their details, unless JSON was asked for) whose names match any of
 * the patterns (empty: all). A pattern that matches none fails with -ENOENT. Returns 0 or a
 * negative errno, with ctl->error.
 */
int host_view_read(Healthctl *ctl, char *const *patterns, HostView *ret);
/* The same from an answer that is there already; takes it over. */
int host_view_parse(Healthctl *ctl, cJSON *reply, char *const *patterns, HostView *ret);
void host_view_done(HostView *view);
void check_view_read(const cJSON *json, CheckView *ret);

/* What is wrong first, what is quiet after what is not. */
void host_view_sort_by_urgency(HostView *view);

/* "5min 20s", or "-" if then is not known. Returns buffer. */
const char *format_since(char *buffer, size_t size, double then, double now);
/* "Mon 2026-11-23 04:50:38 CET", or "-". Returns buffer. */
const char *format_time(char *buffer, size_t size, double then);

/* Why a check is as it is, with the marks in brackets: a new text, NULL if memory is short. */
char *check_view_explain(const CheckView *check, double now);
/* The last n results as a sparkline: a new text, NULL if memory is short. */
char *check_view_spark(const CheckView *check, const Terminal *terminal, size_t n);
