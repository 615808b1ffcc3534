/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which silences there are, as JSON, for /health/silences. */

#include <stddef.h>
#include <stdint.h>

#include "check/silence.h"

/*
 * {"timestamp","silences":[{"id","check","reason","author","since","until"}]}, oldest first; those
 * that ended are left out. silences NULL: none. The caller frees the text. Returns 0 or -ENOMEM.
 */
int silences_json_render(const SilenceTable *silences, uint64_t now_realtime_usec, char **ret_text,
                         size_t *ret_length);
