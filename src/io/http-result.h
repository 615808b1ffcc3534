/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How an HTTP request ended, and what libcurl measured on the way. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "io/libcurl.h"

typedef enum HttpOutcome {
        HTTP_ANSWERED,          /* whatever the status is */
        HTTP_FAILED,            /* no answer, or none that can be used */
        HTTP_FAILED_INTERNALLY, /* we are short of memory or descriptors: no verdict on the server
                                 */
} HttpOutcome;

/**
 * struct HttpResult - How a request ended.
 * @error: unless answered: what was tried and the cause, for people, without the URL
 *         ("connecting to db1 (10.0.0.5:80): Connection refused"); NULL if memory is short
 * @status: of the last answer; 0 if none came, or if it is a redirect that was refused
 * @body: NUL-terminated; NULL unless answered and asked for by keep_body
 * @body_length: of @body
 * @body_size: bytes of the body, kept or not
 * @dns_usec: time to resolve the last server's name, 0 for an address
 * @connect_usec: time to connect, 0 on a kept connection
 * @tls_usec: time to set up TLS, 0 on a kept connection
 * @first_byte_usec: time from there to the first byte of the answer
 * @remote_ip: of the server; "" if unknown or on a unix socket
 * @http_version: 1, 1.1, 2 or 3; 0 if unknown
 * @certificate_expiry: when the first certificate of the server's chain expires; 0 if unknown. A
 *                      kept connection is remembered to have the one it was made with
 *
 * Times are in microseconds, negative if that stage was not reached or is not part of the request.
 */
typedef struct HttpResult {
        HttpOutcome outcome;
        char *error;
        long status;
        char *body;
        size_t body_length;
        size_t body_size;
        int64_t dns_usec, connect_usec, tls_usec, first_byte_usec;
        char remote_ip[INET6_ADDRSTRLEN];
        double http_version;
        time_t certificate_expiry;
} HttpResult;

/* Nothing is known yet. */
void http_result_init(HttpResult *result, HttpOutcome outcome);
void http_result_done(HttpResult *result);

/* Makes "the body is larger than 1 MiB" and the advice its error. */
void http_result_say_too_large(HttpResult *result, const char *what, size_t limit,
                               const char *advice);

/* For http-request.c, about a transfer that is over or was stopped: */

/* One of libcurl's points in time, in microseconds since the start; 0 if it was not reached. */
int64_t http_transfer_time_usec(CURL *easy, CURLINFO info);
void http_result_read_times(HttpResult *result, CURL *easy, bool tls);
void http_result_read_connection(HttpResult *result, CURL *easy);
