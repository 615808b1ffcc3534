/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads and prints what the daemon answers. */

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "check/status.h"
#include "healthctl/healthctl.h"

/* The member's text, or NULL. */
const char *json_text(const cJSON *object, const char *name);
/* The member's number, or otherwise (absent, null). */
double json_number(const cJSON *object, const char *name, double otherwise);
bool json_is_true(const cJSON *object, const char *name);
/* The member as a status; unknown if it is none. */
Status json_status(const cJSON *object, const char *name);

/* Makes every text and name in a tree harmless for a terminal. */
void json_make_printable(cJSON *item, const Terminal *terminal);

/* Prints a tree as ctl->json says. Returns 0 or -ENOMEM. */
int json_print(Healthctl *ctl, const cJSON *item);
