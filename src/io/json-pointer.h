/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* JSON Pointer (RFC 6901) over cJSON: "/queues/0/depth"; "~1" is "/" and "~0" is "~" in a name. */

#include <cjson/cJSON.h>
#include <stdbool.h>

/* "" (the whole document), or names that each begin with "/". */
bool json_pointer_is_valid(const char *pointer);

/* What the pointer refers to, owned by root, or NULL if there is no such thing. */
const cJSON *json_pointer_find(const cJSON *root, const char *pointer);
