/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An IPv4 or IPv6 address, as a look-up finds it or as it is written in digits. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

typedef struct ResolvedAddress {
        union {
                struct sockaddr sa;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        };
        socklen_t length;
} ResolvedAddress;

/* Reads a numeric address ("127.0.0.1", "::1", "[::1]"); false if it is none. Never blocks. */
bool resolver_parse_numeric(const char *host, ResolvedAddress *ret);

void resolved_address_set_port(ResolvedAddress *address, uint16_t port);
/* "127.0.0.1" or "::1", without brackets or port. Returns buffer; INET6_ADDRSTRLEN suffices. */
const char *resolved_address_format(const ResolvedAddress *address, char *buffer, size_t size);
