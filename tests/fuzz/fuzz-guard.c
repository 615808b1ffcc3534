/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One packet to healthd-guard, up to where it would act: it is refused, or it names a service. */

int guard_main(void);

#define main guard_main
#include "helpers/healthd-guard.c" /* NOLINT(bugprone-suspicious-include) */
#undef main

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_printable(const char *text) {
        for (; *text; text++)
                if ((unsigned char) *text < ' ')
                        return false;
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *why = NULL;
        Request request = {};
        Target target = {};

        if (size > REQUEST_MAX || memchr(data, 0, size))
                return 0;
        memcpy(request.text, data, size);
        if (!request_parse(&request))
                return 0;
        if (!is_printable(request.unit) || !is_printable(request.action) ||
            !is_printable(request.reason))
                abort(); /* it goes into the journal */
        /* What no administrator opted in is refused before anybody is asked about it. */
        if (request_handle(&request, &target, &why) != OUTCOME_REFUSED || !why)
                abort();
        return 0;
}
