/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Host names to addresses, off the loop: getaddrinfo() blocks for seconds when a name server is
 * silent, so it runs in up to 16 small threads. One look-up a name is under way at a time, however
 * many checks ask for it; otherwise one dead name would take every thread. What was found last is
 * kept and used again while the name server does not answer.
 */

#include <stddef.h>

#include "io/reactor.h"
#include "io/resolved-address.h"
#include "io/scheduler.h"

#define RESOLVER_ADDRESSES_MAX 16

typedef struct Resolver Resolver;
typedef struct ResolverQuery ResolverQuery;

typedef struct ResolverAnswer {
        const char *error; /* NULL on success, else what getaddrinfo() said, for people */
        size_t n_addresses;
        ResolvedAddress addresses[RESOLVER_ADDRESSES_MAX]; /* in order of preference, port unset */
} ResolverAnswer;

/* The answer is valid during the call only. The query is gone when this is called. */
typedef void (*ResolverHandler)(const ResolverAnswer *answer, void *userdata);

/* Both are borrowed. Returns 0 or a negative errno. */
int resolver_new(Reactor *reactor, Scheduler *scheduler, Resolver **ret);
/* Does not wait for look-ups under way: their threads end by themselves. */
Resolver *resolver_free(Resolver *resolver);

/*
 * Looks host up; on_answer is always called later from the loop, never from inside this call.
 * Numeric addresses, and names found in the last five seconds, are answered without a look-up.
 * If the name server fails or does not answer within a second, what was found in the last ten
 * minutes is the answer. "No such name" is an answer, not a failure of the name server.
 * The caller bounds the wait by its own deadline and resolver_query_cancel().
 * Returns 0 and the query, or a negative errno.
 */
int resolver_query(Resolver *resolver, const char *host, ResolverHandler on_answer, void *userdata,
                   ResolverQuery **ret);
/*
 * The same by a real look-up, for whoever wants to know what the name server says now: nothing
 * that was found before is the answer. family: AF_INET, AF_INET6, or AF_UNSPEC for both.
 */
int resolver_query_now(Resolver *resolver, const char *host, int family, ResolverHandler on_answer,
                       void *userdata, ResolverQuery **ret);
/* Forgets the query (NULL is fine); its handler is not called. Returns NULL. */
ResolverQuery *resolver_query_cancel(ResolverQuery *query);
