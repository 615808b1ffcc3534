/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * DependsOn=: while a check fails, those that name it are blocked. They still run and are shown
 * as they are, but their failures alarm nobody: the cause is known.
 */

#include "check/check-set.h"

/*
 * Looks for names that no check bears and for circles among checks sorted by name. Each is a
 * problem, and breaks the check whose file says so. files: the files of the checks, in the same
 * order. Returns 0 (with or without problems) or -ENOMEM.
 */
int dependencies_verify(CheckSettings *checks, ConfigFile *const *files, size_t n_checks,
                        ConfigProblems *problems);

/*
 * After a failed result that is not settled yet: runs the checks it depends on, unless they have
 * just had a result or their breakers are open. The cause is known then before its effect settles,
 * however seldom it is looked for.
 */
void dependencies_run(const CheckSet *set, const Check *check, uint64_t now_usec);

/*
 * Whether each check it depends on had a result since its own status changed, so that what blocks
 * it would be known. With FailAfter=1 it settles before anything else was looked at.
 */
bool dependencies_are_known(const CheckSet *set, const Check *check);

/* The first check it depends on whose last result failed; NULL if it is not blocked. One hop. */
const Check *dependencies_blocker(const CheckSet *set, const Check *check);
