/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "healthctl/healthctl.h"

#include <stdarg.h>
#include <stdlib.h>

int healthctl_fail(Healthctl *ctl, int error, const char *format, ...) {
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = string_vprintf(&ctl->error, format, arguments);
        va_end(arguments);
        return r < 0 ? r : error;
}

void healthctl_forgive(Healthctl *ctl) {
        free(TAKE_PTR(ctl->error));
}

void healthctl_done(Healthctl *ctl) {
        string_list_free(ctl->checks);
        free(ctl->instance_socket);
        if (ctl->curl)
                curl_easy_cleanup(ctl->curl);
        free(ctl->error);
        *ctl = (Healthctl){};
}
