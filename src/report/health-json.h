/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The current state as JSON: what /health and its kin answer. Only reads. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check/check-set.h"
#include "check/silence.h"
#include "report/body.h"

/* What there is to render, owned by the manager; its address stays the same over reloads. */
typedef struct Alerts Alerts;

typedef struct HealthView {
        CheckSet checks;
        uint64_t generation;          /* grows with every result and every reload */
        uint64_t instance;            /* random, so that ETags of two runs differ */
        uint64_t started_usec;        /* CLOCK_MONOTONIC, for the uptime */
        const SilenceTable *silences; /* NULL: none */
        const Alerts *alerts;         /* NULL: none; for who publishes */
        const Runtime *runtime;       /* for /metrics: what the daemon counts of itself */
        unsigned restarts_left;       /* of the restart budget */
        bool recent;                  /* show the last results of each check, not its details */
} HealthView;

/*
 * Each renders one body to a new string. details: whether the reader may see more than statuses.
 * group NULL: every check. One check is rendered in the shape of the whole: its status on top and
 * itself under "checks". Returns 0 or -ENOMEM.
 */
int health_json_overall(const HealthView *view, const char *group, bool details, uint64_t now_usec,
                        char **ret_text, size_t *ret_length);
/*
 * All checks in pieces, but for those that nobody is to be told of if quiet ones are left out;
 * status: what stands on top. The view must stay where it is. Returns 0 or -ENOMEM.
 */
typedef struct HealthJsonOptions {
        const char *group; /* copied */
        Status status;
        bool details, recent, exclude_quiet;
} HealthJsonOptions;
int health_json_body_new(const HealthView *view, const HealthJsonOptions *options, Body *ret);
int health_json_check(const HealthView *view, const Check *check, bool details, uint64_t now_usec,
                      char **ret_text, size_t *ret_length);
int health_json_live(char **ret_text, size_t *ret_length);
/* ready: {"status":"ready",...}; else {"detail":"Service not ready","failing":[...]}. */
int health_json_ready(const HealthView *view, uint64_t now_usec, char **ret_text,
                      size_t *ret_length);

/*
 * Whether nobody is to be told of a check's failures: it is silenced, or a maintenance window is
 * open. ret_silence (may be NULL): the silence, or NULL if it is a window.
 */
bool health_is_quiet(const HealthView *view, const Check *check, uint64_t realtime_usec,
                     const Silence **ret_silence);

/* Whether a host, group or check in this status is worth 200 (or 503). */
static inline bool health_is_ok(Status status) {
        return status_passes(status);
}
