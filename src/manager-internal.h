/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the manager share, and nobody else sees. */

#include "manager.h"
#include "publish/alerts.h"
#include "publish/control-desk.h"
#include "publish/guard-feed.h"
#include "publish/guards.h"
#include "publish/http-server.h"
#include "publish/journal.h"
#include "publish/memory.h"
#include "publish/notify.h"
#include "publish/service-status.h"
#include "publish/textfile.h"
#include "publish/watchdog.h"

struct Manager {
        const ManagerOptions *options;
        Runtime *runtime;
        HealthView view;
        Memory *memory;
        ServiceStatus status;
        Journal *journal;
        Notify *notify;
        Watchdog *watchdog;
        Guards *guards;
        Textfile *textfile;
        Alerts *alerts; /* NULL for a wrapped program: the host's own healthd tells */
        GuardFeed *guard_feed;
        HttpServer *server;
        ControlDesk desk;
        sd_event_source *signals[3];
        sd_event_source *wrapped_source; /* the end of the program we speak for */
        sd_event_source *abort_source;   /* while systemd's watchdog is going to abort us */
        bool aborted;
        Timer drain_timer;
        Timer trim_timer;
};

/* Where the one call up ends: every check's observer, with the manager as userdata. */
void manager_on_report(Check *check, const CheckChanges *changes, void *userdata);

/*
 * Reads the configuration and puts it into force for the first time; mistakes in it are logged.
 * Returns 0, -ENOENT (*ret_error, which may be NULL, says what is missing), or another errno.
 */
int manager_load(Manager *manager, char **ret_error);

/*
 * Reads it anew and puts all of it into force, or nothing; says in the journal which.
 * Returns 0, -EINVAL if the configuration has mistakes, or another negative errno.
 */
int manager_reload(Manager *manager);
