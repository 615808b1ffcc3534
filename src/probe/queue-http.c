/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/queue-http.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "io/http-url.h"

#define BODY_MAX    (1024 * 1024)
#define HEADERS_MAX (64 * 1024)

/* ---- what is asked ---- */

void queue_http_init(QueueHttp *http, const QueueSettings *settings, const char *absent_hint) {
        http->settings = settings;
        http->absent_hint = absent_hint;
}

static int add_encoded(TextBuffer *out, const char *text) {
        char *encoded = curl_easy_escape(NULL, text, (int) strlen(text));

        if (!encoded)
                return -ENOMEM;
        text_buffer_add_string(out, encoded);
        curl_free(encoded);
        return 0;
}

static int format_url(const QueueSettings *settings, const char *path, const char *const texts[2],
                      char **ret) {
        _cleanup_(text_buffer_done) TextBuffer out = {};
        const Address *address = &settings->address;
        bool bracketed = strchr(address->host, ':');
        const char *next;
        int r;

        text_buffer_printf(&out, "http%s://%s%s%s:%u", settings->tls ? "s" : "",
                           bracketed ? "[" : "", address->host, bracketed ? "]" : "",
                           (unsigned) address->port);
        for (; (next = strstr(path, "%s")); path = next + 2) {
                text_buffer_add(&out, path, (size_t) (next - path));
                r = add_encoded(&out, *texts++);
                if (r < 0)
                        return r;
        }
        text_buffer_add_string(&out, path);
        return text_buffer_finish(&out, ret, NULL);
}

int queue_http_add_call(QueueHttp *http, QueueHttpHandler on_answer, const char *path,
                        const char *const texts[2]) {
        QueueHttpCall *call = &http->calls[http->n_calls];
        _cleanup_free_ char *url = NULL, *shown = NULL;
        int r;

        assert(http->n_calls < QUEUE_HTTP_CALLS_MAX);
        r = format_url(http->settings, path, texts, &url);
        if (r < 0)
                return r;
        r = http_url_parse(url, NULL, &call->url);
        if (r < 0)
                return r;
        http->n_calls++;
        call->http = http;
        call->on_answer = on_answer;
        r = http_url_format_shown(call->url, &shown);
        return r < 0 ? r : string_printf(&call->shown, "GET %s", shown);
}

/* ---- what is answered ---- */

static const QueueHttpCall *current_call(const QueueHttp *http) {
        return &http->calls[http->current];
}

int queue_http_fail(QueueHttp *http, SampleResult result, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = string_vprintf(&text, format, arguments);
        va_end(arguments);
        sample_set_result(&http->sample, result, "%s: %s", current_call(http)->shown,
                          r < 0 ? "out of memory" : text);
        return QUEUE_HTTP_END;
}

int queue_http_fail_unknown(QueueHttp *http, long status, const cJSON *answer, const char *what) {
        const char *shown = current_call(http)->shown;

        sample_add_boolean(&http->sample, "connected", false);
        if (status != 200)
                sample_fail(&http->sample, "%s: answered with status %ld: is that %s?", shown,
                            status, what);
        else
                sample_fail(&http->sample, "%s: the answer is %s: is that %s?", shown,
                            answer ? "JSON of another kind" : "not JSON", what);
        return QUEUE_HTTP_END;
}

void queue_http_add_number(QueueHttp *http, const cJSON *object, const char *member,
                           const char *name) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, member);

        if (cJSON_IsNumber(item))
                sample_add_number(&http->sample, name, item->valuedouble);
}

const char *queue_http_text(const cJSON *object, const char *member) {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, member));

        return text ? text : "";
}

/* ---- a run ---- */

static void queue_http_add_failure(const QueueHttp *http, const HttpResult *result,
                                   Sample *sample) {
        const char *why = result->error ? result->error : "out of memory";
        const char *hint = result->dns_usec < 0 ? "check the host in Address=" : http->absent_hint;
        bool absent = result->connect_usec < 0;
        const QueueHttpCall *call = current_call(http);

        if (result->outcome != HTTP_FAILED) {
                sample_fail_internal(sample, "%s: %s", call->shown, why);
                return;
        }
        if (http->current == 0)
                sample_add_boolean(sample, "connected", false);
        sample_fail(sample, "%s: %s%s%s%s", call->shown, why, absent ? " (" : "",
                    absent ? hint : "", absent ? ")" : "");
}

static void queue_http_report(QueueHttp *http) {
        check_report(TAKE_PTR(http->check), &http->sample);
}

static void queue_http_on_done(const HttpResult *result, void *userdata) {
        QueueHttpCall *call = userdata;
        QueueHttp *http = call->http;
        cJSON *answer;
        int next, r;

        if (result->outcome != HTTP_ANSWERED) {
                queue_http_add_failure(http, result, &http->sample);
                queue_http_report(http);
                return;
        }
        sample_add_boolean(&http->sample, "connected", true);
        answer = cJSON_ParseWithLength(result->body, result->body_length);
        next = call->on_answer(http, result->status, answer);
        cJSON_Delete(answer);
        if (next == QUEUE_HTTP_END) {
                queue_http_report(http);
                return;
        }
        http->current = (size_t) next;
        r = http_request_start(http->calls[next].request);
        if (r < 0) {
                sample_fail_internal(&http->sample, "%s: %s", current_call(http)->shown,
                                     strerrordesc_np(-r));
                queue_http_report(http);
        }
}

static int queue_http_make_request(QueueHttpCall *call, Runtime *runtime) {
        const QueueSettings *queue = call->http->settings;
        const HttpRequestSettings settings = {
                .url = call->url,
                .method = "GET",
                .username = queue->username,
                .password = queue->password,
                .ca_file = queue->ca_file,
                .certificate = queue->certificate,
                .key = queue->key,
                .persistent = queue->connection == CONNECTION_PERSISTENT,
                .headers_max = HEADERS_MAX,
                .body_max = BODY_MAX,
                .keep_body = true,
        };

        return http_request_new(runtime, &settings, queue_http_on_done, call, &call->request);
}

int queue_http_start(void *instance, Check *check) {
        QueueHttp *http = instance;
        int r;

        for (size_t i = 0; i < http->n_calls; i++) {
                /* Some may be there already: memory was short last time. */
                if (http->calls[i].request)
                        continue;
                r = queue_http_make_request(&http->calls[i], check->runtime);
                if (r < 0)
                        return r;
        }
        sample_reset(&http->sample);
        http->current = 0;
        r = http_request_start(http->calls[0].request);
        if (r >= 0)
                http->check = check;
        return r;
}

void queue_http_cancel(void *instance, Sample *sample) {
        _cleanup_(http_result_done) HttpResult result = {};
        QueueHttp *http = instance;
        Sample known = http->sample;

        http->sample = *sample;
        *sample = known;
        http_request_abandon(current_call(http)->request, &result);
        queue_http_add_failure(http, &result, sample);
        http->check = NULL;
}

void queue_http_done(void *instance) {
        QueueHttp *http = instance;

        for (size_t i = 0; i < http->n_calls; i++) {
                http_request_free(http->calls[i].request);
                curl_url_cleanup(http->calls[i].url);
                free(http->calls[i].shown);
        }
        sample_done(&http->sample);
}
