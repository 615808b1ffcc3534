/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/http-result.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"

void http_result_init(HttpResult *result, HttpOutcome outcome) {
        *result = (HttpResult){
                .outcome = outcome,
                .dns_usec = -1,
                .connect_usec = -1,
                .tls_usec = -1,
                .first_byte_usec = -1,
        };
}

void http_result_done(HttpResult *result) {
        free(result->error);
        free(result->body);
        *result = (HttpResult){};
}

void http_result_say_too_large(HttpResult *result, const char *what, size_t limit,
                               const char *advice) {
        bool mebi = limit % (1024 * 1024) == 0;

        (void) string_printf(&result->error, "%s larger than %zu %s%s", what,
                             limit / (mebi ? 1024 * 1024 : 1024), mebi ? "MiB" : "KiB", advice);
}

int64_t http_transfer_time_usec(CURL *easy, CURLINFO info) {
        curl_off_t usec = 0;

        (void) curl_easy_getinfo(easy, info, &usec);
        return usec;
}

static int64_t usec_between(int64_t from, int64_t to) {
        return to > from ? to - from : 0;
}

void http_result_read_times(HttpResult *result, CURL *easy, bool tls) {
        int64_t resolved = http_transfer_time_usec(easy, CURLINFO_NAMELOOKUP_TIME_T);
        int64_t connected = http_transfer_time_usec(easy, CURLINFO_CONNECT_TIME_T);
        int64_t secured = http_transfer_time_usec(easy, CURLINFO_APPCONNECT_TIME_T);
        int64_t sent = http_transfer_time_usec(easy, CURLINFO_PRETRANSFER_TIME_T);
        int64_t first = http_transfer_time_usec(easy, CURLINFO_STARTTRANSFER_TIME_T);

        /* On a kept connection the request is sent and nothing was connected. */
        if (connected > 0 || sent > 0)
                result->connect_usec = connected > 0 ? usec_between(resolved, connected) : 0;
        if (tls && (secured > 0 || sent > 0))
                result->tls_usec = secured > 0 ? usec_between(connected, secured) : 0;
        /* Not from "sent", which is read after the answer to a fast request is there. */
        if (first > 0)
                result->first_byte_usec = usec_between(secured > 0 ? secured : connected, first);
}

void http_result_read_connection(HttpResult *result, CURL *easy) {
        static const struct {
                long version;
                double number;
        } versions[] = {
                { CURL_HTTP_VERSION_1_0, 1.0 },
                { CURL_HTTP_VERSION_1_1, 1.1 },
                { CURL_HTTP_VERSION_2_0, 2 },
                { CURL_HTTP_VERSION_3, 3 },
        };
        const char *ip = NULL;
        long version = 0;

        if (curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK && ip)
                /* The last byte is 0 already. */
                (void) memccpy(result->remote_ip, ip, '\0', sizeof(result->remote_ip) - 1);
        (void) curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
        for (size_t i = 0; i < ELEMENTS(versions); i++)
                if (versions[i].version == version)
                        result->http_version = versions[i].number;
}
