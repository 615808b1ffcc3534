/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The service manager's notification socket, without ever waiting for it: sd_notify() blocks when
 * the socket's queue is full. Not messages are queued but the state: what could not be sent is
 * sent as one datagram later, with the newest STATUS= and nothing lost.
 */

#include <stdint.h>

#include "io/scheduler.h"

typedef struct Notify Notify;

/* Takes NOTIFY_SOCKET out of the environment, so that no child speaks for us. */
int notify_new(Scheduler *scheduler, Notify **ret);
Notify *notify_free(Notify *notify);

/* READY=1: the start, or the reload begun by notify_reloading(), is complete. */
void notify_ready(Notify *notify);
void notify_reloading(Notify *notify, uint64_t now_usec);
void notify_stopping(Notify *notify);
/* The line of `systemctl status`; under 3 KiB, or systemd drops the datagram. */
void notify_status(Notify *notify, const char *line);
void notify_watchdog(Notify *notify);
/*
 * Gives the service manager a descriptor to keep under a name, then has it forget another name.
 * The descriptor is borrowed until the next call of this or notify_free(): a copy for the time
 * until it is sent could not be made where descriptors are short, and systemd would keep nothing.
 */
void notify_replace_fd(Notify *notify, int fd, const char *name, const char *forget);
/* Before READY=1: the start may take this much longer from now on. */
void notify_extend_timeout(Notify *notify, uint64_t usec);
