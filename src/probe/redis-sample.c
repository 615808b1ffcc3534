/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/redis-sample.h"

void redis_sample_add_connected(Sample *sample, double connect_ms) {
        sample_add_boolean(sample, "connected", true);
        sample_add_number(sample, "connect_ms", connect_ms);
}

void redis_sample_take_result(Sample *sample, const RedisResult *result) {
        if (!result->connected)
                sample_add_boolean(sample, "connected", false);
        if (result->outcome == REDIS_FAILED)
                sample_fail(sample, "%s", result->error);
        else if (result->outcome == REDIS_FAILED_INTERNALLY)
                sample_fail_internal(sample, "%s", result->error);
}

void redis_sample_abandon(Sample *known, RedisSession *session, Sample *ret) {
        Sample sample = *known;
        RedisResult result;

        *known = *ret;
        *ret = sample;
        redis_session_abandon(session, &result);
        redis_sample_take_result(ret, &result);
}
