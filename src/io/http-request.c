/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/http-request.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"
#include "io/certificate.h"
#include "io/curl-glue.h"
#include "io/http-question.h"
#include "io/http-url.h"

/* How long an address may be silent while there is another one to try. */
#define ADDRESS_MSEC  2000L
#define KEPT_IDLE_SEC (24 * 3600L)

struct HttpRequest {
        Runtime *runtime;
        HttpRequestSettings settings;
        HttpHandler on_done;
        void *userdata;

        /* While under way. */
        CURLU *redirect; /* what this hop asks for; NULL: the settings' URL */
        unsigned hops;   /* of the last run until the next one */
        bool sends_body;
        ResolverQuery *query;
        ResolverAnswer answer;
        size_t next_address;
        uint64_t resolve_start_usec, resolve_usec;
        bool is_securing; /* connected, and TLS has begun */
        bool has_enough;  /* on_body() needs no more */
        bool has_headers; /* to the empty line */
        TextBuffer received;
        size_t body_size, header_size;

        /* The server of the last hop, which most often is the next run's too. */
        char *host; /* NULL: not known yet */
        uint16_t port;
        bool tls, at_origin, is_numeric;

        /* Kept for the next time. */
        CurlTransfer transfer;
        struct curl_slist *header_list; /* libcurl's handle points to it */
        ResolvedAddress address;        /* set up in the handle */
        bool is_last_address;
        char *place;        /* of the address: "127.0.0.1:8080", "db1 (10.0.0.5:8080)" */
        bool is_reusable;   /* the handle is set up for the settings' URL, and has worked */
        CurlGlue *own_glue; /* of a persistent connection, which nobody else may use */
        time_t certificate_expiry;
};

static int request_open_hop(HttpRequest *request);
static void request_try_addresses(HttpRequest *request);

/* ---- the end ---- */

/* Stops it; the handler is not called. A kept connection that was in use is closed. */
static void request_cancel(HttpRequest *request) {
        request->query = resolver_query_cancel(request->query);
        curl_transfer_cancel(&request->transfer);
        text_buffer_done(&request->received);
        curl_url_cleanup(request->redirect);
        request->redirect = NULL;
}

/* The request may be gone afterwards. */
static void request_report(HttpRequest *request, const HttpResult *result) {
        request_cancel(request);
        request->on_done(result, request->userdata);
}

static void request_fail(HttpRequest *request, const char *why) {
        _cleanup_(http_result_done) HttpResult result = {};

        http_result_init(&result, HTTP_FAILED);
        (void) string_replace(&result.error, why);
        request_report(request, &result);
}

static void request_fail_internal(HttpRequest *request, int r) {
        _cleanup_(http_result_done) HttpResult result = {};

        http_result_init(&result, HTTP_FAILED_INTERNALLY);
        (void) string_replace(&result.error, strerrordesc_np(-r));
        request_report(request, &result);
}

static int64_t request_time(const HttpRequest *request, CURLINFO info) {
        return http_transfer_time_usec(request->transfer.easy, info);
}

static void request_get_times(const HttpRequest *request, HttpResult *result) {
        result->dns_usec = (int64_t) request->resolve_usec;
        http_result_read_times(result, request->transfer.easy, request->tls);
}

static void request_get_answer(HttpRequest *request, long status, HttpResult *result) {
        CURL *easy = request->transfer.easy;
        CertificateChain chain;
        long n_connects = 0;

        request_get_times(request, result);
        if (status == 0)
                return;
        result->status = status;
        result->body_size = request->body_size;
        http_result_read_connection(result, easy);
        if (request->settings.socket_path)
                *result->remote_ip = '\0';
        if (!request->tls)
                return;
        /* A kept connection tells its certificates once. */
        (void) curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &n_connects);
        if (n_connects > 0) {
                certificate_chain_read(easy, &chain);
                request->certificate_expiry = chain.expiry;
        }
        result->certificate_expiry = request->certificate_expiry;
}

static void request_finish(HttpRequest *request, long status) {
        _cleanup_(http_result_done) HttpResult result = {};
        int r;

        request->is_reusable = request->hops == 0;
        http_result_init(&result, HTTP_ANSWERED);
        if (request->settings.keep_body) {
                r = text_buffer_finish(&request->received, &result.body, &result.body_length);
                if (r < 0) {
                        request_fail_internal(request, r);
                        return;
                }
        }
        request_get_answer(request, status, &result);
        request_report(request, &result);
}

/* ---- what is asked of whom ---- */

static CURLU *request_target(const HttpRequest *request) {
        return request->redirect ? request->redirect : request->settings.url;
}

static int request_set_server(HttpRequest *request) {
        CURLU *target = request_target(request);

        free(request->host);
        request->host = NULL;
        request->at_origin = !request->redirect ||
                             http_urls_share_origin(request->settings.url, target);
        return http_url_get_server(target, &request->host, &request->port, &request->tls);
}

static int request_set_redirect(HttpRequest *request, const char *location) {
        _cleanup_free_ char *username = NULL, *password = NULL;
        CURLU *redirect = NULL;
        int r;

        r = http_url_parse(location, NULL, &redirect);
        if (r < 0)
                return r;
        curl_url_cleanup(request->redirect);
        request->redirect = redirect;
        return http_url_take_login(redirect, NULL, &username, &password);
}

static void request_follow(HttpRequest *request, const char *location, long status) {
        int r;

        r = request_set_redirect(request, location);
        if (r == -EINVAL) {
                request_fail(request, "it redirects to what is no http or https URL, "
                                      "and that is not followed");
                return;
        }
        /* As every browser does it: only 307 and 308 repeat the request as it was. */
        if (status != 307 && status != 308)
                request->sends_body = false;
        if (r >= 0 && request->sends_body &&
            !http_urls_share_origin(request->settings.url, request->redirect)) {
                request_fail(request, "it redirects to another server, where the body is not "
                                      "sent; put the new place into URL=");
                return;
        }
        request->hops++;
        if (r >= 0)
                r = request_set_server(request);
        if (r >= 0)
                r = request_open_hop(request);
        if (r < 0)
                request_fail_internal(request, r);
}

/* ---- what libcurl calls ---- */

static size_t request_on_header(char *data, size_t size, size_t n, void *userdata) {
        HttpRequest *request = userdata;
        size_t length = size * n;

        /* An interim answer has some of its own; trailers come after them. */
        if (length > 0 && (*data == '\r' || *data == '\n'))
                request->has_headers = true;
        else if (length > 5 && memcmp(data, "HTTP/", 5) == 0)
                request->has_headers = false;
        request->header_size += size * n;
        return request->header_size > request->settings.headers_max ? 0 : size * n;
}

static size_t request_on_body(char *data, size_t size, size_t n, void *userdata) {
        HttpRequest *request = userdata;
        long status = 0;

        request->body_size += size * n;
        if (request->body_size > request->settings.body_max)
                return 0;
        if (request->settings.keep_body)
                text_buffer_add(&request->received, data, size * n);
        if (!request->settings.on_body ||
            request->settings.on_body(data, size * n, request->userdata))
                return size * n;
        /* Where a redirect leads to is known at its end only. */
        (void) curl_easy_getinfo(request->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
        request->has_enough = status / 100 != 3;
        return request->has_enough ? 0 : size * n;
}

/* Changes nothing: it is how libcurl tells that the connection is there and TLS begins. */
static CURLcode request_on_tls(CURL *easy, void *context, void *userdata) {
        HttpRequest *request = userdata;

        (void) easy;
        (void) context;
        request->is_securing = true;
        return CURLE_OK;
}

/*
 * A single line that outgrows libcurl's buffer is said to be a lack of memory by some of its
 * versions. While headers are read, that is far more likely than a real one.
 */
static bool request_has_large_headers(const HttpRequest *request, CURLcode result) {
        return request->header_size > request->settings.headers_max ||
               (result == CURLE_OUT_OF_MEMORY && request->body_size == 0 &&
                request_time(request, CURLINFO_STARTTRANSFER_TIME_T) > 0);
}

static void request_fail_transfer(HttpRequest *request, CURLcode code) {
        _cleanup_(http_result_done) HttpResult result = {};
        const char *why = curl_transfer_strerror(&request->transfer, code);
        bool large_headers = request_has_large_headers(request, code);
        long status = 0;

        http_result_init(&result, HTTP_FAILED);
        (void) curl_easy_getinfo(request->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
        request_get_answer(request, status, &result);
        if (!large_headers && curl_transfer_failed_internally(&request->transfer, code))
                result.outcome = HTTP_FAILED_INTERNALLY;
        if (large_headers)
                http_result_say_too_large(&result, "the headers are", request->settings.headers_max,
                                          "");
        else if (request->body_size > request->settings.body_max)
                http_result_say_too_large(&result, "the body is", request->settings.body_max,
                                          ", more than healthd reads; choose a smaller document");
        else if (result.outcome == HTTP_FAILED_INTERNALLY ||
                 request_time(request, CURLINFO_PRETRANSFER_TIME_T) == 0)
                (void) string_printf(&result.error, "connecting to %s: %s", request->place, why);
        else
                (void) string_replace(&result.error, why);
        request_report(request, &result);
}

static void request_on_done(CurlTransfer *transfer, CURLcode code, void *userdata) {
        HttpRequest *request = userdata;
        const char *location = NULL;
        long status = 0;

        if ((code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT) &&
            request->next_address < request->answer.n_addresses) {
                request_try_addresses(request);
                return;
        }
        if (code != CURLE_OK && !request->has_enough) {
                request_fail_transfer(request, code);
                return;
        }
        /* To libcurl that is a whole answer without a body. */
        if (!request->has_headers) {
                request_fail(request, "the connection was closed in the middle of the headers");
                return;
        }
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &location);
        if (!location || request->settings.redirects_max == 0)
                request_finish(request, status);
        else if (request->hops < request->settings.redirects_max)
                request_follow(request, location, status);
        else
                request_fail(request, "more redirects than FollowRedirects= allows");
}

/* ---- one transfer ---- */

static void request_on_lost(CurlTransfer *transfer, void *userdata) {
        HttpRequest *request = userdata;

        (void) transfer;
        request->settings.on_lost(request->userdata);
}

static void request_set_connection(HttpRequest *request) {
        CURL *easy = request->transfer.easy;
        long fresh = !request->settings.persistent, version = CURL_HTTP_VERSION_NONE;

        if (request->settings.version == HTTP_VERSION_1_1)
                version = CURL_HTTP_VERSION_1_1;
        else if (request->settings.version == HTTP_VERSION_2)
                version = request->tls ? CURL_HTTP_VERSION_2TLS
                                       : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version);
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, fresh);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, fresh);
        curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, KEPT_IDLE_SEC);
        curl_easy_setopt(easy, CURLOPT_CERTINFO, (long) request->tls);
        /* A resumed session would not show the certificates. */
        curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
        /* Where libcurl's TLS library has no such call, a stage goes by the name of "connecting".
         */
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, request_on_tls);
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, request);
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, request_on_header);
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, request_on_body);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
        if (request->settings.persistent && request->settings.on_lost)
                curl_transfer_watch_kept(&request->transfer, request_on_lost);
        if (!request->is_last_address)
                curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, ADDRESS_MSEC);
}

static int request_get_glue(HttpRequest *request, CurlGlue **ret) {
        Runtime *runtime = request->runtime;
        int r;

        /* Who shares its connections is not told when they end, and sees no certificates. */
        if (!request->settings.persistent)
                return runtime_curl(runtime, ret);
        if (!request->own_glue) {
                r = curl_glue_new(runtime->reactor, runtime->scheduler, &request->own_glue);
                if (r < 0)
                        return r;
        }
        *ret = request->own_glue;
        return 0;
}

static int request_set_place(HttpRequest *request, const ResolvedAddress *address) {
        char text[INET6_ADDRSTRLEN], numeric[INET6_ADDRSTRLEN + 16];

        if (!address)
                return string_replace(&request->place, request->settings.socket_path);
        (void) snprintf(numeric, sizeof(numeric),
                        address->sa.sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u",
                        resolved_address_format(address, text, sizeof(text)), request->port);
        if (request->is_numeric)
                return string_replace(&request->place, numeric);
        return string_printf(&request->place, "%s (%s)", request->host, numeric);
}

static int request_set_up(HttpRequest *request, const ResolvedAddress *address) {
        CurlTransfer *transfer = &request->transfer;
        const HttpQuestion question = {
                .settings = &request->settings,
                .target = request_target(request),
                .at_origin = request->at_origin,
                .sends_body = request->sends_body,
        };
        int r;

        request->address = address ? *address : (ResolvedAddress){};
        request->is_last_address = request->next_address == request->answer.n_addresses;
        r = request_set_place(request, address);
        if (r >= 0)
                r = curl_transfer_prepare(transfer);
        if (r < 0)
                return r;
        r = address ? curl_transfer_set_address(transfer, address, request->port)
                    : curl_transfer_set_unix_path(transfer, request->settings.socket_path);
        if (r >= 0)
                r = http_question_set(&question, transfer, &request->header_list);
        if (r < 0)
                return r;
        request_set_connection(request);
        return 0;
}

/* To set the handle up anew is a quarter of the work of a check on a kept connection. */
static bool request_is_set_up(const HttpRequest *request, const ResolvedAddress *address) {
        const ResolvedAddress none = {}, *to = address ? address : &none;
        bool is_last = request->next_address == request->answer.n_addresses;

        return request->is_reusable && request->hops == 0 && is_last == request->is_last_address &&
               to->length == request->address.length &&
               memcmp(&to->in6, &request->address.in6, to->length) == 0;
}

/* address NULL: to the unix socket. */
static int request_send(HttpRequest *request, const ResolvedAddress *address) {
        CurlGlue *glue;
        int r = 0;

        request->body_size = request->header_size = 0;
        request->is_securing = request->has_enough = request->has_headers = false;
        text_buffer_done(&request->received);
        if (request->settings.on_body)
                (void) request->settings.on_body(NULL, 0, request->userdata);
        if (!request_is_set_up(request, address))
                r = request_set_up(request, address);
        request->is_reusable = false;
        if (r >= 0)
                r = request_get_glue(request, &glue);
        if (r < 0)
                return r;
        return curl_transfer_start(&request->transfer, glue, request_on_done, request);
}

static int request_send_to_next(HttpRequest *request) {
        return request_send(request, &request->answer.addresses[request->next_address++]);
}

static void request_try_addresses(HttpRequest *request) {
        int r = request_send_to_next(request);

        if (r < 0)
                request_fail_internal(request, r);
}

static void request_on_resolved(const ResolverAnswer *answer, void *userdata) {
        _cleanup_free_ char *why = NULL;
        HttpRequest *request = userdata;

        request->query = NULL;
        request->resolve_usec = now_monotonic_usec() - request->resolve_start_usec;
        if (answer->error) {
                (void) string_printf(&why, "resolving %s: %s", request->host, answer->error);
                request_fail(request, why);
                return;
        }
        request->answer = *answer;
        request_try_addresses(request);
}

static int request_open_hop(HttpRequest *request) {
        request->resolve_start_usec = now_monotonic_usec();
        request->resolve_usec = 0;
        request->next_address = request->answer.n_addresses = 0;
        if (request->settings.socket_path && request->at_origin)
                return request_send(request, NULL);
        request->is_numeric = resolver_parse_numeric(request->host, &request->answer.addresses[0]);
        if (request->is_numeric) {
                request->answer.n_addresses = 1;
                return request_send_to_next(request);
        }
        return resolver_query(request->runtime->resolver, request->host, request_on_resolved,
                              request, &request->query);
}

/* ---- for the owner ---- */

int http_request_new(Runtime *runtime, const HttpRequestSettings *settings, HttpHandler on_done,
                     void *userdata, HttpRequest **ret) {
        HttpRequest *request = calloc(1, sizeof(HttpRequest));

        if (!request)
                return -ENOMEM;
        request->runtime = runtime;
        request->settings = *settings;
        request->on_done = on_done;
        request->userdata = userdata;
        *ret = request;
        return 0;
}

HttpRequest *http_request_free(HttpRequest *request) {
        if (!request)
                return NULL;
        request_cancel(request);
        curl_transfer_done(&request->transfer);
        curl_slist_free_all(request->header_list);
        curl_glue_free(request->own_glue);
        free(request->host);
        free(request->place);
        free(request);
        return NULL;
}

int http_request_start(HttpRequest *request) {
        bool has_server = request->host && request->hops == 0;
        int r;

        assert(!request->query && !request->transfer.glue);
        request->hops = 0;
        request->sends_body = request->settings.body;
        r = has_server ? 0 : request_set_server(request);
        if (r >= 0)
                r = request_open_hop(request);
        if (r < 0)
                request_cancel(request);
        return r;
}

static const char *request_stage(const HttpRequest *request) {
        if (request_time(request, CURLINFO_PRETRANSFER_TIME_T) > 0)
                return request->header_size > 0 ? "waiting for the body"
                                                : "waiting for the first byte";
        return request->is_securing ? "setting up TLS" : "connecting";
}

void http_request_abandon(HttpRequest *request, HttpResult *ret) {
        http_result_init(ret, HTTP_FAILED);
        if (request->query)
                (void) string_printf(&ret->error, "no answer while resolving %s", request->host);
        else if (request->body_size > 0)
                (void) string_printf(&ret->error, "no end while reading the body, %zu bytes so far",
                                     request->body_size);
        else
                (void) string_printf(&ret->error, "no answer from %s while %s", request->place,
                                     request_stage(request));
        if (!request->query)
                request_get_times(request, ret);
        request_cancel(request);
}

const char *http_request_get_header(const HttpRequest *request, const char *name) {
        struct curl_header *header;

        if (curl_easy_header(request->transfer.easy, name, 0, CURLH_HEADER, -1, &header) !=
            CURLHE_OK)
                return NULL;
        return header->value;
}
