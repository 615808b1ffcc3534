/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tells people: keeps the queue of what is to be told, and hands it to the sinks, each at its own
 * pace. A sink that hangs or refuses is tried again and again, later and later, and holds up no
 * other.
 */

#include "alert/alert-settings.h"
#include "publish/journal.h"
#include "publish/memory.h"
#include "report/health-json.h"

typedef struct Alerts Alerts;

/* Everything is borrowed. Returns 0 or a negative errno. */
int alerts_new(Runtime *runtime, const HealthView *view, Journal *journal, Memory *memory,
               Alerts **ret);
/* Cancels what is under way: it is sent anew after the start. Accepts NULL, returns NULL. */
Alerts *alerts_free(Alerts *alerts);

/*
 * Makes what the configuration is to be; takes the settings over that are new or have changed, and
 * leaves those of the others. Before the checks of the view change. Returns 0 or -ENOMEM; then all
 * is as it was.
 */
int alerts_prepare(Alerts *alerts, AlertSettings *settings, size_t n_settings);
/* After they did. */
void alerts_bind(Alerts *alerts);

/* After a result of a check that changed something. */
void alerts_note(Alerts *alerts, const Check *check);

/*
 * Has a test message sent. Returns its number, which the listing shows with what came of it;
 * -ENOENT if there is no such alert, -EINVAL if its file is broken.
 */
int alerts_test(Alerts *alerts, const char *name, uint32_t *ret_id);
/* The alert whose name is nearest; NULL if none is near. Borrowed. */
const char *alerts_nearest(const Alerts *alerts, const char *name);

/* How every alert fares, as JSON to a new string. Returns 0 or -ENOMEM. */
int alerts_render(const Alerts *alerts, char **ret_text, size_t *ret_length);
