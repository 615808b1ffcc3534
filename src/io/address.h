/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* "host:port", "[::1]:port", "host" or "/path", as Address= and --listen= take them. */

#include <stdbool.h>
#include <stdint.h>

typedef struct Address {
        char *path; /* of a unix socket, else NULL */
        char *host; /* without brackets, else NULL */
        uint16_t port;
} Address;

/* default_port 0: a port is required. Returns 0, -EINVAL or -ENOMEM. */
int address_parse(const char *text, uint16_t default_port, Address *ret);
void address_done(Address *address);

/*
 * Whether a host is this one, as far as can be told without a look-up: its name, "localhost", or
 * a number that is an address of an interface here.
 */
bool host_is_here(const char *host);
