/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the service manager is told of us: READY=1 when the time has come, and the line of
 * `systemctl status`, at most once a second. Also gives the restart budget back in a healthy phase.
 */

#include "publish/journal.h"
#include "publish/memory.h"
#include "publish/notify.h"
#include "report/health-json.h"

/* When READY=1 is sent. */
typedef enum ReadyWhen {
        READY_WHEN_CHECKED, /* every check has had a result */
        READY_WHEN_STARTED, /* at once */
        READY_WHEN_HEALTHY, /* the host is not unhealthy */
        READY_WHEN_PASSED,  /* every check passes: what a wrapped program waits for */
} ReadyWhen;

/* Embedded in its owner, who sets the first part; everything is borrowed. */
typedef struct ServiceStatus {
        HealthView *view;
        Notify *notify;
        Journal *journal;
        Memory *memory;
        ReadyWhen ready_when;
        RateLimit restart_limit;
        bool refused; /* the last reload, which changed nothing */

        bool ready; /* READY=1 was sent */
        Timer timer;
        uint64_t told_usec;
} ServiceStatus;

void service_status_init(ServiceStatus *status, Scheduler *scheduler);
void service_status_done(ServiceStatus *status);

/* Tells it now. */
void service_status_tell(ServiceStatus *status);
/* Something may have changed: tells it soon, but not after each of a thousand results. */
void service_status_touch(ServiceStatus *status);
/* Whether the watchdog is fed whatever the checks say, because restarts did not help. */
bool service_status_budget_is_spent(const ServiceStatus *status, uint64_t now_usec);
