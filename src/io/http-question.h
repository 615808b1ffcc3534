/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What one hop of an HTTP request asks, as options of libcurl. */

#include "io/curl-glue.h"
#include "io/http-request.h"

/**
 * struct HttpQuestion - What is asked of whom.
 * @target: the settings' URL, or where a redirect leads
 * @at_origin: whether that is the server of the settings' URL, which what is secret may go to
 * @sends_body: false after a redirect that does not repeat the request
 */
typedef struct HttpQuestion {
        const HttpRequestSettings *settings;
        CURLU *target;
        bool at_origin, sends_body;
} HttpQuestion;

/* headers: replaced; the transfer points to it until it is set up anew. Returns 0 or -ENOMEM. */
int http_question_set(const HttpQuestion *question, CurlTransfer *transfer,
                      struct curl_slist **headers);
