/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The threads that getaddrinfo() runs in, for resolver.c: up to 16 small ones, which start when
 * there is work and end when there is none for ten seconds. The rest of the resolver is on the
 * loop.
 */

#include <stdbool.h>

#include "io/resolver.h"

typedef struct ResolverThreads ResolverThreads;

/* One look-up: made on the loop, filled in by a thread, read on the loop. */
typedef struct ResolverJob {
        struct ResolverJob *next;
        struct ResolverName *name; /* for the loop only */
        bool temporary;
        int family;
        ResolverAnswer answer;
        char host[];
} ResolverJob;

/* None is started yet. Returns 0 or a negative errno. */
int resolver_threads_new(ResolverThreads **ret);
/*
 * Forgets the jobs, and does not wait for those under way: whoever lets go last frees the rest.
 * Accepts NULL, returns NULL.
 */
ResolverThreads *resolver_threads_free(ResolverThreads *threads);

/* An eventfd to wait at: readable when jobs are finished, or after the loop was woken. Borrowed. */
int resolver_threads_fd(const ResolverThreads *threads);
void resolver_threads_wake_loop(const ResolverThreads *threads);

/* Takes the job over, on success only. Returns 0 or a negative errno. */
int resolver_threads_add(ResolverThreads *threads, ResolverJob *job);
/* Gives back the jobs that are done: a list, NULL if there are none. */
ResolverJob *resolver_threads_take_finished(ResolverThreads *threads);
/* Frees a list of jobs. Returns NULL. */
ResolverJob *resolver_jobs_free(ResolverJob *job);
