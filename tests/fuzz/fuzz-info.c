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
        const Detail *other = sample_find(b, detail_name(detail));

        if (!other || other->type != detail->type)
                return false;
        return detail->type == DETAIL_NUMBER
                               ? detail->number == other->number
                               : string_equal(detail_string(a, detail), detail_string(b, other));
}

/* Of a field that is there twice, which a Redis never does, either line may be taken. */
static bool is_said_once(const char *text, const char *name) {
        size_t length = strlen(name), n = 0;

        for (const char *line = text; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                n += strncmp(line, name, length) == 0 && line[length] == ':';
        }
        return n <= 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size);
        char *all[] = { (char *) "all", NULL };
        char *names[] = { (char *) "slave0", (char *) "us", (char *) "u", (char *) "all", NULL };
        _cleanup_(sample_done) Sample some = {}, every = {};

        if (!text)
                abort();
        if (size > 65536)
                return 0;
        take(NULL, names, data, size, &some);
        take(all, names, data, size, &every);
        for (size_t i = 0; i < some.n_details && !every.truncated; i++)
                if (is_said_once(text, detail_name(&some.details[i])) &&
                    !detail_is_equal(&some, &some.details[i], &every))
                        abort();
        return 0;
}
