/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Many file descriptors behind one event source. sd-event calls epoll_wait() once for each source
 * it dispatches, which is five times the cost at some hundred sockets; so the sockets of all
 * probes sit in one nested epoll, whose ready list is drained in one go.
 */

#include <stdint.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include "base/prefetch.h"

typedef struct Reactor Reactor;
typedef struct IoSource IoSource;

/* revents: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP as epoll reports them. */
typedef void (*IoHandler)(IoSource *source, uint32_t revents, void *userdata);

/* Embedded in its owner, zeroed before first use. Never owns the fd. */
struct IoSource {
        Reactor *reactor; /* NULL while not watched */
        int fd;
        uint32_t events;
        IoHandler on_event;
        void *userdata;
        const Needs *needs;
};

/* event is borrowed. Returns 0 or a negative errno. */
int reactor_new(sd_event *event, Reactor **ret);
Reactor *reactor_free(Reactor *reactor);

/*
 * Watches fd. The source must be removed before fd is closed: an equal fd number is not the same
 * socket. Returns 0 or what epoll_ctl() said.
 */
int io_source_add(IoSource *source, Reactor *reactor, int fd, uint32_t events, IoHandler on_event,
                  void *userdata);
/* Of what the handler will touch; kept up to date by the owner, who outlives the source. */
void io_source_set_needs(IoSource *source, const Needs *needs);
/* Changes what is waited for; does nothing if it is the same. */
int io_source_modify(IoSource *source, uint32_t events);
/* May be called inside any handler, also for a source that is ready in the same round. */
void io_source_remove(IoSource *source);
