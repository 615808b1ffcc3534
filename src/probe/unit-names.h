/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names of units as people write them, and globs for them. */

#include "check/probe.h"

/* Whether it holds *, ? or [: it may then stand for several units. */
bool unit_name_is_glob(const char *text);
/* As ".timer". */
bool unit_name_has_suffix(const char *name, const char *suffix);
/*
 * Adds a name to the list, completed by the suffix: "orders" is orders.service, as for systemctl. A
 * glob stays as it is. Refuses what can be neither, at the given key. Returns 0, -EINVAL or
 * -ENOMEM.
 */
int unit_name_add(ProbeSetup *setup, const char *key, const char *text, const char *suffix,
                  StringList *list);
