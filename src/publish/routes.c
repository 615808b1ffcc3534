/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/routes.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"
#include "publish/alerts.h"
#include "report/health-ietf.h"
#include "report/history-json.h"
#include "report/metrics.h"
#include "report/silences-json.h"

#define CACHE_USEC        USEC_PER_SEC /* so old may "age" and "timestamp" be */
#define LIVE_CACHE_USEC   (100 * USEC_PER_MSEC)

/* Above it, application/health+json for all checks is the status alone: it is four times as long.
 */
#define IETF_DETAILED_MAX 1000

/* What changes with time alone is noted. */
static void rendering_note_check(Rendering *rendering, const HealthView *view, const Check *check,
                                 uint64_t now_usec) {
        bool quiet = health_is_quiet(view, check, now_realtime_usec(), NULL);
        uint8_t status = (uint8_t) (check_status(check, now_usec) << 1 | quiet);
        uint64_t next_usec = check_next_usec(check);

        rendering->statuses = hash_add(rendering->statuses, &status, sizeof(status));
        if (check->running)
                rendering->imminent = true;
        else if (next_usec > 0 && (rendering->next_usec == 0 || next_usec < rendering->next_usec))
                rendering->next_usec = next_usec;
}

static void rendering_note_group(Rendering *rendering, const HealthView *view, const char *group,
                                 uint64_t now_usec) {
        for (size_t i = 0; i < view->checks.n_items; i++)
                if (check_in_group(view->checks.items[i], group))
                        rendering_note_check(rendering, view, view->checks.items[i], now_usec);
}

static unsigned status_to_http(Status status) {
        return health_is_ok(status) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

/*
 * The view as it is asked for: without the checks of whose failures nobody is to be told, or not.
 * Valid as long as the view; *ret_items is to be freed.
 */
static int view_for(const HealthView *view, const Asked *asked, HealthView *ret,
                    Check ***ret_items) {
        uint64_t realtime_usec = now_realtime_usec();
        Check **items;

        *ret = *view;
        ret->recent = asked->recent;
        if (!asked->exclude_quiet)
                return 0;
        items = calloc(view->checks.n_items + 1, sizeof(Check *));
        if (!items)
                return -ENOMEM;
        ret->checks = (CheckSet){ .items = items };
        for (size_t i = 0; i < view->checks.n_items; i++)
                if (!health_is_quiet(view, view->checks.items[i], realtime_usec, NULL))
                        items[ret->checks.n_items++] = view->checks.items[i];
        *ret_items = items;
        return 0;
}

static int render_group(const HealthView *view, const Asked *asked, bool details, uint64_t now_usec,
                        Rendering *ret) {
        _cleanup_free_ Check **items = NULL;
        const char *name = asked->name;
        HealthView shown;
        Status status;
        int r;

        if (name && !check_set_has_group(&view->checks, name))
                return -ENOENT;
        r = view_for(view, asked, &shown, &items);
        if (r < 0)
                return r;
        status = check_set_status(&shown.checks, name, now_usec);
        ret->status = status_to_http(status);
        rendering_note_group(ret, &shown, name, now_usec);
        if (asked->ietf) {
                ret->media_type = HEALTH_IETF_MEDIA_TYPE;
                return health_ietf_overall(&shown, name,
                                           details && shown.checks.n_items <= IETF_DETAILED_MAX,
                                           now_usec, &ret->text, &ret->length);
        }
        if (shown.checks.n_items > BODY_WHOLE_CHECKS)
                return health_json_body_new(view,
                                            &(HealthJsonOptions){
                                                            .group = name,
                                                            .status = status,
                                                            .details = details,
                                                            .recent = asked->recent,
                                                            .exclude_quiet = asked->exclude_quiet,
                                            },
                                            &ret->body);
        return health_json_overall(&shown, name, details, now_usec, &ret->text, &ret->length);
}

static int render_check(const HealthView *view, const Asked *asked, bool details, uint64_t now_usec,
                        Rendering *ret) {
        const Check *check = check_set_find(&view->checks, asked->name);

        if (!check)
                return -ENOENT;
        ret->status = status_to_http(check_status(check, now_usec));
        rendering_note_check(ret, view, check, now_usec);
        if (asked->ietf) {
                ret->media_type = HEALTH_IETF_MEDIA_TYPE;
                return health_ietf_check(view, check, details, now_usec, &ret->text, &ret->length);
        }
        return health_json_check(view, check, details, now_usec, &ret->text, &ret->length);
}

static int render_ready(const HealthView *view, const Asked *asked, bool details, uint64_t now_usec,
                        Rendering *ret) {
        _cleanup_free_ Check **items = NULL;
        HealthView shown;
        int r;

        (void) details;
        r = view_for(view, asked, &shown, &items);
        if (r < 0)
                return r;
        ret->status = status_to_http(check_set_status(&shown.checks, NULL, now_usec));
        rendering_note_group(ret, &shown, NULL, now_usec);
        return health_json_ready(&shown, now_usec, &ret->text, &ret->length);
}

static int render_live(const HealthView *view, const Asked *asked, bool details, uint64_t now_usec,
                       Rendering *ret) {
        (void) view;
        (void) asked;
        (void) details;
        (void) now_usec;
        ret->status = MHD_HTTP_OK;
        return health_json_live(&ret->text, &ret->length);
}

static int render_history(const HealthView *view, const Asked *asked, bool details,
                          uint64_t now_usec, Rendering *ret) {
        const Check *check = asked->name ? check_set_find(&view->checks, asked->name) : NULL;

        (void) now_usec;
        if (!details)
                return -EACCES;
        if (!check || !check->history)
                return -ENOENT;
        ret->status = MHD_HTTP_OK;
        return history_json_render(asked->name, check->history, asked->since_usec,
                                   now_realtime_usec(), &ret->text, &ret->length);
}

static int render_silences(const HealthView *view, const Asked *asked, bool details,
                           uint64_t now_usec, Rendering *ret) {
        (void) asked;
        (void) now_usec;
        if (!details)
                return -EACCES;
        ret->status = MHD_HTTP_OK;
        return silences_json_render(view->silences, now_realtime_usec(), &ret->text, &ret->length);
}

static int render_alerts(const HealthView *view, const Asked *asked, bool details,
                         uint64_t now_usec, Rendering *ret) {
        (void) asked;
        (void) now_usec;
        if (!details)
                return -EACCES;
        ret->status = MHD_HTTP_OK;
        return alerts_render(view->alerts, &ret->text, &ret->length);
}

/* Always 200: a scraper drops the body of anything else. */
static int render_metrics(const HealthView *view, const Asked *asked, bool details,
                          uint64_t now_usec, Rendering *ret) {
        MetricsDialect dialect = asked->openmetrics ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;

        ret->status = MHD_HTTP_OK;
        ret->media_type = metrics_media_types[dialect];
        if (view->checks.n_items > BODY_WHOLE_CHECKS)
                return metrics_body_new(view, dialect, details, &ret->body);
        return metrics_render(view, dialect, details, now_usec, &ret->text, &ret->length);
}

static const Route routes[] = {
        { .path = "/health", .render = render_group, .cache_usec = CACHE_USEC, .by_accept = true },
        { .path = "/health/live",
          .render = render_live,
          .cache_usec = LIVE_CACHE_USEC,
          .volatile_state = true },
        { .path = "/health/ready", .render = render_ready, .cache_usec = CACHE_USEC },
        { .path = "/health/history",
          .placeholder = "?check=NAME[&since=SECONDS]",
          .render = render_history,
          .volatile_state = true },
        { .path = "/health/silences",
          .render = render_silences,
          .cache_usec = CACHE_USEC,
          .volatile_state = true },
        { .path = "/health/alerts", .render = render_alerts, .volatile_state = true },
        { .path = "/metrics",
          .render = render_metrics,
          .cache_usec = CACHE_USEC,
          .volatile_state = true,
          .by_encoding = true,
          .by_accept = true },
        { .path = "/health/checks/",
          .placeholder = "NAME",
          .render = render_check,
          .cache_usec = CACHE_USEC,
          .by_accept = true },
        { .path = "/health/groups/",
          .placeholder = "NAME",
          .render = render_group,
          .names_group = true,
          .cache_usec = CACHE_USEC,
          .by_accept = true },
};

static bool route_takes_rest(const Route *route) {
        return route->placeholder && *route->placeholder != '?';
}

const Route *route_find(const char *path, const char **ret_name) {
        for (size_t i = 0; i < ELEMENTS(routes); i++) {
                const char *rest = string_after_prefix(path, routes[i].path);

                if (!rest || (route_takes_rest(&routes[i]) ? !*rest : *rest != '\0'))
                        continue;
                *ret_name = route_takes_rest(&routes[i]) ? rest : NULL;
                return &routes[i];
        }
        return NULL;
}

const Route *route_list(size_t *ret_n) {
        *ret_n = ELEMENTS(routes);
        return routes;
}

bool route_takes_arguments(const Route *route) {
        return route->placeholder && *route->placeholder == '?';
}
