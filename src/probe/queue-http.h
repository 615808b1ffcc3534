/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * For the backends of queue that ask a broker's HTTP interface: GETs, one after the other, whose
 * answers are JSON. A QueueHttp is the whole instance of such a backend, and the functions below
 * are its functions.
 */

#include <cjson/cJSON.h>

#include "io/http-request.h"
#include "probe/queue-backend.h"

#define QUEUE_HTTP_CALLS_MAX 3
#define QUEUE_HTTP_END       (-1)

typedef struct QueueHttp QueueHttp;

/*
 * Takes an answer into http->sample. answer: NULL if it is not JSON, whatever the status is.
 * Returns the number of the call to make next, or QUEUE_HTTP_END.
 */
typedef int (*QueueHttpHandler)(QueueHttp *http, long status, const cJSON *answer);

typedef struct QueueHttpCall {
        QueueHttp *http;
        QueueHttpHandler on_answer;
        CURLU *url;
        char *shown; /* for people: "GET http://db1:8222/jsz" */
        HttpRequest *request;
} QueueHttpCall;

struct QueueHttp {
        const QueueSettings *settings; /* borrowed */
        const char *absent_hint;       /* what to do if nothing listens there */
        QueueHttpCall calls[QUEUE_HTTP_CALLS_MAX];
        size_t n_calls;

        /* The probe under way. */
        Check *check;
        size_t current;
        Sample sample;
};

/* absent_hint: borrowed. */
void queue_http_init(QueueHttp *http, const QueueSettings *settings, const char *absent_hint);
/*
 * Adds the next call: path (with query) at the server of Address=. %s in it stand for the texts,
 * which are percent-encoded. Returns 0 or -ENOMEM.
 */
int queue_http_add_call(QueueHttp *http, QueueHttpHandler on_answer, const char *path,
                        const char *const texts[2]);

/*
 * "GET http://db1:8222/jsz: " and the text. result: SAMPLE_FAILED if the broker does not let us in,
 * SAMPLE_UNHEALTHY if it does, and says that what is asked for is not there. Returns
 * QUEUE_HTTP_END.
 */
int queue_http_fail(QueueHttp *http, SampleResult result, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
/* Fails the sample, for an answer that is none of those we know: that is no such broker. */
int queue_http_fail_unknown(QueueHttp *http, long status, const cJSON *answer, const char *what);

/* Adds a number of the answer under a name of ours, if it is there. */
void queue_http_add_number(QueueHttp *http, const cJSON *object, const char *member,
                           const char *name);
/* A text in the answer, or "". */
const char *queue_http_text(const cJSON *object, const char *member);

/* QueueBackend.start, .cancel and .done of an instance that is a QueueHttp. */
int queue_http_start(void *instance, Check *check);
void queue_http_cancel(void *instance, Sample *sample);
void queue_http_done(void *instance);
