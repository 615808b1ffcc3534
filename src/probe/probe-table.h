/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every check type that was built in, by name. */

#include "check/probe.h"

const ProbeType *probe_type_find(const char *name);
/* NULL-terminated. */
extern const char *const probe_type_names[];
