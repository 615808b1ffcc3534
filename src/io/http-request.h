/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One HTTP request, made once or again and again: names are resolved off the loop, every address
 * is tried in turn, each redirect is resolved anew, and what is secret goes to the server of the
 * URL only. Has no time-out: its owner's deadline calls http_request_abandon().
 */

#include <stdbool.h>
#include <stddef.h>

#include "io/http-result.h"
#include "io/libcurl.h"
#include "io/runtime.h"

typedef struct HttpRequest HttpRequest;

typedef enum HttpVersion {
        HTTP_VERSION_DEFAULT, /* what the server and libcurl agree on */
        HTTP_VERSION_1_1,
        HTTP_VERSION_2, /* without TLS: spoken at once */
} HttpVersion;

/*
 * A piece of a body, for who reads what is too large to keep. data NULL: an answer begins, and
 * what came of an earlier one (a redirect, another address) counts no more. Returns false if it
 * needs no more: then the answer counts as received, and the connection is closed. Must not touch
 * the request.
 */
typedef bool (*HttpBodyHandler)(const char *data, size_t length, void *userdata);

/**
 * struct HttpRequestSettings - What to ask whom, and how much of an answer to take.
 * @url: by http_url_parse(), without user information
 * @method: a word in capitals
 * @headers: "Name: value" lines, NULL-terminated; may be NULL
 * @body: NULL for none, "" for an empty one. One that begins with "{" or "[" is sent as
 *        application/json unless @headers say otherwise
 * @username: with @password for basic authentication; NULL for none
 * @token: for bearer authentication, instead of @username; NULL for none
 * @socket_path: of a unix socket to connect to instead of the URL's server; NULL for none
 * @ca_file: the only authorities to trust; NULL for the system's
 * @certificate: of the client, with @key unless that is in the same file; NULL for none
 * @persistent: keep the connection for the next time instead of closing it
 * @redirects_max: how many to follow; 0: a redirect is an answer like any other
 * @headers_max: bytes of an answer's headers, interim ones included; more make it fail
 * @body_max: bytes of the body; more make it fail
 * @keep_body: hand the body over; false: only count its bytes
 * @on_lost: called, at any time but during a run, when the server ends a connection that was kept;
 *           must not free the request; NULL for none
 * @on_body: is given the body piece by piece as it comes, whatever the status is; NULL for none
 *
 * Everything is borrowed and stays as it is until the request is freed.
 */
typedef struct HttpRequestSettings {
        CURLU *url;
        const char *method;
        char *const *headers;
        const char *body;
        const char *username, *password, *token;
        const char *socket_path;
        const char *ca_file, *certificate, *key;
        HttpVersion version;
        bool persistent;
        unsigned redirects_max;
        size_t headers_max, body_max;
        bool keep_body;
        void (*on_lost)(void *userdata); /* gets that too */
        HttpBodyHandler on_body;         /* gets the userdata of http_request_new() */
} HttpRequestSettings;

/*
 * Called once for each start, from the loop, never from inside http_request_start(). The result is
 * valid during the call only. May start the request again or free it.
 */
typedef void (*HttpHandler)(const HttpResult *result, void *userdata);

/**
 * http_request_new() - Makes a request, which is then started as often as wanted.
 * @runtime: borrowed, outlives the request
 * @settings: copied; what it points to is borrowed
 *
 * Return: 0 or -ENOMEM.
 */
int http_request_new(Runtime *runtime, const HttpRequestSettings *settings, HttpHandler on_done,
                     void *userdata, HttpRequest **ret);
/* Stops it if it is under way, and closes its connection. Accepts NULL, returns NULL. */
HttpRequest *http_request_free(HttpRequest *request);

/*
 * Begins; the request is not under way. Returns 0, and the handler follows, or a negative errno,
 * and nothing is under way.
 */
int http_request_start(HttpRequest *request);

/*
 * For the handler only: the first header of this name in the answer, NULL if there is none. Valid
 * during the call.
 */
const char *http_request_get_header(const HttpRequest *request, const char *name);

/*
 * Stops it at a deadline; the handler is not called. The result, to be given to http_result_done(),
 * has the times so far, and as its error the stage it was in: "no answer from 127.0.0.1:80 while
 * waiting for the first byte".
 */
void http_request_abandon(HttpRequest *request, HttpResult *ret);
