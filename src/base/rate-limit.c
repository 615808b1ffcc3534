/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/rate-limit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/time-util.h"

int rate_limit_parse(const char *text, RateLimit *ret) {
        const char *slash = strchr(text, '/');
        uint64_t window_usec;
        unsigned long count;
        char *end;

        count = strtoul(text, &end, 10);
        if (!slash || end != slash || end == text || *text == '-' || count > RATE_LIMIT_MAX ||
            time_span_parse(slash + 1, &window_usec) < 0 || window_usec == 0)
                return -EINVAL;
        *ret = (RateLimit){ (unsigned) count, window_usec };
        return 0;
}

unsigned rate_limit_left(const RateLimit *limit, const RateLog *log, uint64_t now_usec) {
        unsigned recent = 0;

        for (uint32_t i = 0; i < log->n_times; i++)
                recent += now_usec - log->times_usec[i] <= limit->window_usec;
        return recent < limit->count ? limit->count - recent : 0;
}

void rate_log_add(RateLog *log, uint64_t now_usec) {
        if (log->n_times == RATE_LIMIT_MAX)
                memmove(log->times_usec, log->times_usec + 1, --log->n_times * sizeof(uint64_t));
        log->times_usec[log->n_times++] = now_usec;
}
