/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/http-question.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"

static int headers_add(struct curl_slist **headers, const char *line) {
        struct curl_slist *list = curl_slist_append(*headers, line);

        if (!list)
                return -ENOMEM;
        *headers = list;
        return 0;
}

static int question_set_headers(const HttpQuestion *question, CurlTransfer *transfer,
                                struct curl_slist **headers) {
        char *const *lines = question->at_origin ? question->settings->headers : NULL;
        const char *body = question->sends_body ? question->settings->body : NULL;
        bool has_type = false;
        int r = 0;

        curl_slist_free_all(*headers);
        *headers = NULL;
        for (; lines && *lines && r == 0; lines++) {
                r = headers_add(headers, *lines);
                has_type = has_type || strncasecmp(*lines, "Content-Type:", 13) == 0;
        }
        if (r == 0 && !has_type && body && (*body == '{' || *body == '['))
                r = headers_add(headers, "Content-Type: application/json");
        curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, *headers);
        return r;
}

int http_question_set(const HttpQuestion *question, CurlTransfer *transfer,
                      struct curl_slist **headers) {
        const HttpRequestSettings *settings = question->settings;
        CURL *easy = transfer->easy;
        /* After a redirect that does not repeat the request, what carried a body becomes a GET. */
        const char *method = settings->body && !question->sends_body ? "GET" : settings->method;
        bool secret = question->at_origin;
        const CurlTextOption options[] = {
                { CURLOPT_CUSTOMREQUEST, method },
                { CURLOPT_POSTFIELDS, question->sends_body ? settings->body : NULL },
                { CURLOPT_USERAGENT, "healthd/" HEALTHD_VERSION },
                { CURLOPT_USERNAME, secret ? settings->username : NULL },
                { CURLOPT_PASSWORD, secret ? settings->password : NULL },
                { CURLOPT_XOAUTH2_BEARER, secret ? settings->token : NULL },
                { CURLOPT_SSLCERT, secret ? settings->certificate : NULL },
                { CURLOPT_SSLKEY, secret ? settings->key : NULL },
        };
        int r;

        curl_easy_setopt(easy, CURLOPT_CURLU, question->target);
        if (string_equal(method, "HEAD"))
                curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH,
                         (long) (settings->token ? CURLAUTH_BEARER : CURLAUTH_BASIC));
        if (settings->ca_file && curl_transfer_set_ca_file(transfer, settings->ca_file) < 0)
                return -ENOMEM;
        r = curl_transfer_set_texts(transfer, options, ELEMENTS(options));
        return r < 0 ? r : question_set_headers(question, transfer, headers);
}
