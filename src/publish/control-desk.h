/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Does what an administrator asks for over the unix socket, and ends silences in time. */

#include "publish/alerts.h"
#include "publish/control.h"
#include "publish/journal.h"
#include "publish/memory.h"
#include "report/health-json.h"

/* Embedded in its owner; everything is borrowed. */
typedef struct ControlDesk {
        HealthView *view;
        Memory *memory;
        Alerts *alerts; /* NULL: none are sent */
        Journal *journal;
        /* Returns the number of checks, or -EINVAL if the configuration has mistakes. */
        int (*reload)(void *userdata);
        void *userdata;
        Timer silence_timer; /* armed while there are silences */
} ControlDesk;

/* The fields but the timer are set. Shows the silences in the view and watches their end. */
void control_desk_start(ControlDesk *desk, Runtime *runtime);
/* The clock was set, or the machine slept: ends the silences that are over by now. */
void control_desk_look(ControlDesk *desk);
void control_desk_done(ControlDesk *desk);

/* A ControlHandler; userdata: the desk. */
int control_desk_handle(const ControlRequest *request, ControlReply *ret, void *userdata);
