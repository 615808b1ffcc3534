/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Opens a listening socket of our own, where systemd passed none. */

/*
 * Binds and listens on "host:port", "[::1]:port" (numeric hosts, and localhost as 127.0.0.1) or
 * "/path" (mode 0666). A socket that was left behind at the path is replaced, one in use is not.
 * *ret_path is the path to remove in the end, NULL for TCP. On failure *ret_error says what to do
 * next, to a new string that may be NULL. Returns 0 or a negative errno.
 */
int listen_socket_open(const char *address, int *ret_fd, char **ret_path, char **ret_error);
