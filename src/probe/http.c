/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=http: one request by libcurl, and what there is to measure about it. Names are looked up by
 * our resolver, and so are those of redirects: each hop is a transfer of its own, and what is
 * secret goes to the origin of URL= only. Values of Json= that are null, objects or arrays are no
 * details, the same as values that are not there.
 */

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <regex.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/probe.h"
#include "io/curl-glue.h"
#include "io/json-pointer.h"

#define BODY_MAX       (1024 * 1024)
#define HEADERS_MAX    (64 * 1024)
#define REDIRECTS_MAX  20
#define MATCH_TEXT_MAX 256
/* How long an address may be silent while there is another one to try. */
#define ADDRESS_MSEC   2000L
#define KEPT_IDLE_SEC  (24 * 3600L)

typedef enum HttpVersion {
        HTTP_VERSION_DEFAULT,
        HTTP_VERSION_1_1,
        HTTP_VERSION_2,
} HttpVersion;

typedef enum HttpConnection {
        HTTP_CONNECTION_FRESH,
        HTTP_CONNECTION_PERSISTENT,
} HttpConnection;

static const char *const http_versions[] = { "default", "1.1", "2", NULL };
static const char *const http_connections[] = { "fresh", "persistent", NULL };

typedef struct HttpProbe {
        char *url;
        char *method;
        StringList headers;
        char *body;
        StringList json; /* prepared: the ":" after the name is a NUL */
        char *body_match;
        char *username, *password, *token;
        unsigned follow_redirects;
        char *socket_path;
        char *ca_file, *certificate, *key;
        HttpVersion version;
        HttpConnection connection;

        CURLU *origin; /* URL= without user information */
        char *shown;   /* for people: "GET http://db1:8080/health" */
        regex_t regex;
        bool has_regex;

        /* Of the run under way. */
        Check *check;
        CURLU *target; /* of this hop */
        char *host;
        uint16_t port;
        bool tls, at_origin, sends_body;
        unsigned hops;
        ResolverQuery *query;
        ResolverAnswer answer;
        size_t next_address;
        uint64_t resolve_start_usec, resolve_usec;
        char *place; /* "127.0.0.1:8080", "db1 (10.0.0.5:8080)" */
        struct curl_slist *header_list;
        TextBuffer received;
        size_t body_size, header_size;

        /* Kept between runs. */
        CurlTransfer transfer;
        CurlGlue *own_glue; /* of a persistent TLS connection, which no other check may use */
        time_t certificate_expiry;
} HttpProbe;

static void http_start_hop(HttpProbe *probe);
static void http_try_addresses(HttpProbe *probe);

/* ---- configuration ---- */

static const ConfigRange redirects_range = { 0, REDIRECTS_MAX };

static const ConfigKey http_keys[] = {
        { "URL", config_parse_string, offsetof(HttpProbe, url) },
        { "Method", config_parse_string, offsetof(HttpProbe, method) },
        { "Header", config_parse_lines, offsetof(HttpProbe, headers),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "Body", config_parse_string, offsetof(HttpProbe, body), .flags = CONFIG_CREDENTIAL },
        { "Json", config_parse_lines, offsetof(HttpProbe, json) },
        { "BodyMatch", config_parse_string, offsetof(HttpProbe, body_match) },
        { "Username", config_parse_string, offsetof(HttpProbe, username),
          .flags = CONFIG_CREDENTIAL },
        { "Password", config_parse_string, offsetof(HttpProbe, password),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "Token", config_parse_string, offsetof(HttpProbe, token),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "FollowRedirects", config_parse_unsigned, offsetof(HttpProbe, follow_redirects),
          .data = &redirects_range },
        { "Socket", config_parse_path, offsetof(HttpProbe, socket_path) },
        { "CAFile", config_parse_path, offsetof(HttpProbe, ca_file) },
        { "Certificate", config_parse_path, offsetof(HttpProbe, certificate) },
        { "Key", config_parse_path, offsetof(HttpProbe, key) },
        { "HTTPVersion", config_parse_word_of, offsetof(HttpProbe, version),
          .data = http_versions },
        { "Connection", config_parse_word_of, offsetof(HttpProbe, connection),
          .data = http_connections },
        {},
};

static const char *const http_unhealthy_when[] = { "status_code != 200", NULL };

static const char *const http_detail_names[] = {
        "available",       "status_code",
        "body_size",       "body_match",
        "body_match_text", "dns_ms",
        "connect_ms",      "tls_ms",
        "first_byte_ms",   "certificate_days_left",
        "remote_ip",       "http_version",
        "duration_ms",     NULL,
};

static int invalid(ProbeSetup *setup, const char *why) {
        int r = string_replace(&setup->why, why);

        return r < 0 ? r : -EINVAL;
}

/* A part of a URL, to be freed with curl_free(); NULL if it is not there. */
static char *url_part(CURLU *url, CURLUPart part, unsigned flags) {
        char *text = NULL;

        return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

static void curl_free_text(char **text) {
        curl_free(*text);
}
#define _cleanup_curl_ _cleanup_(curl_free_text)

static bool url_is_http(CURLU *url) {
        _cleanup_curl_ char *scheme = url_part(url, CURLUPART_SCHEME, 0);

        return string_equal(scheme, "http") || string_equal(scheme, "https");
}

/* Without what may be secret: user information, query and fragment. */
static int url_format_shown(CURLU *url, const char *method, char **ret) {
        CURLU *copy = curl_url_dup(url);
        _cleanup_curl_ char *text = NULL;

        if (!copy)
                return -ENOMEM;
        curl_url_set(copy, CURLUPART_USER, NULL, 0);
        curl_url_set(copy, CURLUPART_PASSWORD, NULL, 0);
        curl_url_set(copy, CURLUPART_QUERY, NULL, 0);
        curl_url_set(copy, CURLUPART_FRAGMENT, NULL, 0);
        text = url_part(copy, CURLUPART_URL, 0);
        curl_url_cleanup(copy);
        if (!text)
                return -ENOMEM;
        return string_printf(ret, "%s %s", method, text);
}

/* Moves "user:password@" of the URL to where Username= and Password= are. */
static int http_take_userinfo(HttpProbe *probe, ProbeSetup *setup) {
        _cleanup_curl_ char *user = url_part(probe->origin, CURLUPART_USER, CURLU_URLDECODE);
        _cleanup_curl_ char *password = url_part(probe->origin, CURLUPART_PASSWORD,
                                                 CURLU_URLDECODE);
        _cleanup_curl_ char *written = url_part(probe->origin, CURLUPART_PASSWORD, 0);
        int r;

        if (!user && !password)
                return 0;
        if (probe->username || probe->password || probe->token)
                return invalid(setup, "URL= has a user name or password, and Username=, "
                                      "Password= or Token= too; give them once");
        r = string_replace(&probe->username, user ? user : "");
        if (r >= 0)
                r = string_replace(&probe->password, password);
        /* A lone "user@" is often a token. */
        if (r >= 0)
                r = string_list_add(setup->secrets, password ? password : user);
        if (r >= 0 && written)
                r = string_list_add(setup->secrets, written);
        curl_url_set(probe->origin, CURLUPART_USER, NULL, 0);
        curl_url_set(probe->origin, CURLUPART_PASSWORD, NULL, 0);
        return r;
}

static int http_prepare_url(HttpProbe *probe, ProbeSetup *setup) {
        CURLUcode code;

        if (!probe->url)
                return invalid(setup, "URL= is missing; write URL=http://127.0.0.1:8080/health");
        probe->origin = curl_url();
        if (!probe->origin)
                return -ENOMEM;
        code = curl_url_set(probe->origin, CURLUPART_URL, probe->url, CURLU_NON_SUPPORT_SCHEME);
        if (code == CURLUE_OUT_OF_MEMORY)
                return -ENOMEM;
        if (code == CURLUE_BAD_SCHEME || code == CURLUE_BAD_SLASHES ||
            (code == CURLUE_OK && !url_is_http(probe->origin)))
                return invalid(setup, "URL= must begin with http:// or https://");
        if (code != CURLUE_OK) {
                int r = string_printf(&setup->why, "URL= is no valid URL: %s",
                                      curl_url_strerror(code));
                return r < 0 ? r : -EINVAL;
        }
        curl_url_set(probe->origin, CURLUPART_FRAGMENT, NULL, 0);
        return http_take_userinfo(probe, setup);
}

static int http_prepare_request(HttpProbe *probe, ProbeSetup *setup) {
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
                        return invalid(setup, "Method= is a word in capitals, such as GET or HEAD");
        for (size_t i = 0; probe->headers && probe->headers[i]; i++) {
                size_t length = strcspn(probe->headers[i], ": \t");
                if (length == 0 || probe->headers[i][length] != ':')
                        return invalid(setup, "Header= must be written as Header=Name: value");
        }
        if (probe->token && (probe->username || probe->password))
                return invalid(setup, "Token= and Username= or Password= exclude each other");
        if (probe->password && !probe->username)
                return invalid(setup, "Password= needs Username=");
        if (probe->key && !probe->certificate)
                return invalid(setup, "Key= needs Certificate=");
        return url_format_shown(probe->origin, probe->method, &probe->shown);
}

static int http_prepare_json(HttpProbe *probe, ProbeSetup *setup) {
        for (size_t i = 0; probe->json && probe->json[i]; i++) {
                char *line = probe->json[i], *colon = strchr(line, ':');
                size_t length = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_");

                if (length == 0 || line + length != colon)
                        return invalid(setup, "Json= must be written as Json=name:/pointer, "
                                              "the name in letters, digits and _");
                *colon = '\0';
                if (string_list_contains((char *const *) http_detail_names, line))
                        return invalid(setup, "Json= has the name of a detail that is measured "
                                              "anyway; choose another name");
                if (!json_pointer_is_valid(colon + 1))
                        return invalid(setup, "what stands after the name in Json= must be a JSON "
                                              "pointer, such as /queues/0/depth");
        }
        return 0;
}

static int http_prepare_match(HttpProbe *probe, ProbeSetup *setup) {
        char why[256];
        int r;

        if (!probe->body_match)
                return 0;
        r = regcomp(&probe->regex, probe->body_match, REG_EXTENDED | REG_NEWLINE);
        if (r == REG_ESPACE)
                return -ENOMEM;
        if (r != 0) {
                regerror(r, &probe->regex, why, sizeof(why));
                r = string_printf(&setup->why,
                                  "BodyMatch= is no POSIX extended regular "
                                  "expression: %s",
                                  why);
                return r < 0 ? r : -EINVAL;
        }
        probe->has_regex = true;
        return 0;
}

static int http_prepare(void *instance, ProbeSetup *setup) {
        static int (*const steps[])(HttpProbe *, ProbeSetup *) = {
                http_prepare_url,
                http_prepare_request,
                http_prepare_json,
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

/* ---- the end of a run ---- */

static void http_stop(HttpProbe *probe) {
        probe->query = resolver_query_cancel(probe->query);
        curl_transfer_cancel(&probe->transfer);
        curl_slist_free_all(probe->header_list);
        probe->header_list = NULL;
        text_buffer_done(&probe->received);
        curl_url_cleanup(probe->target);
        probe->target = NULL;
}

static void http_report(HttpProbe *probe, Sample *sample) {
        Check *check = TAKE_PTR(probe->check);

        http_stop(probe);
        check_report(check, sample);
}

static void http_fail(HttpProbe *probe, const char *doing, const char *why) {
        _cleanup_(sample_done) Sample sample = {};

        sample_add_boolean(&sample, "available", false);
        sample_fail(&sample, "%s: %s%s%s", probe->shown, doing, *doing ? ": " : "", why);
        http_report(probe, &sample);
}

static void http_fail_internal(HttpProbe *probe, int r) {
        _cleanup_(sample_done) Sample sample = {};

        sample_add_boolean(&sample, "available", false);
        sample_fail_internal(&sample, "%s: %s", probe->shown, strerror(-r));
        http_report(probe, &sample);
}

/* ---- what is measured ---- */

static curl_off_t transfer_time(const HttpProbe *probe, CURLINFO info) {
        curl_off_t usec = 0;

        (void) curl_easy_getinfo(probe->transfer.easy, info, &usec);
        return usec;
}

static void add_milliseconds(Sample *sample, const char *name, curl_off_t usec) {
        sample_add_number(sample, name, usec > 0 ? (double) usec / 1000 : 0);
}

/* Where the time went. A stage that was not reached is left out; a kept connection costs nothing.
 */
static void http_add_times(HttpProbe *probe, Sample *sample) {
        curl_off_t resolved = transfer_time(probe, CURLINFO_NAMELOOKUP_TIME_T);
        curl_off_t connected = transfer_time(probe, CURLINFO_CONNECT_TIME_T);
        curl_off_t secured = transfer_time(probe, CURLINFO_APPCONNECT_TIME_T);
        curl_off_t sent = transfer_time(probe, CURLINFO_PRETRANSFER_TIME_T);
        curl_off_t first = transfer_time(probe, CURLINFO_STARTTRANSFER_TIME_T);

        add_milliseconds(sample, "dns_ms", (curl_off_t) probe->resolve_usec);
        if (connected > 0 || sent > 0)
                add_milliseconds(sample, "connect_ms", connected > 0 ? connected - resolved : 0);
        if (probe->tls && (secured > 0 || sent > 0))
                add_milliseconds(sample, "tls_ms", secured > 0 ? secured - connected : 0);
        /* Not from "sent", which is read after the answer to a fast request is there. */
        if (first > 0)
                add_milliseconds(sample, "first_byte_ms",
                                 first - (secured > 0 ? secured : connected));
}

static time_t certificate_expiry(CURL *easy) {
        struct curl_certinfo *info = NULL;
        const char *date;
        time_t earliest = 0, expiry;

        if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &info) != CURLE_OK || !info)
                return 0;
        for (int i = 0; i < info->num_of_certs; i++)
                for (struct curl_slist *item = info->certinfo[i]; item; item = item->next) {
                        date = string_after_prefix(item->data, "Expire date:");
                        expiry = date ? curl_getdate(date, NULL) : -1;
                        if (expiry > 0 && (earliest == 0 || expiry < earliest))
                                earliest = expiry;
                }
        return earliest;
}

static void http_add_connection(HttpProbe *probe, Sample *sample) {
        static const struct {
                long version;
                double number;
        } versions[] = {
                { CURL_HTTP_VERSION_1_0, 1.0 },
                { CURL_HTTP_VERSION_1_1, 1.1 },
                { CURL_HTTP_VERSION_2_0, 2 },
                { CURL_HTTP_VERSION_3, 3 },
        };
        CURL *easy = probe->transfer.easy;
        long version = 0, n_connects = 0;
        const char *ip = NULL;
        double days;

        if (!probe->socket_path && curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK &&
            !string_is_empty(ip))
                sample_add_string(sample, "remote_ip", ip);
        (void) curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
        for (size_t i = 0; i < ELEMENTS(versions); i++)
                if (versions[i].version == version)
                        sample_add_number(sample, "http_version", versions[i].number);
        if (!probe->tls)
                return;
        /* A kept connection tells its certificates once. */
        (void) curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &n_connects);
        if (n_connects > 0)
                probe->certificate_expiry = certificate_expiry(easy);
        if (probe->certificate_expiry == 0)
                return;
        days = difftime(probe->certificate_expiry, (time_t) (now_realtime_usec() / USEC_PER_SEC)) /
               86400;
        sample_add_number(sample, "certificate_days_left", floor(days * 10) / 10);
}

static void json_add(const cJSON *root, const char *name, Sample *sample) {
        const cJSON *item = json_pointer_find(root, name + strlen(name) + 1);

        if (cJSON_IsNumber(item))
                sample_add_number(sample, name, item->valuedouble);
        else if (cJSON_IsString(item))
                sample_add_string(sample, name, item->valuestring);
        else if (cJSON_IsBool(item))
                sample_add_boolean(sample, name, cJSON_IsTrue(item));
}

static void http_add_json(HttpProbe *probe, long status, Sample *sample) {
        const char *text = probe->received.text ? probe->received.text : "", *end = text;
        cJSON *root;

        root = cJSON_ParseWithLengthOpts(text, probe->received.length, &end, false);
        while (root && end < text + probe->received.length && isspace((unsigned char) *end))
                end++;
        if (!root || end < text + probe->received.length)
                sample_fail(sample,
                            "%s: the answer (status %ld) is not JSON, which Json= needs: byte %zu "
                            "of %zu cannot be understood",
                            probe->shown, status, (size_t) (end - text) + 1,
                            probe->received.length);
        else
                for (size_t i = 0; probe->json[i]; i++)
                        json_add(root, probe->json[i], sample);
        cJSON_Delete(root);
}

static void http_add_match(HttpProbe *probe, Sample *sample) {
        const char *text = probe->received.text ? probe->received.text : "";
        regmatch_t found[2] = { { .rm_so = 0, .rm_eo = (regoff_t) probe->received.length } };
        char group[MATCH_TEXT_MAX + 1];
        bool matches = regexec(&probe->regex, text, ELEMENTS(found), found, REG_STARTEND) == 0;

        sample_add_boolean(sample, "body_match", matches);
        if (!matches || probe->regex.re_nsub == 0 || found[1].rm_so < 0)
                return;
        (void) snprintf(group, sizeof(group), "%.*s", (int) (found[1].rm_eo - found[1].rm_so),
                        text + found[1].rm_so);
        sample_add_string(sample, "body_match_text", group);
}

static void http_add_answer(HttpProbe *probe, long status, Sample *sample) {
        sample_add_boolean(sample, "available", status >= 200 && status < 300);
        sample_add_number(sample, "status_code", (double) status);
        sample_add_number(sample, "body_size", (double) probe->body_size);
        http_add_times(probe, sample);
        http_add_connection(probe, sample);
}

static void http_finish(HttpProbe *probe, long status) {
        _cleanup_(sample_done) Sample sample = {};

        if (probe->received.failed) {
                http_fail_internal(probe, -ENOMEM);
                return;
        }
        http_add_answer(probe, status, &sample);
        if (probe->has_regex)
                http_add_match(probe, &sample);
        if (probe->json)
                http_add_json(probe, status, &sample);
        http_report(probe, &sample);
}

/* ---- redirects ---- */

/* The same scheme, host and port: only there goes what is secret. */
static bool urls_share_origin(CURLU *a, CURLU *b) {
        static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };

        for (size_t i = 0; i < ELEMENTS(parts); i++) {
                _cleanup_curl_ char *of_a = url_part(a, parts[i], CURLU_DEFAULT_PORT);
                _cleanup_curl_ char *of_b = url_part(b, parts[i], CURLU_DEFAULT_PORT);
                if (!of_a || !of_b || strcasecmp(of_a, of_b) != 0)
                        return false;
        }
        return true;
}

static void http_follow(HttpProbe *probe, const char *location, long status) {
        CURLUcode code;

        curl_url_cleanup(probe->target);
        probe->target = curl_url();
        code = probe->target ? curl_url_set(probe->target, CURLUPART_URL, location,
                                            CURLU_NON_SUPPORT_SCHEME)
                             : CURLUE_OUT_OF_MEMORY;
        if (code == CURLUE_OUT_OF_MEMORY) {
                http_fail_internal(probe, -ENOMEM);
                return;
        }
        if (code != CURLUE_OK || !url_is_http(probe->target)) {
                http_fail(probe, "",
                          "it redirects to what is no http or https URL, "
                          "and that is not followed");
                return;
        }
        curl_url_set(probe->target, CURLUPART_USER, NULL, 0);
        curl_url_set(probe->target, CURLUPART_PASSWORD, NULL, 0);
        probe->hops++;
        /* As every browser does it: only 307 and 308 repeat the request as it was. */
        if (status != 307 && status != 308)
                probe->sends_body = false;
        if (probe->sends_body && !urls_share_origin(probe->origin, probe->target)) {
                http_fail(probe, "",
                          "it redirects to another server, where Body= is not sent; "
                          "put the new place into URL=");
                return;
        }
        http_start_hop(probe);
}

/* ---- the transfer ---- */

static size_t http_on_header(char *data, size_t size, size_t n, void *userdata) {
        HttpProbe *probe = userdata;

        (void) data;
        probe->header_size += size * n;
        return probe->header_size > HEADERS_MAX ? 0 : size * n;
}

static size_t http_on_body(char *data, size_t size, size_t n, void *userdata) {
        HttpProbe *probe = userdata;

        probe->body_size += size * n;
        if (probe->body_size > BODY_MAX)
                return 0;
        if (probe->json || probe->has_regex)
                text_buffer_add(&probe->received, data, size * n);
        return size * n;
}

static void http_fail_transfer(HttpProbe *probe, CURLcode result) {
        _cleanup_(sample_done) Sample sample = {};
        const char *why = curl_transfer_strerror(&probe->transfer, result);
        long status = 0;

        (void) curl_easy_getinfo(probe->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
        if (status > 0)
                http_add_answer(probe, status, &sample);
        else
                http_add_times(probe, &sample);
        sample_add_boolean(&sample, "available", false);
        if (curl_transfer_failed_internally(&probe->transfer, result))
                sample_fail_internal(&sample, "%s: connecting to %s: %s", probe->shown,
                                     probe->place, why);
        else if (probe->header_size > HEADERS_MAX)
                sample_fail(&sample, "%s: the headers are larger than 64 KiB", probe->shown);
        else if (probe->body_size > BODY_MAX)
                sample_fail(&sample,
                            "%s: the body is larger than 1 MiB, more than healthd reads; "
                            "choose a smaller document",
                            probe->shown);
        else if (transfer_time(probe, CURLINFO_PRETRANSFER_TIME_T) == 0)
                sample_fail(&sample, "%s: connecting to %s: %s", probe->shown, probe->place, why);
        else
                sample_fail(&sample, "%s: %s", probe->shown, why);
        http_report(probe, &sample);
}

static void http_on_done(CurlTransfer *transfer, CURLcode result, void *userdata) {
        HttpProbe *probe = userdata;
        const char *location = NULL;
        long status = 0;

        if ((result == CURLE_COULDNT_CONNECT || result == CURLE_OPERATION_TIMEDOUT) &&
            probe->next_address < probe->answer.n_addresses) {
                http_try_addresses(probe);
                return;
        }
        if (result != CURLE_OK) {
                http_fail_transfer(probe, result);
                return;
        }
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &location);
        if (!location || probe->follow_redirects == 0)
                http_finish(probe, status);
        else if (probe->hops < probe->follow_redirects)
                http_follow(probe, location, status);
        else
                http_fail(probe, "", "more redirects than FollowRedirects= allows");
}

static int http_add_headers(HttpProbe *probe) {
        bool has_type = false;
        int r = 0;

        curl_slist_free_all(probe->header_list);
        probe->header_list = NULL;
        for (size_t i = 0; probe->at_origin && probe->headers && probe->headers[i] && r == 0; i++) {
                struct curl_slist *list = curl_slist_append(probe->header_list, probe->headers[i]);
                if (list)
                        probe->header_list = list;
                else
                        r = -ENOMEM;
                has_type = has_type || strncasecmp(probe->headers[i], "Content-Type:", 13) == 0;
        }
        if (r == 0 && probe->sends_body && !has_type &&
            (*probe->body == '{' || *probe->body == '[')) {
                struct curl_slist *list = curl_slist_append(probe->header_list,
                                                            "Content-Type: application/json");
                if (list)
                        probe->header_list = list;
                else
                        r = -ENOMEM;
        }
        curl_easy_setopt(probe->transfer.easy, CURLOPT_HTTPHEADER, probe->header_list);
        return r;
}

typedef struct TextOption {
        CURLoption option;
        const char *value; /* NULL: stays as it is */
} TextOption;

static int transfer_set_texts(CurlTransfer *transfer, const TextOption *options, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (options[i].value && curl_easy_setopt(transfer->easy, options[i].option,
                                                         options[i].value) != CURLE_OK)
                        return -ENOMEM;
        return 0;
}

static int http_set_request(HttpProbe *probe) {
        CURL *easy = probe->transfer.easy;
        /* After a redirect that does not repeat the request, what carried a body becomes a GET. */
        const char *method = probe->body && !probe->sends_body ? "GET" : probe->method;
        bool secret = probe->at_origin;
        const TextOption options[] = {
                { CURLOPT_CUSTOMREQUEST, method },
                { CURLOPT_POSTFIELDS, probe->sends_body ? probe->body : NULL },
                { CURLOPT_USERAGENT, "healthd/" HEALTHD_VERSION },
                { CURLOPT_USERNAME, secret ? probe->username : NULL },
                { CURLOPT_PASSWORD, secret ? probe->password : NULL },
                { CURLOPT_XOAUTH2_BEARER, secret ? probe->token : NULL },
                { CURLOPT_SSLCERT, secret ? probe->certificate : NULL },
                { CURLOPT_SSLKEY, secret ? probe->key : NULL },
        };

        curl_easy_setopt(easy, CURLOPT_CURLU, probe->target);
        if (string_equal(method, "HEAD"))
                curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH,
                         (long) (probe->token ? CURLAUTH_BEARER : CURLAUTH_BASIC));
        if (probe->ca_file && curl_transfer_set_ca_file(&probe->transfer, probe->ca_file) < 0)
                return -ENOMEM;
        return transfer_set_texts(&probe->transfer, options, ELEMENTS(options));
}

static void http_set_connection(HttpProbe *probe) {
        CURL *easy = probe->transfer.easy;
        long fresh = probe->connection == HTTP_CONNECTION_FRESH;
        long version = CURL_HTTP_VERSION_NONE;

        if (probe->version == HTTP_VERSION_1_1)
                version = CURL_HTTP_VERSION_1_1;
        else if (probe->version == HTTP_VERSION_2)
                version = probe->tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version);
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, fresh);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, fresh);
        curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, KEPT_IDLE_SEC);
        curl_easy_setopt(easy, CURLOPT_CERTINFO, (long) probe->tls);
        /* A resumed session would not show the certificates. */
        curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_on_header);
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, probe);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_on_body);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, probe);
        if (probe->next_address < probe->answer.n_addresses)
                curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, ADDRESS_MSEC);
}

static int http_get_glue(HttpProbe *probe, CurlGlue **ret) {
        Runtime *runtime = probe->check->runtime;
        int r;

        /* Who is given a connection made by another check never sees its certificates. */
        if (probe->connection == HTTP_CONNECTION_FRESH || !probe->tls)
                return runtime_curl(runtime, ret);
        if (!probe->own_glue) {
                r = curl_glue_new(runtime->reactor, runtime->scheduler, &probe->own_glue);
                if (r < 0)
                        return r;
        }
        *ret = probe->own_glue;
        return 0;
}

static int http_set_place(HttpProbe *probe, const ResolvedAddress *address) {
        char text[INET6_ADDRSTRLEN], numeric[INET6_ADDRSTRLEN + 16];
        ResolvedAddress ignored;

        if (!address)
                return string_replace(&probe->place, probe->socket_path);
        (void) snprintf(numeric, sizeof(numeric),
                        address->sa.sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u",
                        resolved_address_format(address, text, sizeof(text)), probe->port);
        if (resolver_parse_numeric(probe->host, &ignored))
                return string_replace(&probe->place, numeric);
        return string_printf(&probe->place, "%s (%s)", probe->host, numeric);
}

/* address NULL: to Socket=. */
static int http_send(HttpProbe *probe, const ResolvedAddress *address) {
        CurlGlue *glue;
        int r;

        probe->body_size = probe->header_size = 0;
        text_buffer_done(&probe->received);
        r = http_set_place(probe, address);
        if (r < 0)
                return r;
        r = http_get_glue(probe, &glue);
        if (r < 0)
                return r;
        r = curl_transfer_prepare(&probe->transfer);
        if (r < 0)
                return r;
        r = address ? curl_transfer_set_address(&probe->transfer, address, probe->port)
                    : curl_transfer_set_unix_path(&probe->transfer, probe->socket_path);
        if (r < 0)
                return r;
        r = http_set_request(probe);
        if (r < 0)
                return r;
        r = http_add_headers(probe);
        if (r < 0)
                return r;
        http_set_connection(probe);
        return curl_transfer_start(&probe->transfer, glue, http_on_done, probe);
}

static int http_send_to_next(HttpProbe *probe) {
        return http_send(probe, &probe->answer.addresses[probe->next_address++]);
}

static void http_try_addresses(HttpProbe *probe) {
        int r = http_send_to_next(probe);

        if (r < 0)
                http_fail_internal(probe, r);
}

static void http_on_resolved(const ResolverAnswer *answer, void *userdata) {
        _cleanup_free_ char *doing = NULL;
        HttpProbe *probe = userdata;

        probe->query = NULL;
        probe->resolve_usec = now_monotonic_usec() - probe->resolve_start_usec;
        if (answer->error) {
                (void) string_printf(&doing, "resolving %s", probe->host);
                http_fail(probe, doing ? doing : "", answer->error);
                return;
        }
        probe->answer = *answer;
        http_try_addresses(probe);
}

static int http_read_target(HttpProbe *probe) {
        _cleanup_curl_ char *scheme = url_part(probe->target, CURLUPART_SCHEME, 0);
        _cleanup_curl_ char *host = url_part(probe->target, CURLUPART_HOST, CURLU_URLDECODE);
        _cleanup_curl_ char *port = url_part(probe->target, CURLUPART_PORT, CURLU_DEFAULT_PORT);

        if (!scheme || !host || !port)
                return -ENOMEM;
        probe->tls = string_equal(scheme, "https");
        probe->port = (uint16_t) strtoul(port, NULL, 10);
        probe->at_origin = urls_share_origin(probe->origin, probe->target);
        return string_replace(&probe->host, host);
}

static int http_open_hop(HttpProbe *probe) {
        int r;

        r = http_read_target(probe);
        if (r < 0)
                return r;
        probe->resolve_start_usec = now_monotonic_usec();
        probe->resolve_usec = 0;
        probe->next_address = probe->answer.n_addresses = 0;
        if (probe->socket_path && probe->at_origin)
                return http_send(probe, NULL);
        if (resolver_parse_numeric(probe->host, &probe->answer.addresses[0])) {
                probe->answer.n_addresses = 1;
                return http_send_to_next(probe);
        }
        return resolver_query(probe->check->runtime->resolver, probe->host, http_on_resolved, probe,
                              &probe->query);
}

static void http_start_hop(HttpProbe *probe) {
        int r = http_open_hop(probe);

        if (r < 0)
                http_fail_internal(probe, r);
}

static int http_start(void *instance, Check *check) {
        HttpProbe *probe = instance;
        int r;

        probe->check = check;
        probe->hops = 0;
        probe->sends_body = probe->body;
        probe->target = curl_url_dup(probe->origin);
        r = probe->target ? http_open_hop(probe) : -ENOMEM;
        if (r < 0) {
                http_stop(probe);
                probe->check = NULL;
        }
        return r;
}

static void http_cancel(void *instance, Sample *sample) {
        HttpProbe *probe = instance;
        bool resolving = probe->query;

        if (!resolving)
                http_add_times(probe, sample);
        sample_add_boolean(sample, "available", false);
        if (resolving)
                sample_fail(sample, "%s: no answer while resolving %s", probe->shown, probe->host);
        else if (probe->body_size > 0)
                sample_fail(sample, "%s: no end while reading the body, %zu bytes so far",
                            probe->shown, probe->body_size);
        else if (transfer_time(probe, CURLINFO_PRETRANSFER_TIME_T) > 0)
                sample_fail(sample, "%s: no answer from %s while waiting for the %s", probe->shown,
                            probe->place, probe->header_size > 0 ? "body" : "first byte");
        else
                sample_fail(sample, "%s: no answer from %s while %s", probe->shown, probe->place,
                            probe->tls && transfer_time(probe, CURLINFO_CONNECT_TIME_T) > 0
                                            ? "setting up TLS"
                                            : "connecting");
        http_stop(probe);
        probe->check = NULL;
}

static void http_done(void *instance) {
        HttpProbe *probe = instance;

        http_stop(probe);
        curl_transfer_done(&probe->transfer);
        curl_glue_free(probe->own_glue);
        curl_url_cleanup(probe->origin);
        if (probe->has_regex)
                regfree(&probe->regex);
        for (size_t i = 0; probe->headers && probe->headers[i]; i++)
                explicit_bzero(probe->headers[i], strlen(probe->headers[i]));
        string_list_free(probe->headers);
        string_list_free(probe->json);
        string_free_secret(probe->url);
        string_free_secret(probe->body);
        string_free_secret(probe->password);
        string_free_secret(probe->token);
        free(probe->username);
        free(probe->method);
        free(probe->body_match);
        free(probe->socket_path);
        free(probe->ca_file);
        free(probe->certificate);
        free(probe->key);
        free(probe->shown);
        free(probe->host);
        free(probe->place);
}

const ProbeType http_probe = {
        .name = "http",
        .section = "HTTP",
        .instance_size = sizeof(HttpProbe),
        .keys = http_keys,
        .unhealthy_when = http_unhealthy_when,
        .prepare = http_prepare,
        .start = http_start,
        .cancel = http_cancel,
        .done = http_done,
};
