/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/resolver.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"
#include "io/resolver-threads.h"

#define NAMES_MAX      4096
#define BUCKETS        1024
#define FRESH_USEC     (5 * USEC_PER_SEC)
#define PATIENCE_USEC  (1 * USEC_PER_SEC)
#define LAST_GOOD_USEC (10 * USEC_PER_MIN)

typedef struct ResolverName Name;

struct ResolverQuery {
        ResolverQuery *next, **link; /* in its name's waiting list or in the ready list */
        Name *name;                  /* NULL once the answer is in */
        ResolverHandler on_answer;
        void *userdata;
        ResolverAnswer answer;
};

struct ResolverName {
        Name *next; /* in its bucket */
        Resolver *resolver;
        ResolverQuery *waiting;
        int family;
        bool keeps; /* what was found, to answer with it again */
        bool looking_up;
        Timer patience;
        uint64_t good_usec; /* when good was found, 0: never */
        uint64_t used_usec;
        ResolverAnswer good;
        char host[];
};

struct Resolver {
        ResolverThreads *threads;
        Scheduler *scheduler;
        IoSource io;
        ResolverQuery *ready;
        Name *buckets[BUCKETS];
        size_t n_names;
};

static void query_link(ResolverQuery *query, ResolverQuery **list) {
        query->next = *list;
        query->link = list;
        if (query->next)
                query->next->link = &query->next;
        *list = query;
}

static void query_unlink(ResolverQuery *query) {
        *query->link = query->next;
        if (query->next)
                query->next->link = query->link;
}

static void query_set_ready(ResolverQuery *query, Resolver *resolver,
                            const ResolverAnswer *answer) {
        query->answer = *answer;
        query->name = NULL;
        query_link(query, &resolver->ready);
        resolver_threads_wake_loop(resolver->threads);
}

static void name_answer(Name *name, const ResolverAnswer *answer) {
        ResolverQuery *query;

        while ((query = name->waiting)) {
                query_unlink(query);
                query_set_ready(query, name->resolver, answer);
        }
}

static bool name_has_good(const Name *name, uint64_t age_usec) {
        return name->keeps && name->good_usec > 0 &&
               now_monotonic_usec() - name->good_usec <= age_usec;
}

static void name_on_patience(Timer *timer, void *userdata) {
        Name *name = userdata;

        (void) timer;
        if (name_has_good(name, LAST_GOOD_USEC))
                name_answer(name, &name->good);
}

static void name_on_answer(Name *name, const ResolverJob *job) {
        name->looking_up = false;
        timer_disarm(&name->patience);
        if (!job->answer.error) {
                name->good = job->answer;
                name->good_usec = now_monotonic_usec();
        } else if (!job->temporary)
                name->good_usec = 0;
        if (job->answer.error && name_has_good(name, LAST_GOOD_USEC))
                name_answer(name, &name->good);
        else
                name_answer(name, &job->answer);
}

static void resolver_on_wake(IoSource *source, uint32_t revents, void *userdata) {
        Resolver *resolver = userdata;
        ResolverThreads *threads = resolver->threads;
        ResolverQuery *batch, *query;
        eventfd_t count;
        ResolverJob *finished;

        (void) revents;
        (void) eventfd_read(source->fd, &count);
        finished = resolver_threads_take_finished(threads);
        for (ResolverJob *job = finished; job; job = job->next)
                name_on_answer(job->name, job);
        resolver_jobs_free(finished);

        /* Only what is ready now: a handler that asks again is answered in the next round. */
        batch = TAKE_PTR(resolver->ready);
        if (batch)
                batch->link = &batch;
        while ((query = batch)) {
                query_unlink(query);
                query->on_answer(&query->answer, query->userdata);
                free(query);
        }
}

static Name **resolver_find_name(Resolver *resolver, const char *host, int family, bool keeps) {
        uint64_t hash = hash_add_string(HASH_START, host);
        Name **link = &resolver->buckets[hash % BUCKETS];

        while (*link && ((*link)->family != family || (*link)->keeps != keeps ||
                         strcmp((*link)->host, host) != 0))
                link = &(*link)->next;
        return link;
}

/* Makes room by forgetting the name that was not asked for for longest. */
static bool resolver_evict_name(Resolver *resolver) {
        Name **oldest = NULL, *name;

        for (size_t i = 0; i < BUCKETS; i++)
                for (Name **link = &resolver->buckets[i]; *link; link = &(*link)->next)
                        if (!(*link)->looking_up && !(*link)->waiting &&
                            (!oldest || (*link)->used_usec < (*oldest)->used_usec))
                                oldest = link;
        if (!oldest)
                return false;
        name = *oldest;
        *oldest = name->next;
        free(name);
        resolver->n_names--;
        return true;
}

static int resolver_get_name(Resolver *resolver, const char *host, int family, bool keeps,
                             Name **ret) {
        Name **link = resolver_find_name(resolver, host, family, keeps), *name;
        size_t size = strlen(host) + 1;

        if (!*link) {
                if (resolver->n_names >= NAMES_MAX && !resolver_evict_name(resolver))
                        return -ENOBUFS;
                name = calloc(1, sizeof(Name) + size);
                if (!name)
                        return -ENOMEM;
                name->resolver = resolver;
                name->family = family;
                name->keeps = keeps;
                memcpy(name->host, host, size);
                timer_init(&name->patience, resolver->scheduler, name_on_patience, name);
                /* The eviction may have freed what the link pointed into. */
                link = resolver_find_name(resolver, host, family, keeps);
                *link = name;
                resolver->n_names++;
        }
        (*link)->used_usec = now_monotonic_usec();
        *ret = *link;
        return 0;
}

static int name_look_up(Name *name) {
        size_t size = strlen(name->host) + 1;
        ResolverJob *job;
        int r;

        if (name->looking_up)
                return 0;
        job = calloc(1, sizeof(ResolverJob) + size);
        if (!job)
                return -ENOMEM;
        job->name = name;
        job->family = name->family;
        memcpy(job->host, name->host, size);
        if (name_has_good(name, LAST_GOOD_USEC)) {
                r = timer_arm_after(&name->patience, PATIENCE_USEC);
                if (r < 0) {
                        free(job);
                        return r;
                }
        }
        r = resolver_threads_add(name->resolver->threads, job);
        if (r < 0) {
                timer_disarm(&name->patience);
                free(job);
                return r;
        }
        name->looking_up = true;
        return 0;
}

static int resolver_ask(Resolver *resolver, const char *host, int family, bool keeps,
                        ResolverHandler on_answer, void *userdata, ResolverQuery **ret) {
        _cleanup_free_ ResolverQuery *query = calloc(1, sizeof(ResolverQuery));
        ResolverAnswer numeric = { .n_addresses = 1 };
        Name *name;
        int r;

        if (!query)
                return -ENOMEM;
        query->on_answer = on_answer;
        query->userdata = userdata;
        if (resolver_parse_numeric(host, &numeric.addresses[0])) {
                query_set_ready(query, resolver, &numeric);
                *ret = TAKE_PTR(query);
                return 0;
        }
        r = resolver_get_name(resolver, host, family, keeps, &name);
        if (r < 0)
                return r;
        if (name_has_good(name, FRESH_USEC)) {
                query_set_ready(query, resolver, &name->good);
                *ret = TAKE_PTR(query);
                return 0;
        }
        r = name_look_up(name);
        if (r < 0)
                return r;
        if (!timer_is_armed(&name->patience) && name_has_good(name, LAST_GOOD_USEC)) {
                /* The look-up under way has used up its second. */
                query_set_ready(query, resolver, &name->good);
        } else {
                query->name = name;
                query_link(query, &name->waiting);
        }
        *ret = TAKE_PTR(query);
        return 0;
}

int resolver_query(Resolver *resolver, const char *host, ResolverHandler on_answer, void *userdata,
                   ResolverQuery **ret) {
        return resolver_ask(resolver, host, AF_UNSPEC, true, on_answer, userdata, ret);
}

int resolver_query_now(Resolver *resolver, const char *host, int family, ResolverHandler on_answer,
                       void *userdata, ResolverQuery **ret) {
        return resolver_ask(resolver, host, family, false, on_answer, userdata, ret);
}

ResolverQuery *resolver_query_cancel(ResolverQuery *query) {
        if (!query)
                return NULL;
        query_unlink(query);
        free(query);
        return NULL;
}

static void names_free(Resolver *resolver) {
        for (size_t i = 0; i < BUCKETS; i++)
                while (resolver->buckets[i]) {
                        Name *name = resolver->buckets[i];
                        resolver->buckets[i] = name->next;
                        while (name->waiting)
                                resolver_query_cancel(name->waiting);
                        timer_disarm(&name->patience);
                        free(name);
                }
}

Resolver *resolver_free(Resolver *resolver) {
        if (!resolver)
                return NULL;
        io_source_remove(&resolver->io);
        while (resolver->ready)
                resolver_query_cancel(resolver->ready);
        names_free(resolver);
        resolver_threads_free(resolver->threads);
        free(resolver);
        return NULL;
}
DEFINE_CLEANUP(Resolver, resolver_free)

int resolver_new(Reactor *reactor, Scheduler *scheduler, Resolver **ret) {
        _cleanup_(resolver_freep) Resolver *resolver = calloc(1, sizeof(Resolver));
        int r;

        if (!resolver)
                return -ENOMEM;
        resolver->scheduler = scheduler;
        r = resolver_threads_new(&resolver->threads);
        if (r < 0)
                return r;
        assert(resolver->threads);
        r = io_source_add(&resolver->io, reactor, resolver_threads_fd(resolver->threads), EPOLLIN,
                          resolver_on_wake, resolver);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(resolver);
        return 0;
}
