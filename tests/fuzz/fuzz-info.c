/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What Redis answers to INFO: what is shown of some fields is what is shown of them among all. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "probe/redis-info.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(char *const *more, char *const *names, const uint8_t *data, size_t size,
                 Sample *sample) {
        _cleanup_free_ char *text = strndup((const char *) data, size);
        RedisInfo *info = NULL;

        if (!text || redis_info_new(more, names, &info) < 0)
                abort();
        redis_info_add(info, text, sample);
        redis_info_free(info);
}

static bool detail_is_equal(const Sample *a, const Detail *detail, const Sample *b) {
        const Detail *other = sample_find(b, detail_name(a, detail));

        if (!other || other->type != detail->type)
                return false;
        return detail->type == DETAIL_NUMBER
                               ? detail->number == other->number
                               : string_equal(detail_string(a, detail), detail_string(b, other));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *all[] = { (char *) "all", NULL };
        char *names[] = { (char *) "slave0", (char *) "us", (char *) "u", (char *) "all", NULL };
        _cleanup_(sample_done) Sample some = {}, every = {};

        if (size > 65536)
                return 0;
        take(NULL, names, data, size, &some);
        take(all, names, data, size, &every);
        for (size_t i = 0; i < some.n_details && !every.truncated; i++)
                if (!detail_is_equal(&some, &some.details[i], &every))
                        abort();
        return 0;
}
