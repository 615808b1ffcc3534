/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libcurl's multi interface on the reactor and the scheduler. */

#include <stdbool.h>

#include "io/libcurl.h"
#include "io/reactor.h"
#include "io/resolver.h"
#include "io/scheduler.h"

typedef struct CurlGlue CurlGlue;
typedef struct CurlTransfer CurlTransfer;

/* Called once, from the loop, when the transfer is over. It may free the transfer and the glue. */
typedef void (*CurlHandler)(CurlTransfer *transfer, CURLcode result, void *userdata);

/* Embedded in its owner, zeroed before first use. Owns the easy handle. */
struct CurlTransfer {
        CURL *easy;
        CurlGlue *glue;      /* NULL while not under way */
        CurlHandler on_done; /* NULL once it was called */
        void *userdata;
        struct curl_slist *connect_to;
        bool has_address;
        bool has_ca_file;
        /*
         * For CURLOPT_CONNECT_ONLY, set after curl_transfer_prepare(): the connection lives on
         * after on_done, until curl_transfer_cancel().
         */
        bool keep_connection;
        void (*on_kept_closed)(CurlTransfer *transfer, void *userdata);
        IoSource kept;    /* the connection, between two transfers */
        int socket_errno; /* why no socket could be made, 0: one was */
        int watch_errno;  /* why its socket cannot be watched, 0: it can */
        CurlTransfer *next_unwatched;
        char error[CURL_ERROR_SIZE]; /* libcurl's own words about a failure */
};

typedef struct CurlTextOption {
        CURLoption option;
        const char *value; /* NULL: stays as it is */
} CurlTextOption;

/*
 * A connection of keep_connection needs a glue of its own: libcurl closes what is idle in a multi
 * handle whenever another transfer starts there.
 */
int curl_glue_new(Reactor *reactor, Scheduler *scheduler, CurlGlue **ret);
/* Every transfer was cancelled or is over. */
CurlGlue *curl_glue_free(CurlGlue *glue);

/*
 * Makes the easy handle, or resets it for another use, with everything set that must never be
 * forgotten: http and https only, no proxy, no signals, no look-ups, no redirects, QUICK_EXIT.
 * The transfer is not under way. Returns 0 or -ENOMEM.
 */
int curl_transfer_prepare(CurlTransfer *transfer);
/*
 * Where to connect, whatever the host of the URL is; libcurl never looks a name up. The URL's host
 * stays what the Host header, SNI and the certificate check use. Returns 0 or -ENOMEM.
 */
int curl_transfer_set_address(CurlTransfer *transfer, const ResolvedAddress *address,
                              uint16_t port);
int curl_transfer_set_unix_path(CurlTransfer *transfer, const char *path);
/* Trusts the certificate authorities of this file only, not the system's. Returns 0 or -ENOMEM. */
int curl_transfer_set_ca_file(CurlTransfer *transfer, const char *path);
/* Sets options that take a text, which is copied unless libcurl says otherwise. 0 or -ENOMEM. */
int curl_transfer_set_texts(CurlTransfer *transfer, const CurlTextOption *options, size_t n);
/*
 * Has on_closed called, with the userdata of the transfer, when the peer ends the connection that
 * is kept after it. Only in a glue that is this transfer's alone and is freed before it.
 */
void curl_transfer_watch_kept(CurlTransfer *transfer,
                              void (*on_closed)(CurlTransfer *transfer, void *userdata));
/*
 * Starts a prepared transfer, or one that is over once more, as it was. on_done is never called
 * from inside this call. Returns 0, -EINVAL if it has no address, or -ENOMEM.
 */
int curl_transfer_start(CurlTransfer *transfer, CurlGlue *glue, CurlHandler on_done,
                        void *userdata);
/* Stops it; on_done is not called. Kept connections live on in the glue. */
void curl_transfer_cancel(CurlTransfer *transfer);
/* Cancels and frees the easy handle. */
void curl_transfer_done(CurlTransfer *transfer);

/* What went wrong, for people: the system's words about a connection, else libcurl's. */
const char *curl_transfer_strerror(const CurlTransfer *transfer, CURLcode result);
/* Whether it failed because we are short of descriptors or memory. */
bool curl_transfer_failed_internally(const CurlTransfer *transfer, CURLcode result);
