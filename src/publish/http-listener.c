/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/http-listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"

#define SHORTAGE_PAUSE_USEC (500 * USEC_PER_MSEC)
/* Then other sources have their turn. */
#define ACCEPT_BATCH        8

struct HttpListener {
        HttpListeners *listeners;
        int fd;
        PeerKind kind;
        char *path; /* to remove in the end, may be NULL */
        sd_event_source *source;
};

static HttpListener *http_listener_free(HttpListener *listener) {
        if (!listener)
                return NULL;
        sd_event_source_disable_unref(listener->source);
        if (listener->path)
                (void) unlink(listener->path);
        fd_close(listener->fd);
        free(listener->path);
        free(listener);
        return NULL;
}
DEFINE_CLEANUP(HttpListener, http_listener_free)

/*
 * Watches every listener that may accept now, and only those. The kernel may be short of memory for
 * it: without another attempt nobody would ever be heard again.
 */
static void http_listeners_update(HttpListeners *listeners) {
        bool deaf = false;

        for (size_t i = 0; i < listeners->n_items; i++) {
                HttpListener *listener = listeners->items[i];
                bool open = !timer_is_armed(&listeners->resume_timer) &&
                            listeners->connections[listener->kind] < CONNECTIONS_MAX;

                if (sd_event_source_set_enabled(listener->source,
                                                open ? SD_EVENT_ON : SD_EVENT_OFF) < 0)
                        deaf = deaf || open;
        }
        if (deaf)
                (void) timer_arm_after(&listeners->resume_timer, SHORTAGE_PAUSE_USEC);
}

static void http_listeners_on_resume(Timer *timer, void *userdata) {
        (void) timer;
        http_listeners_update(userdata);
}

/* A connection waits in the queue and stays ready, but cannot be had: asking again would spin. */
static void http_listeners_pause(HttpListeners *listeners, int error) {
        (void) timer_arm_after(&listeners->resume_timer, SHORTAGE_PAUSE_USEC);
        http_listeners_update(listeners);
        if (listeners->in_shortage)
                return;
        listeners->in_shortage = true;
        if (listeners->on_shortage)
                listeners->on_shortage(error, listeners->shortage_userdata);
}

static bool is_loopback(const struct sockaddr_storage *address) {
        const struct sockaddr_in *v4 = (const void *) address;
        const struct sockaddr_in6 *v6 = (const void *) address;

        if (address->ss_family == AF_INET)
                return (ntohl(v4->sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
        if (address->ss_family != AF_INET6)
                return false;
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
                return v6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET;
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static bool is_shortage(int error) {
        return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

/* Returns 1 for a connection, 0 if there is none to be had now, or a shortage's negative errno. */
static int http_listener_accept(HttpListener *listener) {
        HttpListeners *listeners = listener->listeners;
        Peer peer = { .kind = listener->kind, .address_length = sizeof(peer.address) };
        int r;

        peer.fd = accept4(listener->fd, (struct sockaddr *) &peer.address, &peer.address_length,
                          SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer.fd < 0) {
                if (errno == ECONNABORTED || errno == EINTR)
                        return 1;
                return is_shortage(-errno) ? -errno : 0;
        }
        peer.local = listener->kind == PEER_UNIX || is_loopback(&peer.address);
        listeners->connections[listener->kind]++;
        r = listeners->on_peer(&peer, listeners->userdata);
        return r < 0 ? r : 1;
}

static int http_listener_on_ready(sd_event_source *source, int fd, uint32_t revents,
                                  void *userdata) {
        HttpListener *listener = userdata;
        HttpListeners *listeners = listener->listeners;
        int r = 1;

        (void) source;
        (void) fd;
        (void) revents;
        for (int i = 0; i < ACCEPT_BATCH && r > 0; i++) {
                if (listeners->connections[listener->kind] >= CONNECTIONS_MAX) {
                        http_listeners_update(listeners);
                        return 0;
                }
                r = http_listener_accept(listener);
        }
        if (r < 0)
                http_listeners_pause(listeners, r);
        else if (r == 0)
                listeners->in_shortage = false;
        return 0;
}

void http_listeners_init(HttpListeners *listeners, Runtime *runtime, PeerHandler on_peer,
                         void *userdata) {
        *listeners = (HttpListeners){
                .runtime = runtime,
                .on_peer = on_peer,
                .userdata = userdata,
        };
        timer_init(&listeners->resume_timer, runtime->scheduler, http_listeners_on_resume,
                   listeners);
}

void http_listeners_done(HttpListeners *listeners) {
        timer_disarm(&listeners->resume_timer);
        for (size_t i = 0; i < listeners->n_items; i++)
                http_listener_free(listeners->items[i]);
        free(listeners->items);
        listeners->items = NULL;
        listeners->n_items = 0;
}

/* Checks that fd is a listening stream socket and makes it fit for us. */
static int listener_prepare(int fd, PeerKind *ret_kind) {
        int domain, type, accepts, flags;
        socklen_t length = sizeof(int);
        static const int yes = 1;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &length) < 0)
                return -errno;
        if (type != SOCK_STREAM || !accepts)
                return -EINVAL;
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
            fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return -errno;
        /* Connections inherit it: one system call less for each. */
        if (domain == AF_INET || domain == AF_INET6)
                (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        *ret_kind = domain == AF_UNIX ? PEER_UNIX : PEER_TCP;
        return 0;
}

int http_listeners_add(HttpListeners *listeners, int fd, const char *path) {
        _cleanup_(http_listener_freep) HttpListener *listener = calloc(1, sizeof(HttpListener));
        HttpListener **grown;
        int r;

        if (!listener)
                return -ENOMEM;
        listener->fd = -1;
        listener->listeners = listeners;
        r = listener_prepare(fd, &listener->kind);
        if (r < 0)
                return r;
        grown = reallocarray(listeners->items, listeners->n_items + 1, sizeof(HttpListener *));
        if (!grown)
                return -ENOMEM;
        listeners->items = grown;
        r = sd_event_add_io(listeners->runtime->event, &listener->source, fd, EPOLLIN,
                            http_listener_on_ready, listener);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(listener->source, "http-listener");
        r = path ? string_replace(&listener->path, path) : 0;
        if (r < 0)
                return r;
        listener->fd = fd;
        grown[listeners->n_items++] = TAKE_PTR(listener);
        http_listeners_update(listeners);
        return 0;
}

void http_listeners_release(HttpListeners *listeners, PeerKind kind) {
        bool paused = timer_is_armed(&listeners->resume_timer) ||
                      listeners->connections[kind] == CONNECTIONS_MAX;

        listeners->connections[kind]--;
        timer_disarm(&listeners->resume_timer);
        if (paused)
                http_listeners_update(listeners);
}
