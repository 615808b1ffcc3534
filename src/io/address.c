/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "io/resolved-address.h"

void address_done(Address *address) {
        free(address->path);
        free(address->host);
        *address = (Address){};
}

static int port_parse(const char *text, uint16_t *ret) {
        unsigned long port = 0;

        if (!isdigit((unsigned char) *text))
                return -EINVAL;
        for (; isdigit((unsigned char) *text); text++) {
                port = port * 10 + (unsigned long) (*text - '0');
                if (port > 65535)
                        return -EINVAL;
        }
        if (*text || port == 0)
                return -EINVAL;
        *ret = (uint16_t) port;
        return 0;
}

/* What names of hosts and of interfaces are made of. Underscores do occur. */
static bool name_is_valid(const char *name) {
        return *name && name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789.-_")] == '\0';
}

/* A name, or a numeric address, with its interface perhaps, when there are colons in it. */
static bool host_is_valid(const char *host) {
        char numeric[INET6_ADDRSTRLEN];
        struct in6_addr address;
        size_t length;

        if (!strchr(host, ':'))
                return name_is_valid(host);
        length = strcspn(host, "%");
        if (length >= sizeof(numeric) || (host[length] && !name_is_valid(host + length + 1)))
                return false;
        memcpy(numeric, host, length);
        numeric[length] = '\0';
        return inet_pton(AF_INET6, numeric, &address) == 1;
}

int address_parse(const char *text, uint16_t default_port, Address *ret) {
        const char *host = text, *colon, *port = NULL;
        _cleanup_(address_done) Address address = { .port = default_port };
        size_t length;
        int r;

        if (*text == '/') {
                if (strlen(text) >= sizeof(((struct sockaddr_un *) NULL)->sun_path))
                        return -EINVAL;
                address.path = strdup(text);
                if (!address.path)
                        return -ENOMEM;
                *ret = address;
                address = (Address){};
                return 0;
        }
        if (*text == '[') {
                const char *end = strchr(text, ']');
                if (!end || (end[1] && end[1] != ':'))
                        return -EINVAL;
                host = text + 1;
                length = (size_t) (end - host);
                port = end[1] ? end + 2 : NULL;
        } else {
                colon = strrchr(text, ':');
                /* "::1" without brackets is an address with no port. */
                if (colon && strchr(text, ':') == colon)
                        port = colon + 1;
                length = port ? (size_t) (colon - text) : strlen(text);
        }
        if (length == 0 || length > 253 || (!port && default_port == 0))
                return -EINVAL;
        if (port) {
                r = port_parse(port, &address.port);
                if (r < 0)
                        return r;
        }
        address.host = strndup(host, length);
        if (!address.host)
                return -ENOMEM;
        if (!host_is_valid(address.host))
                return -EINVAL;
        *ret = address;
        address = (Address){};
        return 0;
}

/* An address can be bound only where it is one. */
static bool number_is_here(const ResolvedAddress *address) {
        _cleanup_close_ int fd = socket(address->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        return fd >= 0 && bind(fd, &address->sa, address->length) >= 0;
}

bool host_is_here(const char *host) {
        char name[HOST_NAME_MAX + 1] = {};
        ResolvedAddress address;
        const char *rest;

        if (resolver_parse_numeric(host, &address))
                return number_is_here(&address);
        if (strcasecmp(host, "localhost") == 0 || gethostname(name, sizeof(name) - 1) < 0)
                return true;
        name[strcspn(name, ".")] = '\0';
        rest = strncasecmp(host, name, strlen(name)) == 0 ? host + strlen(name) : "x";
        return !*rest || *rest == '.';
}
