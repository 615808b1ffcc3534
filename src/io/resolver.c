/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/resolver.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"

#define THREADS_MAX    16
#define STACK_SIZE     ((size_t) 256 * 1024)
#define IDLE_SEC       10
#define NAMES_MAX      4096
#define BUCKETS        1024
#define FRESH_USEC     (5 * USEC_PER_SEC)
#define PATIENCE_USEC  (1 * USEC_PER_SEC)
#define LAST_GOOD_USEC (10 * USEC_PER_MIN)

typedef struct Name Name;

/* One look-up: made on the loop, filled in by a thread, read on the loop. */
typedef struct Job {
        struct Job *next;
        Name *name; /* for the loop only */
        bool temporary;
        int family;
        ResolverAnswer answer;
        char host[];
} Job;

/*
 * What the loop and the threads share. The loop does not wait for a thread that hangs in
 * getaddrinfo(), so whoever lets go last frees it.
 */
typedef struct Shared {
        pthread_mutex_t mutex;
        pthread_cond_t work;
        unsigned references;
        unsigned n_threads, n_idle;
        bool closed;
        int event_fd;
        Job *queue, **queue_end;
        Job *finished;
} Shared;

struct ResolverQuery {
        ResolverQuery *next, **link; /* in its name's waiting list or in the ready list */
        Name *name;                  /* NULL once the answer is in */
        ResolverHandler on_answer;
        void *userdata;
        ResolverAnswer answer;
};

struct Name {
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
        Shared *shared;
        Scheduler *scheduler;
        IoSource io;
        ResolverQuery *ready;
        Name *buckets[BUCKETS];
        size_t n_names;
};

static Job *jobs_free(Job *job) {
        while (job) {
                Job *next = job->next;
                free(job);
                job = next;
        }
        return NULL;
}

/* Called with the mutex held; gives it back. */
static void shared_release(Shared *shared) {
        bool last = --shared->references == 0;

        pthread_mutex_unlock(&shared->mutex);
        if (!last)
                return;
        jobs_free(shared->queue);
        jobs_free(shared->finished);
        fd_close(shared->event_fd);
        pthread_cond_destroy(&shared->work);
        pthread_mutex_destroy(&shared->mutex);
        free(shared);
}

static void job_run(Job *job) {
        const struct addrinfo hints = { .ai_family = job->family, .ai_socktype = SOCK_STREAM };
        struct addrinfo *list = NULL;
        ResolverAnswer *answer = &job->answer;
        int r;

        r = getaddrinfo(job->host, NULL, &hints, &list);
        job->temporary = r == EAI_AGAIN || r == EAI_FAIL || r == EAI_SYSTEM || r == EAI_MEMORY;
        if (r != 0) {
                answer->error = r == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(r);
                return;
        }
        for (struct addrinfo *i = list; i && answer->n_addresses < RESOLVER_ADDRESSES_MAX;
             i = i->ai_next) {
                ResolvedAddress *address = &answer->addresses[answer->n_addresses];
                if (i->ai_addrlen > sizeof(address->in6))
                        continue;
                memcpy(&address->sa, i->ai_addr, i->ai_addrlen);
                address->length = i->ai_addrlen;
                answer->n_addresses++;
        }
        freeaddrinfo(list);
        if (answer->n_addresses == 0)
                answer->error = gai_strerror(EAI_NONAME);
}

/* Waits for work with the mutex held. NULL: there is none for long, or nobody wants it. */
static Job *shared_take_job(Shared *shared) {
        struct timespec until;
        Job *job;
        int r = 0;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += IDLE_SEC;
        shared->n_idle++;
        while (!shared->closed && !shared->queue && r == 0)
                r = pthread_cond_timedwait(&shared->work, &shared->mutex, &until);
        shared->n_idle--;
        if (shared->closed || !shared->queue)
                return NULL;
        job = shared->queue;
        shared->queue = job->next;
        if (!shared->queue)
                shared->queue_end = &shared->queue;
        return job;
}

static void shared_wake_loop(const Shared *shared) {
        /* It cannot fail: a counter that is full would have woken the loop long ago. */
        (void) eventfd_write(shared->event_fd, 1);
}

static void *thread_run(void *userdata) {
        Shared *shared = userdata;
        Job *job;

        (void) pthread_setname_np(pthread_self(), "resolver");
        pthread_mutex_lock(&shared->mutex);
        while ((job = shared_take_job(shared))) {
                pthread_mutex_unlock(&shared->mutex);
                job_run(job);
                pthread_mutex_lock(&shared->mutex);
                job->next = shared->finished;
                shared->finished = job;
                shared_wake_loop(shared);
        }
        shared->n_threads--;
        shared_release(shared);
        return NULL;
}

static int shared_start_thread(Shared *shared) {
        pthread_attr_t attributes;
        pthread_t thread;
        sigset_t all;
        int r;

        r = pthread_attr_init(&attributes);
        if (r != 0)
                return -r;
        sigfillset(&all);
        (void) pthread_attr_setsigmask_np(&attributes, &all);
        (void) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        (void) pthread_attr_setstacksize(&attributes, STACK_SIZE);
        r = pthread_create(&thread, &attributes, thread_run, shared);
        pthread_attr_destroy(&attributes);
        if (r != 0)
                return -r;
        shared->references++;
        shared->n_threads++;
        return 0;
}

static int shared_add_job(Shared *shared, Job *job) {
        size_t n_queued = 1;
        int r = 0;

        pthread_mutex_lock(&shared->mutex);
        for (Job *i = shared->queue; i && n_queued <= THREADS_MAX; i = i->next)
                n_queued++;
        if (n_queued > shared->n_idle && shared->n_threads < THREADS_MAX) {
                r = shared_start_thread(shared);
                /* The threads there are will get to it. */
                if (r < 0 && shared->n_threads > 0)
                        r = 0;
        }
        if (r == 0) {
                *shared->queue_end = job;
                shared->queue_end = &job->next;
                pthread_cond_signal(&shared->work);
        }
        pthread_mutex_unlock(&shared->mutex);
        return r;
}

static int shared_new(Shared **ret) {
        pthread_condattr_t attributes;
        Shared *shared = calloc(1, sizeof(Shared));
        int r;

        if (!shared)
                return -ENOMEM;
        shared->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (shared->event_fd < 0) {
                r = -errno;
                free(shared);
                return r;
        }
        shared->references = 1;
        shared->queue_end = &shared->queue;
        pthread_mutex_init(&shared->mutex, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&shared->work, &attributes);
        pthread_condattr_destroy(&attributes);
        *ret = shared;
        return 0;
}

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
        shared_wake_loop(resolver->shared);
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

static void name_on_answer(Name *name, const Job *job) {
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
        Shared *shared = resolver->shared;
        ResolverQuery *batch, *query;
        eventfd_t count;
        Job *finished;

        (void) revents;
        (void) eventfd_read(source->fd, &count);
        pthread_mutex_lock(&shared->mutex);
        finished = TAKE_PTR(shared->finished);
        pthread_mutex_unlock(&shared->mutex);
        for (Job *job = finished; job; job = job->next)
                name_on_answer(job->name, job);
        jobs_free(finished);

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
        Job *job;
        int r;

        if (name->looking_up)
                return 0;
        job = calloc(1, sizeof(Job) + size);
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
        r = shared_add_job(name->resolver->shared, job);
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
        if (resolver->shared) {
                pthread_mutex_lock(&resolver->shared->mutex);
                resolver->shared->closed = true;
                pthread_cond_broadcast(&resolver->shared->work);
                shared_release(resolver->shared);
        }
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
        r = shared_new(&resolver->shared);
        if (r < 0)
                return r;
        assert(resolver->shared);
        r = io_source_add(&resolver->io, reactor, resolver->shared->event_fd, EPOLLIN,
                          resolver_on_wake, resolver);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(resolver);
        return 0;
}
