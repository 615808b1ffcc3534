/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How the check type queue asks one kind of broker. Each backend is one const QueueBackend in a
 * file of its own and one word in src/probe/meson.build. What they measure bears the same names:
 *
 *     connected       the broker talked to us, whatever it said then
 *     queue_size      what waits to be taken: ready messages; with Group=, what that group has not
 *                     been given yet
 *     messages        all that the queue holds, if that is something else
 *     unacknowledged  given to a consumer and not yet acknowledged
 *     consumers       how many read it
 *     lag             with Group=: how far it is behind the end of the queue
 *
 * What a broker does not tell is left out. That the queue is not there, that we may not look at
 * it, that the log-in was refused and that there is no broker are failures of the sample, each with
 * a text of its own that says what to do.
 */

#include "check/probe.h"
#include "io/address.h"

typedef struct QueueBackend QueueBackend;

/* Keys that only some backends know. */
typedef enum QueueKeys {
        QUEUE_GROUP = 1 << 0,
        QUEUE_USERNAME = 1 << 1,
        QUEUE_PASSWORD = 1 << 2,
        QUEUE_VIRTUAL_HOST = 1 << 3,
        QUEUE_DATABASE = 1 << 4,
        QUEUE_TLS = 1 << 5,
        QUEUE_CA_FILE = 1 << 6,
        QUEUE_SERVER_NAME = 1 << 7,
        QUEUE_CERTIFICATE = 1 << 8, /* and Key= */
        QUEUE_CONNECTION = 1 << 9,
        QUEUE_MECHANISM = 1 << 10,
} QueueKeys;

/**
 * struct QueueSettings - The keys of [Queue], checked as far as that is the same for all.
 * @address: of Address= or the backend's default; not of a backend with several_addresses
 * @address_text: as it is written; NULL if it is not
 * @queue: never NULL
 *
 * The others are NULL, 0 or false unless written; only those of QueueBackend.takes ever are.
 */
typedef struct QueueSettings {
        Address address;
        char *address_text;
        char *queue;
        char *group;
        char *username, *password;
        char *virtual_host;
        unsigned database;
        bool tls;
        char *ca_file, *server_name;
        char *certificate, *key;
        ConnectionMode connection;
        int mechanism; /* of queue_mechanism_words */
} QueueSettings;

extern const char *const queue_mechanism_words[];

/**
 * struct QueueBackend - One kind of broker.
 * @name: of Backend=
 * @takes: the keys it knows besides Backend=, Address= and Queue=; writing another is refused
 * @needs: those of them that must be written
 * @port: where the broker listens, and, if nothing is written, 127.0.0.1 is where it is
 * @tls_port: the same with TLS=yes; 0: @port
 * @takes_path: whether Address= may be a unix socket
 * @several_addresses: Address= is for the backend to read: QueueSettings.address is empty
 * @instance_size: of its own state, which is zeroed
 *
 * The functions are those of ProbeType, and what stands there holds for them; the settings are
 * borrowed and stay as they are until done(), which may be called without prepare().
 */
struct QueueBackend {
        const char *name;
        QueueKeys takes, needs;
        uint16_t port, tls_port;
        bool takes_path, several_addresses;
        size_t instance_size;

        int (*prepare)(void *instance, const QueueSettings *settings, ProbeSetup *setup);
        int (*start)(void *instance, Check *check);
        void (*cancel)(void *instance, Sample *sample);
        void (*done)(void *instance);
};

/* A row of the generated table. */
typedef struct QueueBackendRow {
        const QueueBackend *backend;     /* NULL: this build leaves it out */
        const char *needs;               /* the libraries it is built with, for people */
        const Library *const *libraries; /* to be loaded before it is used, up to NULL */
} QueueBackendRow;

/* All words of Backend=, NULL-terminated, and what belongs to each, in the same order. */
extern const char *const queue_backend_words[];
extern const QueueBackendRow queue_backend_rows[];
