/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "alert/http-post.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "io/http-url.h"

#define ANSWER_MAX   ((size_t) 64 * 1024)
#define ANSWER_SHOWN 200

static void http_post_clear(HttpPost *post) {
        http_request_free(post->request);
        free(post->body);
        free(post->shown);
        for (size_t i = 0; post->headers && post->headers[i]; i++)
                explicit_bzero(post->headers[i], strlen(post->headers[i]));
        string_list_free(post->headers);
        *post = (HttpPost){};
}

/* What the receiver said, for people: its status and the beginning of its answer. */
static char *result_format(const HttpPost *post, const HttpResult *result) {
        char answer[ANSWER_SHOWN + 1] = "";
        char *text = NULL;

        if (result->outcome != HTTP_ANSWERED) {
                (void) string_printf(&text, "%s: %s", post->shown,
                                     result->error ? result->error : "out of memory");
                return text;
        }
        if (result->body)
                (void) snprintf(answer, sizeof(answer), "%s", result->body);
        (void) string_printf(&text, "%s answered with status %ld%s%s", post->shown, result->status,
                             *answer ? ": " : "", answer);
        string_make_printable(text);
        return text;
}

static void http_post_on_done(const HttpResult *result, void *userdata) {
        HttpPost *post = userdata;
        _cleanup_free_ char *detail = result_format(post, result);
        bool delivered = result->outcome == HTTP_ANSWERED && result->status >= 200 &&
                         result->status < 300;
        AlertHandler on_done = post->on_done;
        void *owner = post->userdata;

        http_post_clear(post);
        on_done(delivered, detail ? detail : "out of memory", owner);
}

static int http_post_set_headers(HttpPost *post, const HttpKeys *keys, const char *header) {
        int r = 0;

        for (size_t i = 0; keys->headers && keys->headers[i] && r >= 0; i++)
                r = string_list_add(&post->headers, keys->headers[i]);
        if (header && r >= 0)
                r = string_list_add(&post->headers, header);
        return r;
}

int http_post_start(HttpPost *post, const HttpKeys *keys, Runtime *runtime, char *body,
                    const char *header, AlertHandler on_done, void *userdata) {
        HttpRequestSettings settings = {
                .method = "POST",
                .body = body,
                .body_max = ANSWER_MAX,
                .keep_body = true,
        };
        _cleanup_free_ char *host = NULL;
        uint16_t port;
        bool tls;
        int r;

        r = http_url_get_server(keys->target, &host, &port, &tls);
        if (r >= 0)
                r = string_printf(&post->shown, "%s:%u", host, port);
        if (r >= 0)
                r = http_post_set_headers(post, keys, header);
        http_keys_apply(keys, &settings);
        settings.headers = post->headers;
        if (r >= 0)
                r = http_request_new(runtime, &settings, http_post_on_done, post, &post->request);
        if (r >= 0)
                r = http_request_start(post->request);
        if (r < 0) {
                http_post_clear(post);
                return r;
        }
        post->body = body;
        post->on_done = on_done;
        post->userdata = userdata;
        return 0;
}

char *http_post_cancel(HttpPost *post) {
        HttpResult result;
        char *text = NULL;

        if (!post->request)
                return NULL;
        http_request_abandon(post->request, &result);
        (void) string_printf(&text, "%s: %s", post->shown,
                             result.error ? result.error : "no answer");
        http_result_done(&result);
        http_post_clear(post);
        return text;
}
