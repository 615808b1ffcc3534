/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The daemon's one connection to systemd, over the system bus. It is made when the first call
 * needs it, never waited for, and made anew when the broker was restarted: at the next call, but
 * not sooner than a back-off says.
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Bus Bus;
typedef struct BusCall BusCall;
typedef struct BusWatch BusWatch;

/* Where systemd and its units are on the bus. */
#define SYSTEMD_PATH              "/org/freedesktop/systemd1"
#define SYSTEMD_UNIT_PATH         SYSTEMD_PATH "/unit"
#define SYSTEMD_MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"

/* Either reply or error (a text for people) is NULL; both are borrowed. */
typedef void (*BusReplyHandler)(sd_bus_message *reply, const char *error, void *userdata);
typedef void (*BusSignalHandler)(sd_bus_message *signal, void *userdata);

/* Embedded in its owner, zeroed before first use; cancelled before the owner goes. */
struct BusCall {
        Bus *bus;
        sd_bus_slot *slot;
        BusReplyHandler on_reply;
        void *userdata;
};

struct BusWatch {
        Bus *bus; /* NULL while not watching */
        BusWatch *next;
        char *match;
        sd_bus_slot *slot;
        BusSignalHandler on_signal;
        void *userdata;
};

/* Does not connect yet; event is kept. Returns 0 or -ENOMEM. */
int bus_new(sd_event *event, Bus **ret);
/* No call and no watch may be left. Accepts NULL, returns NULL. */
Bus *bus_free(Bus *bus);

/*
 * A call to systemd, to be filled in. Connects first if need be, without waiting. Returns 0, or a
 * negative errno with what is wrong for people in *ret_why (NULL if memory is short).
 */
int bus_message_new(Bus *bus, const char *path, const char *interface, const char *member,
                    sd_bus_message **ret, char **ret_why);
/*
 * Sends it. on_reply is called once, never from inside this call. It has no time-out of its own:
 * whoever calls has a deadline and cancels. Returns 0 or a negative errno.
 */
int bus_call_start(BusCall *call, Bus *bus, sd_bus_message *message, BusReplyHandler on_reply,
                   void *userdata);
/* on_reply is not called any more. Does nothing if no call is under way. */
void bus_call_cancel(BusCall *call);
/* Who does not answer, for a call under way: the bus, or systemd. */
const char *bus_call_explain(const BusCall *call);

/*
 * Calls on_signal for every signal that matches (see the match rules of D-Bus), over all
 * reconnections; systemd is told to send them. What happens while there is no connection is not
 * told. Returns 0 or -ENOMEM.
 */
int bus_watch_add(BusWatch *watch, Bus *bus, const char *match, BusSignalHandler on_signal,
                  void *userdata);
void bus_watch_remove(BusWatch *watch);
