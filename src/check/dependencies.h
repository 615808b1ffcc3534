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

/* The first check it depends on whose last result failed; NULL if it is not blocked. One hop. */
const Check *dependencies_blocker(const CheckSet *set, const Check *check);
