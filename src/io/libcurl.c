/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/libcurl.h"

#include <stdarg.h>

LIBCURL_FUNCTIONS(LIBRARY_DEFINE)

static const LibrarySymbol symbols[] = { LIBCURL_FUNCTIONS(LIBRARY_SYMBOL){} };

const Library library_libcurl = { LIBCURL_SONAME, LIBCURL_PACKAGE, symbols };

LIBRARY_NOTE("http", "checks and alerts over HTTP, SMTP, TLS and TCP", "recommended",
             LIBCURL_SONAME);

#undef curl_easy_getinfo
#undef curl_easy_setopt
#undef curl_multi_setopt

CURLcode curl_easy_getinfo(CURL *easy, CURLINFO info, ...) {
        va_list arguments;
        void *target;

        va_start(arguments, info);
        target = va_arg(arguments, void *);
        va_end(arguments);
        return sym_curl_easy_getinfo(easy, info, target);
}

/* The number of an option says of which type its value is. */
CURLcode curl_easy_setopt(CURL *easy, CURLoption option, ...) {
        va_list arguments;
        CURLcode code;

        va_start(arguments, option);
        if (option < CURLOPTTYPE_OBJECTPOINT) {
                long number = va_arg(arguments, long);
                code = sym_curl_easy_setopt(easy, option, number);
        } else if (option >= CURLOPTTYPE_OFF_T && option < CURLOPTTYPE_BLOB) {
                curl_off_t size = va_arg(arguments, curl_off_t);
                code = sym_curl_easy_setopt(easy, option, size);
        } else {
                void *pointer = va_arg(arguments, void *);
                code = sym_curl_easy_setopt(easy, option, pointer);
        }
        va_end(arguments);
        return code;
}

CURLMcode curl_multi_setopt(CURLM *multi, CURLMoption option, ...) {
        va_list arguments;
        CURLMcode code;

        va_start(arguments, option);
        if ((int) option < CURLOPTTYPE_OBJECTPOINT) {
                long number = va_arg(arguments, long);
                code = sym_curl_multi_setopt(multi, option, number);
        } else {
                void *pointer = va_arg(arguments, void *);
                code = sym_curl_multi_setopt(multi, option, pointer);
        }
        va_end(arguments);
        return code;
}
