/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What other programs do: a healthctl on another host, and healthd reading its configuration. */

#include "healthctl/healthctl.h"

/*
 * Becomes "ssh HOST healthctl OPTIONS ARGUMENTS". Returns only on failure, with a negative errno
 * and ctl->error.
 */
int remote_run(Healthctl *ctl, const char *host, char *const *options, char *const *arguments);
