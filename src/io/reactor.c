/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/reactor.h"

#include <assert.h>
#include <errno.h>

#include "base/cleanup.h"

#define READY_MAX 128

struct Reactor {
        int epoll_fd;
        sd_event_source *event_source;
        /* The round being dispatched: a removed source is struck out here. */
        struct epoll_event ready[READY_MAX];
        size_t n_ready;
};

static void ready_look(const void *userdata, size_t i, PrefetchStep step) {
        const Reactor *reactor = userdata;
        const IoSource *source = i < reactor->n_ready ? reactor->ready[i].data.ptr : NULL;

        if (source)
                prefetch_step(step, source, sizeof(IoSource), &source->needs);
}

static int reactor_on_ready(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Reactor *reactor = userdata;
        int n;

        (void) s;
        (void) revents;
        n = epoll_wait(fd, reactor->ready, READY_MAX, 0);
        reactor->n_ready = n > 0 ? (size_t) n : 0;
        for (size_t i = 0; i < reactor->n_ready; i++) {
                IoSource *source = reactor->ready[i].data.ptr;
                prefetch_look_ahead(reactor, i, ready_look);
                if (source)
                        source->on_event(source, reactor->ready[i].events, source->userdata);
        }
        reactor->n_ready = 0;
        return 0;
}

Reactor *reactor_free(Reactor *reactor) {
        if (!reactor)
                return NULL;
        sd_event_source_unref(reactor->event_source);
        fd_close(reactor->epoll_fd);
        free(reactor);
        return NULL;
}
DEFINE_CLEANUP(Reactor, reactor_free)

int reactor_new(sd_event *event, Reactor **ret) {
        _cleanup_(reactor_freep) Reactor *reactor = calloc(1, sizeof(Reactor));
        int r;

        if (!reactor)
                return -ENOMEM;
        reactor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (reactor->epoll_fd < 0)
                return -errno;
        r = sd_event_add_io(event, &reactor->event_source, reactor->epoll_fd, EPOLLIN,
                            reactor_on_ready, reactor);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(reactor->event_source, "reactor");
        *ret = TAKE_PTR(reactor);
        return 0;
}

int io_source_add(IoSource *source, Reactor *reactor, int fd, uint32_t events, IoHandler on_event,
                  void *userdata) {
        struct epoll_event event = { .events = events, .data.ptr = source };

        assert(!source->reactor);
        if (epoll_ctl(reactor->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                return -errno;
        *source = (IoSource){
                .reactor = reactor,
                .fd = fd,
                .events = events,
                .on_event = on_event,
                .userdata = userdata,
        };
        return 0;
}

int io_source_modify(IoSource *source, uint32_t events) {
        struct epoll_event event = { .events = events, .data.ptr = source };

        assert(source->reactor);
        if (source->events == events)
                return 0;
        if (epoll_ctl(source->reactor->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0)
                return -errno;
        source->events = events;
        return 0;
}

void io_source_set_needs(IoSource *source, const Needs *needs) {
        source->needs = needs;
}

void io_source_remove(IoSource *source) {
        Reactor *reactor = source->reactor;

        if (!reactor)
                return;
        (void) epoll_ctl(reactor->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
        for (size_t i = 0; i < reactor->n_ready; i++)
                if (reactor->ready[i].data.ptr == source)
                        reactor->ready[i].data.ptr = NULL;
        source->reactor = NULL;
}
