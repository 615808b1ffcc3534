/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "healthctl/host-view.h"

/*
 * Prints how the host is, what is wrong first. If not all checks fit the terminal's height, those
 * that are plainly healthy are only named. all: print every one in full anyhow. Sorts the view.
 * Returns 0 or -ENOMEM.
 */
int status_print(const Healthctl *ctl, const Terminal *terminal, HostView *view, bool all);
