/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks the daemon, over its unix socket. */

#include <cjson/cJSON.h>

#include "healthctl/healthctl.h"

DEFINE_CLEANUP(cJSON, cJSON_Delete)

/*
 * GETs a path. Unless JSON was asked for, every text in the answer is fit for a terminal. Returns 0
 * for an answer of 200 or 503, -ENOENT for 404, -EACCES for 403, or another negative errno, each
 * with ctl->error.
 */
int healthctl_get(Healthctl *ctl, const char *path, cJSON **ret);
/* The same for prefix and name, such as "/health/checks/": the name is escaped. */
int healthctl_get_named(Healthctl *ctl, const char *prefix, const char *name, cJSON **ret);
/* One check, out of its answer. -ENOENT says which name was probably meant. */
int healthctl_get_check(Healthctl *ctl, const char *name, cJSON **ret_reply,
                        const cJSON **ret_check);

/*
 * POSTs body (a JSON object, taken over) to /control/VERB. Returns 0 if it was done, -ENOENT,
 * -EACCES, -EBUSY (409) or another negative errno, each with ctl->error.
 */
int healthctl_post(Healthctl *ctl, const char *verb, cJSON *body, cJSON **ret);

/* Says that there is no such check, with the nearest name of those in checks; -ENOENT. */
int healthctl_fail_unknown(Healthctl *ctl, const cJSON *checks, const char *name);
