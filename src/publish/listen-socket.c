/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/listen-socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "io/address.h"

static int explain(char **ret_error, const char *address, int error, const char *advice) {
        (void) string_printf(ret_error, "cannot listen on %s: %s; %s", address, strerror(-error),
                             advice);
        return error;
}

static const char *advice_for(int error) {
        switch (error) {
        case -EADDRINUSE:
                return "choose another with --listen=ADDRESS, or stop what listens there";
        case -EADDRNOTAVAIL:
                return "this host has no such address";
        case -EACCES:
        case -EPERM:
                return "choose a port from 1024 on or a directory you may write to";
        case -ENOENT:
                return "make its directory first";
        default:
                return "choose another with --listen=ADDRESS";
        }
}

static int listen_on(const struct sockaddr *address, socklen_t length, int *ret_fd) {
        _cleanup_close_ int fd = -1;
        static const int yes = 1;

        fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (address->sa_family != AF_UNIX &&
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0)
                return -errno;
        if (bind(fd, address, length) < 0)
                return -errno;
        /* Status is for all local users; nobody can connect before listen(). */
        if (address->sa_family == AF_UNIX &&
            chmod(((const struct sockaddr_un *) address)->sun_path, 0666) < 0)
                return -errno;
        if (listen(fd, SOMAXCONN) < 0)
                return -errno;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Removes a socket that nothing listens on any more; leaves everything else alone. */
static int remove_stale_socket(const struct sockaddr_un *address) {
        _cleanup_close_ int fd = -1;
        struct stat status;

        if (lstat(address->sun_path, &status) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISSOCK(status.st_mode))
                return -EEXIST;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *) address, sizeof(*address)) >= 0 ||
            errno != ECONNREFUSED)
                return -EADDRINUSE;
        return unlink(address->sun_path) < 0 ? -errno : 0;
}

static int listen_on_path(const char *text, const char *path, int *ret_fd, char **ret_error) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int r;

        memcpy(address.sun_path, path, strlen(path) + 1); /* address_parse() checked the length */
        r = remove_stale_socket(&address);
        if (r == -EEXIST)
                return explain(ret_error, text, r, "it is no socket; choose another path");
        if (r >= 0)
                r = listen_on((const struct sockaddr *) &address, sizeof(address), ret_fd);
        return r < 0 ? explain(ret_error, text, r, advice_for(r)) : 0;
}

static int listen_on_host(const char *text, const Address *address, int *ret_fd, char **ret_error) {
        struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE,
                                  .ai_socktype = SOCK_STREAM };
        bool local = string_equal(address->host, "localhost");
        struct addrinfo *found = NULL;
        in_port_t port = htons(address->port);
        int r;

        if (getaddrinfo(local ? "127.0.0.1" : address->host, NULL, &hints, &found) != 0)
                return explain(ret_error, text, -EINVAL,
                               "write the host as a number (127.0.0.1, [::1]) or localhost");
        if (found->ai_family == AF_INET6)
                ((struct sockaddr_in6 *) (void *) found->ai_addr)->sin6_port = port;
        else
                ((struct sockaddr_in *) (void *) found->ai_addr)->sin_port = port;
        r = listen_on(found->ai_addr, found->ai_addrlen, ret_fd);
        freeaddrinfo(found);
        return r < 0 ? explain(ret_error, text, r, advice_for(r)) : 0;
}

int listen_socket_open(const char *text, int *ret_fd, char **ret_path, char **ret_error) {
        _cleanup_(address_done) Address address = {};
        int r;

        *ret_error = NULL;
        r = address_parse(text, 0, &address);
        if (r < 0)
                return explain(ret_error, text, r,
                               "write HOST:PORT, [IPV6]:PORT or an absolute path");
        if (address.path)
                r = listen_on_path(text, address.path, ret_fd, ret_error);
        else
                r = listen_on_host(text, &address, ret_fd, ret_error);
        if (r < 0)
                return r;
        *ret_path = TAKE_PTR(address.path);
        return 0;
}
