/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Does what an administrator asks for over the unix socket, and ends silences in time. */

#include "publish/control.h"
#include "publish/journal.h"
#include "publish/memory.h"
#include "report/health-json.h"

/* Embedded in its owner; everything is borrowed. */
typedef struct Operator {
        HealthView *view;
        Memory *memory;
        Journal *journal;
        /* Returns the number of checks, or -EINVAL if the configuration has mistakes. */
        int (*reload)(void *userdata);
        void *userdata;
        Timer silence_timer; /* armed while there are silences */
} Operator;

/* The fields but the timer are set. Shows the silences in the view and watches their end. */
void operator_start(Operator *operator, Runtime * runtime);
void operator_done(Operator *operator);

/* A ControlHandler; userdata: the operator. */
int operator_handle(const ControlRequest *request, ControlReply *ret, void *userdata);
