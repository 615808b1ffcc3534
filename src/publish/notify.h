/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The service manager's notification socket, without ever waiting for it: sd_notify() blocks when
 * the socket's queue is full. What does not go out at once is kept and sent again.
 */

#include <stdbool.h>

#include "io/scheduler.h"

typedef struct Notify Notify;

/* Takes NOTIFY_SOCKET out of the environment, so that no child speaks for us. */
int notify_new(Scheduler *scheduler, Notify **ret);
Notify *notify_free(Notify *notify);

/* Whether there is a service manager listening at all. */
bool notify_is_connected(const Notify *notify);

/* Sends assignments ("READY=1\nSTATUS=..."), under 4096 bytes or systemd drops them whole. */
void notify_send(Notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));
