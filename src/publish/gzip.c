/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

/* Below it goes into one packet as it is; above it compressing takes longer than a few
 * milliseconds. */
#define LENGTH_MIN   1400
#define LENGTH_MAX   ((size_t) 1024 * 1024)

#define FORMAT_GZIP  (MAX_WBITS + 16)
#define MEMORY_LEVEL 8 /* zlib's default */
#define BLANKS       " \t"

/* "q=0", "q=0.000": not this one. */
static bool weight_is_zero(const char *parameter, size_t length) {
        return length >= strlen("q=0") && strncasecmp(parameter, "q=0", strlen("q=0")) == 0 &&
               strspn(parameter + strlen("q=0"), ".0") >= length - strlen("q=0");
}

/* Whether one element of the list, such as "gzip;q=0.5", is gzip that may be sent. */
static bool element_wants_gzip(const char *element, size_t length) {
        size_t name = strcspn(element, BLANKS ",;"), i;

        if (name != strlen("gzip") || strncasecmp(element, "gzip", name) != 0)
                return false;
        i = name + strspn(element + name, BLANKS ";");
        return i >= length || !weight_is_zero(element + i, strcspn(element + i, BLANKS ",;"));
}

bool gzip_is_accepted(const char *accept_encoding) {
        const char *element = accept_encoding;

        while (element && *element) {
                size_t length;

                element += strspn(element, BLANKS ",");
                length = strcspn(element, ",");
                if (element_wants_gzip(element, length))
                        return true;
                element += length;
        }
        return false;
}

int gzip_compress(const char *text, size_t length, char **ret, size_t *ret_length) {
        z_stream stream = {};
        size_t size;
        char *out;
        int r;

        *ret = NULL;
        if (length < LENGTH_MIN || length > LENGTH_MAX)
                return 0;
        if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, FORMAT_GZIP, MEMORY_LEVEL,
                         Z_DEFAULT_STRATEGY) != Z_OK)
                return -ENOMEM;
        size = deflateBound(&stream, length);
        out = malloc(size);
        if (!out) {
                (void) deflateEnd(&stream);
                return -ENOMEM;
        }
        stream.next_in = (Bytef *) text;
        stream.avail_in = (uInt) length;
        stream.next_out = (Bytef *) out;
        stream.avail_out = (uInt) size;
        /* In one step, since there is room for the worst. */
        r = deflate(&stream, Z_FINISH);
        *ret_length = stream.total_out;
        (void) deflateEnd(&stream);
        if (r != Z_STREAM_END || *ret_length >= length) {
                free(out);
                return 0;
        }
        *ret = out;
        return 0;
}
