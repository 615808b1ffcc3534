/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is said about slots of the queue: the words come from the checks as they are now. */

#include "alert/alert.h"
#include "publish/alert-queue.h"
#include "report/health-json.h"

/* Where events come from. */
typedef struct AlertScene {
        const HealthView *view;
        const char *host;
        uint64_t realtime_usec;
} AlertScene;

/* The check a slot is about; NULL if there is none of that name any more. */
const Check *alert_slot_check(const HealthView *view, const AlertSlot *slot);

/* Adds an event about a slot. Returns 0 or -ENOMEM. */
int alert_message_add(AlertMessage *message, const AlertScene *scene, const AlertSlot *slot);
/* Adds one about nothing, for a test. Returns 0 or -ENOMEM. */
int alert_message_add_test(AlertMessage *message, const AlertScene *scene);
