/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/resolved-address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

bool resolver_parse_numeric(const char *host, ResolvedAddress *ret) {
        char text[INET6_ADDRSTRLEN + IF_NAMESIZE];
        ResolvedAddress address = {};
        size_t length = strlen(host);
        char *zone;

        if (*host == '[' && host[length - 1] == ']') {
                host++;
                length -= 2;
        }
        if (length >= sizeof(text))
                return false;
        memcpy(text, host, length);
        text[length] = '\0';
        if (inet_pton(AF_INET, text, &address.in.sin_addr) == 1) {
                address.in.sin_family = AF_INET;
                address.length = sizeof(address.in);
                *ret = address;
                return true;
        }
        zone = strchr(text, '%');
        if (zone) {
                *zone = '\0';
                address.in6.sin6_scope_id = if_nametoindex(zone + 1);
        }
        if (inet_pton(AF_INET6, text, &address.in6.sin6_addr) != 1 ||
            (zone && address.in6.sin6_scope_id == 0))
                return false;
        address.in6.sin6_family = AF_INET6;
        address.length = sizeof(address.in6);
        *ret = address;
        return true;
}

void resolved_address_set_port(ResolvedAddress *address, uint16_t port) {
        /* The port is at the same place for both families. */
        address->in.sin_port = htons(port);
}

const char *resolved_address_format(const ResolvedAddress *address, char *buffer, size_t size) {
        const void *bytes = address->sa.sa_family == AF_INET6
                                            ? (const void *) &address->in6.sin6_addr
                                            : (const void *) &address->in.sin_addr;

        if (!inet_ntop(address->sa.sa_family, bytes, buffer, (socklen_t) size))
                (void) snprintf(buffer, size, "?");
        return buffer;
}
