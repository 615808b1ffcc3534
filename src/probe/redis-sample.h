/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every probe that holds a session with Redis does with the news of it. */

#include "check/sample.h"
#include "io/redis-session.h"

/* For RedisHandlers.on_connected. */
void redis_sample_add_connected(Sample *sample, double connect_ms);
/* For RedisHandlers.on_done. */
void redis_sample_take_result(Sample *sample, const RedisResult *result);
/* For ProbeType.cancel: known is what the probe has so far, and is swapped with *ret. */
void redis_sample_abandon(Sample *known, RedisSession *session, Sample *ret);
