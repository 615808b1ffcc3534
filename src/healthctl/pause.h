/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <poll.h>

/* Between two questions to the daemon. A signal ends it early. */
static inline void pause_msec(unsigned msec) {
        (void) poll(NULL, 0, (int) msec);
}
