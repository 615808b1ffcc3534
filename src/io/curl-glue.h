/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libcurl's multi interface on the reactor and the scheduler. */

#include <curl/curl.h>

#include "io/reactor.h"
#include "io/scheduler.h"

typedef struct CurlGlue CurlGlue;
typedef struct CurlTransfer CurlTransfer;

/* Called once, from the loop, when the transfer is over. It may free the transfer. */
typedef void (*CurlHandler)(CurlTransfer *transfer, CURLcode result, void *userdata);

/* Embedded in its owner, zeroed before first use. Owns the easy handle. */
struct CurlTransfer {
        CURL *easy;
        CurlGlue *glue; /* NULL while not under way */
        CurlHandler on_done;
        void *userdata;
        char error[CURL_ERROR_SIZE]; /* libcurl's own words about a failure */
};

int curl_glue_new(Reactor *reactor, Scheduler *scheduler, CurlGlue **ret);
CurlGlue *curl_glue_free(CurlGlue *glue);

/*
 * Makes the easy handle, or resets it for another use, with everything set that must never be
 * forgotten: http and https only, no proxy, no signals, no look-ups, no redirects, QUICK_EXIT.
 * Returns 0 or -ENOMEM.
 */
int curl_transfer_prepare(CurlTransfer *transfer);
/* Starts a prepared transfer. on_done is never called from inside this call. */
int curl_transfer_start(CurlTransfer *transfer, CurlGlue *glue, CurlHandler on_done,
                        void *userdata);
/* Stops it; on_done is not called. Kept connections live on in the glue. */
void curl_transfer_cancel(CurlTransfer *transfer);
/* Cancels and frees the easy handle. */
void curl_transfer_done(CurlTransfer *transfer);
