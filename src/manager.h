/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Owns the loop, the checks and everything that publishes; brings them up, reloads them, ends them.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/string-util.h"

typedef struct Manager Manager;

typedef struct ManagerOptions {
        StringList directories; /* where the configuration is searched, first wins */
        bool instance;          /* a monitor of one service: healthd@.service */
        StringList listen;      /* addresses to serve on besides the sockets systemd passed */
        StringList checks;      /* the only ones to run; NULL: all */
        pid_t wrapped_pid;      /* the main process of the unit to speak for, 0: our own unit */
} ManagerOptions;

/*
 * Sets everything up: reads the configuration, takes the sockets over, schedules the checks.
 * SIGTERM, SIGINT and SIGHUP must be blocked. options are borrowed and outlive the manager.
 * A failure is explained in *ret_error (may be NULL). Returns 0 or a negative errno.
 */
int manager_new(const ManagerOptions *options, Manager **ret, char **ret_error);
Manager *manager_free(Manager *manager);
DEFINE_CLEANUP(Manager, manager_free)

/*
 * Turns the loop until SIGTERM or SIGINT. Returns 0, 1 if systemd's watchdog sent SIGABRT, which
 * the caller then owes it, or a negative errno.
 */
int manager_run(Manager *manager);
