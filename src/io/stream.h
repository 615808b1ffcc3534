/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One byte stream to host:port or a unix socket, in the clear or in TLS (then by libcurl's
 * CURLOPT_CONNECT_ONLY, so that no TLS code is ours). Resolves names off the loop and tries every
 * address in turn. Has no time-out: its owner's deadline calls stream_close().
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "io/certificate.h"
#include "io/runtime.h"

typedef struct Stream Stream;

/* Where to connect. Texts are borrowed and outlive the stream. */
typedef struct StreamTarget {
        const char *path; /* of a unix socket; NULL for host and port */
        const char *host;
        uint16_t port;
        bool tls;
        const char *server_name; /* for TLS; NULL: host */
        const char *ca_file;     /* NULL: the system's */
        bool wants_certificates; /* for stream_get_certificates() */
} StreamTarget;

typedef enum StreamEvent {
        STREAM_CONNECTED,
        STREAM_READABLE, /* bytes, or the end of the stream: read tells */
        STREAM_WRITABLE, /* after a short write */
        STREAM_FAILED,   /* could not connect; stream_error() says why */
} StreamEvent;

/* Never called from inside stream_open(). May close the stream. */
typedef void (*StreamHandler)(Stream *stream, StreamEvent event, void *userdata);

/* Starts to connect. Returns 0 and the stream, or a negative errno. */
int stream_open(Runtime *runtime, const StreamTarget *target, StreamHandler on_event,
                void *userdata, Stream **ret);
/* Of what the handler will touch; kept up to date by the owner, who outlives the stream. */
void stream_set_needs(Stream *stream, const Needs *needs);
/* Adds what reading and writing touch. */
void stream_add_needs(const Stream *stream, Needs *needs);
/* Closes at once, whatever is under way. Accepts NULL, returns NULL. */
Stream *stream_close(Stream *stream);

/*
 * Bytes read, 0 at the end of the stream, -EAGAIN if there are none yet, or a negative errno.
 * After STREAM_READABLE read until something else than bytes comes: in TLS the rest is not
 * announced again. After 0 or an error nothing is announced any more.
 */
ssize_t stream_read(Stream *stream, void *buffer, size_t size);
/*
 * Bytes taken, or a negative errno. Fewer than size, possibly 0: STREAM_WRITABLE follows, then go
 * on with the rest, at the same place in memory.
 */
ssize_t stream_write(Stream *stream, const void *data, size_t size);

/* The certificates of the peer, once connected in TLS; the texts live as long as it. */
void stream_get_certificates(const Stream *stream, CertificateChain *ret);

/* Whether it failed because we are short of descriptors or memory: no verdict on the peer. */
bool stream_failed_internally(const Stream *stream);
/*
 * The peer, for people: "127.0.0.1:6379", "db1 (10.0.0.5:6379)", "/run/x.sock". Valid until the
 * next event, as is the stage.
 */
const char *stream_place(Stream *stream);
/* What went wrong, for people: "connecting to 127.0.0.1:6379: Connection refused". */
const char *stream_error(const Stream *stream);
/* The stage a deadline fell into, for people: "resolving db1", "connecting to 127.0.0.1:6379". */
const char *stream_stage(Stream *stream);
