/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Accepts connections within limits. When one kind of peer uses its limit up, or descriptors or
 * memory run out, listeners stop being watched instead of being asked in vain.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "io/runtime.h"

/* Each kind has connections of its own, so that neither starves the other. */
typedef enum PeerKind {
        PEER_TCP,
        PEER_UNIX,
        _PEER_MAX,
} PeerKind;

#define CONNECTIONS_MAX 256 /* of each kind */

typedef struct HttpListener HttpListener;
typedef struct HttpListeners HttpListeners;

/* A new connection. */
typedef struct Peer {
        int fd; /* non-blocking; owned by whoever gets the peer */
        PeerKind kind;
        bool local; /* a unix socket or a loopback address */
        struct sockaddr_storage address;
        socklen_t address_length;
} Peer;

/*
 * Returns 0, or -ENOMEM, which pauses the listeners. In either case the descriptor is taken over
 * and the peer is given back with http_listeners_release() in the end.
 */
typedef int (*PeerHandler)(const Peer *peer, void *userdata);
/*
 * Descriptors or memory ran out: -EMFILE, -ENFILE, -ENOBUFS or -ENOMEM. Once until everybody who
 * waited was let in.
 */
typedef void (*ShortageHandler)(int error, void *userdata);

/* Embedded in its owner. */
struct HttpListeners {
        Runtime *runtime;
        PeerHandler on_peer;
        ShortageHandler on_shortage; /* may be NULL */
        void *userdata, *shortage_userdata;
        HttpListener **items;
        size_t n_items;
        size_t connections[_PEER_MAX];
        Timer resume_timer; /* armed: paused for a shortage */
        bool in_shortage;   /* and the queues have not been emptied since */
};

void http_listeners_init(HttpListeners *listeners, Runtime *runtime, PeerHandler on_peer,
                         void *userdata);
/* Stops accepting and closes our descriptors; may be called twice. */
void http_listeners_done(HttpListeners *listeners);

/*
 * Takes a listening stream socket over, on success only. path: removed in the end, may be NULL.
 * Returns 0, -ENOTSOCK or -EINVAL if fd is none, or another negative errno.
 */
int http_listeners_add(HttpListeners *listeners, int fd, const char *path);

/* A connection that was handed out is over: there is room for another. */
void http_listeners_release(HttpListeners *listeners, PeerKind kind);
