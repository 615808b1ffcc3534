/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void log_message(int priority, const char *format, ...) {
        char line[2048];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(line, sizeof(line), format, arguments);
        va_end(arguments);
        /* systemd sets JOURNAL_STREAM where stderr goes to the journal, which reads "<3>". */
        if (getenv("JOURNAL_STREAM"))
                fprintf(stderr, "<%d>%s\n", priority, line);
        else
                fprintf(stderr, "healthd: %s\n", line);
}
