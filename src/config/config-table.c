/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config-table.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/file-util.h"
#include "base/time-util.h"

#define CREDENTIAL_PREFIX   "credential:"
#define CREDENTIAL_SIZE_MAX (1024 * 1024)
#define CREDENTIAL_CHARACTERS                                                                      \
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
#define SHOWN_VALUE_MAX 80

/* Sets *ret_why and evaluates to what a parser then returns. */
static int why(char **ret_why, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int why(char **ret_why, const char *format, ...) {
        va_list arguments;
        int r;

        *ret_why = NULL;
        va_start(arguments, format);
        r = string_vprintf(ret_why, format, arguments);
        va_end(arguments);
        return r < 0 ? r : -EINVAL;
}
