/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The answer to INFO, some two hundred lines "name:value", of which a dozen are looked at. */

#include "base/string-util.h"
#include "check/sample.h"

typedef struct RedisInfo RedisInfo;

/*
 * What is taken from each INFO: the fields that are shown always, those in more ("all": all of
 * them) and in names, NULL-terminated lists or NULL, and what tells how far replication is behind.
 * Returns 0 or -ENOMEM.
 */
int redis_info_new(char *const *more, char *const *names, RedisInfo **ret);
RedisInfo *redis_info_free(RedisInfo *info);

/* Adds the fields there are, and replication_lag. The text is as it was, afterwards. */
void redis_info_add(const RedisInfo *info, char *text, Sample *sample);
