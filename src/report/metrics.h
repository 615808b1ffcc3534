/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The current state as metrics for Prometheus. Only reads. */

#include "report/body.h"
#include "report/health-json.h"
#include "report/metrics-writer.h"

/*
 * Renders everything to a new string. details: whether the reader may see more than statuses.
 * Returns 0 or -ENOMEM.
 */
int metrics_render(const HealthView *view, MetricsDialect dialect, bool details, uint64_t now_usec,
                   char **ret_text, size_t *ret_length);

/* The same in pieces. The view must stay where it is. Returns 0 or -ENOMEM. */
int metrics_body_new(const HealthView *view, MetricsDialect dialect, bool details, Body *ret);
