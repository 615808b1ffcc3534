/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is probably not meant where checks guard units: advice, and no reason not to start. */

#include "check/check-settings.h"

/*
 * Guards that hang on a check of another host. checks: n_checks, each read from the file of the
 * same number. Returns 0 or -ENOMEM.
 */
int guard_advice_add_hosts(const CheckSettings *checks, ConfigFile *const *files, size_t n_checks,
                           ConfigProblems *advice);
/*
 * Guarded units that systemd does not know, that do not come back, or did not opt in. Waits for
 * systemd, a few seconds at most, and says nothing if it cannot be asked. Returns 0 or -ENOMEM.
 */
int guard_advice_add_units(const CheckSettings *checks, ConfigFile *const *files, size_t n_checks,
                           ConfigProblems *advice);
