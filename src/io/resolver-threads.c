/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/resolver-threads.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"

#define THREADS_MAX 16
#define STACK_SIZE  ((size_t) 256 * 1024)
#define IDLE_SEC    10

/*
 * What the loop and the threads share. The loop does not wait for a thread that hangs in
 * getaddrinfo(), so whoever lets go last frees it.
 */
struct ResolverThreads {
        pthread_mutex_t mutex;
        pthread_cond_t work;
        unsigned references;
        unsigned n_threads, n_idle;
        bool closed;
        int event_fd;
        ResolverJob *queue, **queue_end;
        ResolverJob *finished;
};

ResolverJob *resolver_jobs_free(ResolverJob *job) {
        while (job) {
                ResolverJob *next = job->next;
                free(job);
                job = next;
        }
        return NULL;
}

/* Called with the mutex held; gives it back. */
static void threads_release(ResolverThreads *threads) {
        bool last = --threads->references == 0;

        pthread_mutex_unlock(&threads->mutex);
        if (!last)
                return;
        resolver_jobs_free(threads->queue);
        resolver_jobs_free(threads->finished);
        fd_close(threads->event_fd);
        pthread_cond_destroy(&threads->work);
        pthread_mutex_destroy(&threads->mutex);
        free(threads);
}

static void job_run(ResolverJob *job) {
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
static ResolverJob *threads_take_job(ResolverThreads *threads) {
        struct timespec until;
        ResolverJob *job;
        int r = 0;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += IDLE_SEC;
        threads->n_idle++;
        while (!threads->closed && !threads->queue && r == 0)
                r = pthread_cond_timedwait(&threads->work, &threads->mutex, &until);
        threads->n_idle--;
        if (threads->closed || !threads->queue)
                return NULL;
        job = threads->queue;
        threads->queue = job->next;
        if (!threads->queue)
                threads->queue_end = &threads->queue;
        return job;
}

void resolver_threads_wake_loop(const ResolverThreads *threads) {
        /* It cannot fail: a counter that is full would have woken the loop long ago. */
        (void) eventfd_write(threads->event_fd, 1);
}

static void *thread_run(void *userdata) {
        ResolverThreads *threads = userdata;
        ResolverJob *job;

        (void) pthread_setname_np(pthread_self(), "resolver");
        pthread_mutex_lock(&threads->mutex);
        while ((job = threads_take_job(threads))) {
                pthread_mutex_unlock(&threads->mutex);
                job_run(job);
                pthread_mutex_lock(&threads->mutex);
                job->next = threads->finished;
                threads->finished = job;
                resolver_threads_wake_loop(threads);
        }
        threads->n_threads--;
        threads_release(threads);
        return NULL;
}

static int threads_start_one(ResolverThreads *threads) {
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
        r = pthread_create(&thread, &attributes, thread_run, threads);
        pthread_attr_destroy(&attributes);
        if (r != 0)
                return -r;
        threads->references++;
        threads->n_threads++;
        return 0;
}

int resolver_threads_add(ResolverThreads *threads, ResolverJob *job) {
        size_t n_queued = 1;
        int r = 0;

        pthread_mutex_lock(&threads->mutex);
        for (ResolverJob *i = threads->queue; i && n_queued <= THREADS_MAX; i = i->next)
                n_queued++;
        if (n_queued > threads->n_idle && threads->n_threads < THREADS_MAX) {
                r = threads_start_one(threads);
                /* The threads there are will get to it. */
                if (r < 0 && threads->n_threads > 0)
                        r = 0;
        }
        if (r == 0) {
                *threads->queue_end = job;
                threads->queue_end = &job->next;
                pthread_cond_signal(&threads->work);
        }
        pthread_mutex_unlock(&threads->mutex);
        return r;
}

int resolver_threads_new(ResolverThreads **ret) {
        pthread_condattr_t attributes;
        ResolverThreads *threads = calloc(1, sizeof(ResolverThreads));
        int r;

        if (!threads)
                return -ENOMEM;
        threads->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (threads->event_fd < 0) {
                r = -errno;
                free(threads);
                return r;
        }
        threads->references = 1;
        threads->queue_end = &threads->queue;
        pthread_mutex_init(&threads->mutex, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&threads->work, &attributes);
        pthread_condattr_destroy(&attributes);
        *ret = threads;
        return 0;
}

ResolverJob *resolver_threads_take_finished(ResolverThreads *threads) {
        ResolverJob *finished;

        pthread_mutex_lock(&threads->mutex);
        finished = TAKE_PTR(threads->finished);
        pthread_mutex_unlock(&threads->mutex);
        return finished;
}

int resolver_threads_fd(const ResolverThreads *threads) {
        return threads->event_fd;
}

ResolverThreads *resolver_threads_free(ResolverThreads *threads) {
        if (!threads)
                return NULL;
        pthread_mutex_lock(&threads->mutex);
        threads->closed = true;
        pthread_cond_broadcast(&threads->work);
        threads_release(threads);
        return NULL;
}
