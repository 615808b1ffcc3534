/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=http: one request, and what there is to measure about it. Values of Json= that are null,
 * objects or arrays are no details, the same as values that are not there.
 */

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/pattern.h"
#include "check/probe.h"
#include "config/http-keys.h"
#include "io/certificate.h"
#include "io/http-url.h"
#include "io/json-pointer.h"

#define BODY_MAX       (1024 * 1024)
#define MATCH_TEXT_MAX 256

typedef struct HttpProbe {
        HttpKeys http;
        char *method;
        char *body;
        StringList json;             /* prepared: the ":" after the name is a NUL */
        StringList response_headers; /* likewise */
        char *body_match;

        char *shown; /* for people: "GET http://db1:8080/health" */
        Pattern pattern;

        bool wants_body;

        Check *owner;
        Check *check;         /* of the run under way */
        HttpRequest *request; /* made at the first run */
} HttpProbe;

/* ---- configuration ---- */

static const ConfigKey http_keys[] = {
        HTTP_KEYS(HttpProbe, http),
        { "Method", config_parse_string, offsetof(HttpProbe, method) },
        { "Body", config_parse_string, offsetof(HttpProbe, body), .flags = CONFIG_CREDENTIAL },
        { "Json", config_parse_lines, offsetof(HttpProbe, json) },
        { "ResponseHeader", config_parse_lines, offsetof(HttpProbe, response_headers) },
        { "BodyMatch", config_parse_string, offsetof(HttpProbe, body_match) },
        {},
};

static const char *const http_unhealthy_when[] = { "status_code != 200", NULL };

static const ProbeKeyCondition http_unhealthy_when_set[] = {
        { "BodyMatch", "body_match == no" },
        {},
};

static const char *const http_detail_names[] = {
        "available",
        "status_code",
        "body",
        "body_size",
        "body_match",
        "body_match_text",
        "dns_ms",
        "connect_ms",
        "tls_ms",
        "first_byte_ms",
        "certificate_days_left",
        "remote_ip",
        "http_version",
        "duration_ms",
        NULL,
};

static int http_prepare_keys(HttpProbe *probe, ProbeSetup *setup) {
        return http_keys_prepare(&probe->http, "http://127.0.0.1:8080/health", setup);
}

static int http_prepare_request(HttpProbe *probe, ProbeSetup *setup) {
        _cleanup_free_ char *shown = NULL;
        static const char *const with_body[] = { "POST", "PUT", "PATCH", NULL };
        int r = 0;

        if (!probe->method)
                r = string_replace(&probe->method, probe->body ? "POST" : "GET");
        /* Many servers refuse these without a Content-Length. */
        else if (!probe->body && string_list_contains((char *const *) with_body, probe->method))
                r = string_replace(&probe->body, "");
        if (r < 0)
                return r;
        for (const char *c = probe->method; *c; c++)
                if (!isupper((unsigned char) *c))
                        return probe_setup_refuse(
                                        setup, "Method",
                                        "Method= is a word in capitals, such as GET or HEAD");
        r = http_url_format_shown(probe->http.target, &shown);
        return r < 0 ? r : string_printf(&probe->shown, "%s %s", probe->method, shown);
}

/* "name:rest", by which a detail gets its name: puts a NUL in the place of the colon. */
static int http_split_name(char *line, const char *key, const char *example, ProbeSetup *setup) {
        size_t length = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789_");

        if (length == 0 || line[length] != ':')
                return probe_setup_refuse(setup, key,
                                          "%s= must be written as %s=%s, the name in letters, "
                                          "digits and _",
                                          key, key, example);
        line[length] = '\0';
        if (string_list_contains((char *const *) http_detail_names, line))
                return probe_setup_refuse(setup, key,
                                          "%s= has the name of a detail that is measured anyway; "
                                          "choose another name",
                                          key);
        return 0;
}

static const char *behind_name(const char *line) {
        return line + strlen(line) + 1;
}

static int http_prepare_json(HttpProbe *probe, ProbeSetup *setup) {
        int r;

        for (size_t i = 0; probe->json && probe->json[i]; i++) {
                r = http_split_name(probe->json[i], "Json", "name:/pointer", setup);
                if (r < 0)
                        return r;
                if (!json_pointer_is_valid(behind_name(probe->json[i])))
                        return probe_setup_refuse(
                                        setup, "Json",
                                        "what stands after the name in Json= must be a JSON "
                                        "pointer, such as /queues/0/depth");
        }
        return 0;
}

static int http_prepare_response_headers(HttpProbe *probe, ProbeSetup *setup) {
        char *const *lines = probe->response_headers;
        int r;

        for (; lines && *lines; lines++) {
                r = http_split_name(*lines, "ResponseHeader", "name:Header-Name", setup);
                if (r < 0)
                        return r;
                if (!*behind_name(*lines) || strpbrk(behind_name(*lines), ": \t"))
                        return probe_setup_refuse(setup, "ResponseHeader",
                                                  "what stands after the name in ResponseHeader= "
                                                  "is the name of a header, such as X-Cache");
        }
        return 0;
}

static int http_prepare_match(HttpProbe *probe, ProbeSetup *setup) {
        const char *why;
        int r;

        probe->wants_body = string_list_contains(setup->condition_names, "body");
        if (!probe->body_match)
                return 0;
        r = pattern_compile(&probe->pattern, probe->body_match, strlen(probe->body_match), &why);
        if (r == -EINVAL)
                return probe_setup_refuse(setup, "BodyMatch",
                                          "BodyMatch= is no POSIX extended regular expression: %s",
                                          why);
        return r;
}

static int http_prepare(void *instance, ProbeSetup *setup) {
        static int (*const steps[])(HttpProbe *, ProbeSetup *) = {
                http_prepare_keys,  http_prepare_request,
                http_prepare_json,  http_prepare_response_headers,
                http_prepare_match,
        };
        int r;

        for (size_t i = 0; i < ELEMENTS(steps); i++) {
                r = steps[i](instance, setup);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- what is measured ---- */

static void add_milliseconds(Sample *sample, const char *name, int64_t usec) {
        if (usec >= 0)
                sample_add_number(sample, name, (double) usec / 1000);
}

static void add_certificate(Sample *sample, time_t expiry) {
        if (expiry != 0)
                sample_add_number(sample, "certificate_days_left", certificate_days_left(expiry));
}

static void http_add_answer(const HttpResult *result, Sample *sample) {
        bool answered = result->outcome == HTTP_ANSWERED;

        sample_add_boolean(sample, "available",
                           answered && result->status >= 200 && result->status < 300);
        if (result->status > 0) {
                sample_add_number(sample, "status_code", (double) result->status);
                sample_add_number(sample, "body_size", (double) result->body_size);
        }
        add_milliseconds(sample, "dns_ms", result->dns_usec);
        add_milliseconds(sample, "connect_ms", result->connect_usec);
        add_milliseconds(sample, "tls_ms", result->tls_usec);
        add_milliseconds(sample, "first_byte_ms", result->first_byte_usec);
        if (*result->remote_ip)
                sample_add_string(sample, "remote_ip", result->remote_ip);
        if (result->http_version > 0)
                sample_add_number(sample, "http_version", result->http_version);
        add_certificate(sample, result->certificate_expiry);
}

static void json_add(const cJSON *root, const char *name, Sample *sample) {
        const cJSON *item = json_pointer_find(root, behind_name(name));

        if (cJSON_IsNumber(item))
                sample_add_number(sample, name, item->valuedouble);
        else if (cJSON_IsString(item))
                sample_add_string(sample, name, item->valuestring);
        else if (cJSON_IsBool(item))
                sample_add_boolean(sample, name, cJSON_IsTrue(item));
}

static void http_add_json(const HttpProbe *probe, const HttpResult *result, Sample *sample) {
        const char *text = result->body, *limit = text + result->body_length, *end = text;
        cJSON *root;

        root = cJSON_ParseWithLengthOpts(text, result->body_length, &end, false);
        while (root && end < limit && isspace((unsigned char) *end))
                end++;
        if (!root || end < limit)
                sample_fail(sample,
                            "%s: the answer (status %ld) is not JSON, which Json= needs: byte %zu "
                            "of %zu cannot be understood",
                            probe->shown, result->status, (size_t) (end - text) + 1,
                            result->body_length);
        else
                for (size_t i = 0; probe->json[i]; i++)
                        json_add(root, probe->json[i], sample);
        cJSON_Delete(root);
}

static void http_add_headers(const HttpProbe *probe, Sample *sample) {
        char *const *lines = probe->response_headers;

        for (; lines && *lines; lines++) {
                const char *value = http_request_get_header(probe->request, behind_name(*lines));
                double number;
                char *end;

                if (!value)
                        continue;
                number = strtod(value, &end);
                /* What strtod() reads beside decimal numbers ("inf", "0x1", " 1") stays text. */
                if (*value && !*end && !value[strspn(value, "+-.0123456789")])
                        sample_add_number(sample, *lines, number);
                else
                        sample_add_string(sample, *lines, value);
        }
}

static void http_add_match(HttpProbe *probe, const HttpResult *result, Sample *sample) {
        uint64_t budget_usec = PATTERN_BUDGET_USEC;
        char text[MATCH_TEXT_MAX + 1];
        PatternMatch group = {};
        int r;

        r = pattern_search(&probe->pattern, result->body, result->body_length, &budget_usec,
                           &group);
        if (r == -ETIME)
                sample_fail_internal(sample,
                                     "%s: it takes too long to look for BodyMatch= in %zu bytes; "
                                     "begin it with fixed text or ^, not with .* or a repeated "
                                     "class",
                                     probe->shown, result->body_length);
        else if (r < 0)
                sample_fail_internal(sample, "%s: %s", probe->shown, strerrordesc_np(-r));
        if (r < 0)
                return;
        sample_add_boolean(sample, "body_match", r > 0);
        if (r == 0 || !group.has_matched)
                return;
        (void) snprintf(text, sizeof(text), "%.*s", (int) group.length, result->body + group.start);
        sample_add_string(sample, "body_match_text", text);
}

/* ---- a run ---- */

static void http_fail(const HttpProbe *probe, const HttpResult *result, Sample *sample) {
        const char *why = result->error ? result->error : "out of memory";

        if (result->outcome == HTTP_FAILED)
                sample_fail(sample, "%s: %s", probe->shown, why);
        else
                sample_fail_internal(sample, "%s: %s", probe->shown, why);
}

static void http_on_done(const HttpResult *result, void *userdata) {
        _cleanup_(sample_done) Sample sample = {};
        HttpProbe *probe = userdata;

        http_add_answer(result, &sample);
        if (result->outcome != HTTP_ANSWERED)
                http_fail(probe, result, &sample);
        else
                http_add_headers(probe, &sample);
        if (result->body && probe->wants_body)
                sample_add_string(&sample, "body", result->body);
        if (result->body && probe->pattern.compiled)
                http_add_match(probe, result, &sample);
        if (result->body && probe->json)
                http_add_json(probe, result, &sample);
        check_report(TAKE_PTR(probe->check), &sample);
}

static void http_on_lost(void *userdata) {
        HttpProbe *probe = userdata;

        check_run_soon(probe->owner);
}

static int http_make_request(HttpProbe *probe, Runtime *runtime) {
        HttpRequestSettings settings = {
                .method = probe->method,
                .body = probe->body,
                .body_max = BODY_MAX,
                .keep_body = probe->json || probe->pattern.compiled || probe->wants_body,
                .on_lost = http_on_lost,
        };

        http_keys_apply(&probe->http, &settings);
        return http_request_new(runtime, &settings, http_on_done, probe, &probe->request);
}

static int http_start(void *instance, Check *check) {
        HttpProbe *probe = instance;
        int r = 0;

        probe->owner = check;
        if (!probe->request)
                r = http_make_request(probe, check->runtime);
        if (r < 0)
                return r;
        r = http_request_start(probe->request);
        if (r >= 0)
                probe->check = check;
        return r;
}

static void http_cancel(void *instance, Sample *sample) {
        _cleanup_(http_result_done) HttpResult result = {};
        HttpProbe *probe = instance;

        http_request_abandon(probe->request, &result);
        http_add_answer(&result, sample);
        http_fail(probe, &result, sample);
        probe->check = NULL;
}

static void http_done(void *instance) {
        HttpProbe *probe = instance;

        http_request_free(probe->request);
        pattern_done(&probe->pattern);
        string_list_free(probe->json);
        string_list_free(probe->response_headers);
        string_free_secret(probe->body);
        free(probe->method);
        free(probe->body_match);
        free(probe->shown);
        http_keys_done(&probe->http);
}

static int http_get_host(const void *instance, char **ret) {
        const HttpProbe *probe = instance;

        return http_keys_get_host(&probe->http, ret);
}

const ProbeType http_probe = {
        .name = "http",
        .section = "HTTP",
        .instance_size = sizeof(HttpProbe),
        .keys = http_keys,
        .unhealthy_when = http_unhealthy_when,
        .unhealthy_when_set = http_unhealthy_when_set,
        .prepare = http_prepare,
        .get_host = http_get_host,
        .start = http_start,
        .cancel = http_cancel,
        .done = http_done,
};
