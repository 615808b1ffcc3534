/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        uint64_t device, inode;
        struct stat st;

        /* A terminal's shell may have inherited the variable, but not the stream. */
        return stream && sscanf(stream, "%" SCNu64 ":%" SCNu64, &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &st) >= 0 && st.st_dev == device && st.st_ino == inode;
}

void log_message(int priority, const char *format, ...) {
        char line[2048];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(line, sizeof(line), format, arguments);
        va_end(arguments);
        /* The journal reads "<3>". */
        if (stderr_is_journal())
                fprintf(stderr, "<%d>%s\n", priority, line);
        else
                fprintf(stderr, "healthd: %s\n", line);
}
