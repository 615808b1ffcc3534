/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/bus.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"

#define SYSTEMD_NAME      "org.freedesktop.systemd1"
#define DEFAULT_ADDRESS   "unix:path=/run/dbus/system_bus_socket"
#define LOCAL_NAME        "org.freedesktop.DBus.Local"
#define LOCAL_PATH        "/org/freedesktop/DBus/Local"
#define WAIT_MIN_USEC     (100 * USEC_PER_MSEC)
#define WAIT_MAX_USEC     (5 * USEC_PER_SEC)
/* Of what nobody waits for: Subscribe and AddMatch. */
#define CALL_TIMEOUT_USEC (5 * USEC_PER_SEC)
/* Calls given up since anything was heard, after which the connection is made anew. */
#define UNANSWERED_MAX    16

struct Bus {
        sd_event *event;
        char *address;
        sd_bus *connection;
        bool lost;      /* it has ended, and all of its calls were told */
        bool connected; /* the broker said hello */
        sd_bus_slot *subscribe_slot;
        bool subscribed;
        uint64_t wait_usec, next_usec; /* before the next attempt to connect; when that may be */
        char *why;                     /* the last connection failed or ended; NULL: it did not */
        unsigned n_unanswered;
        BusWatch *watches;
};

/* The address as people know it. */
static const char *bus_place(const Bus *bus) {
        const char *path = string_after_prefix(bus->address, "unix:path=");

        return path ? path : bus->address;
}

static void bus_drop(Bus *bus) {
        for (BusWatch *watch = bus->watches; watch; watch = watch->next)
                watch->slot = sd_bus_slot_unref(watch->slot);
        bus->subscribe_slot = sd_bus_slot_unref(bus->subscribe_slot);
        if (bus->connection)
                sd_bus_close(bus->connection);
        bus->connection = sd_bus_unref(bus->connection);
        bus->lost = false;
        bus->connected = false;
        bus->subscribed = false;
        bus->n_unanswered = 0;
}

Bus *bus_free(Bus *bus) {
        if (!bus)
                return NULL;
        assert(!bus->watches);
        bus_drop(bus);
        sd_event_unref(bus->event);
        free(bus->address);
        free(bus->why);
        free(bus);
        return NULL;
}
DEFINE_CLEANUP(Bus, bus_free)

int bus_new(sd_event *event, Bus **ret) {
        _cleanup_(bus_freep) Bus *bus = calloc(1, sizeof(Bus));
        const char *address = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");

        if (!bus)
                return -ENOMEM;
        bus->event = sd_event_ref(event);
        bus->wait_usec = WAIT_MIN_USEC;
        bus->address = strdup(string_is_empty(address) ? DEFAULT_ADDRESS : address);
        if (!bus->address)
                return -ENOMEM;
        *ret = TAKE_PTR(bus);
        return 0;
}

static int bus_on_connected(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Bus *bus = userdata;

        (void) message;
        (void) error;
        bus->connected = true;
        bus->wait_usec = WAIT_MIN_USEC;
        (void) string_replace(&bus->why, NULL);
        return 0;
}

static int bus_on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Bus *bus = userdata;

        (void) message;
        (void) error;
        bus->lost = true;
        (void) string_printf(&bus->why,
                             "the system bus at %s ended the connection: was dbus "
                             "restarted?",
                             bus_place(bus));
        return 0;
}

static int bus_on_subscribed(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Bus *bus = userdata;

        (void) error;
        /* Refused, for instance because systemd is not back on the bus: the next call retries. */
        bus->subscribed = !sd_bus_message_is_method_error(reply, NULL);
        bus->subscribe_slot = sd_bus_slot_unref(bus->subscribe_slot);
        return 0;
}

static int systemd_call_new(sd_bus *connection, const char *path, const char *interface,
                            const char *member, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        r = sd_bus_message_new_method_call(connection, &message, SYSTEMD_NAME, path, interface,
                                           member);
        if (r < 0)
                return r;
        /* Where systemd is not, the broker must not try to start one. */
        r = sd_bus_message_set_auto_start(message, false);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(message);
        return 0;
}

/* Without this systemd sends no signals. */
static int bus_subscribe(Bus *bus) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        if (!bus->watches || bus->subscribed || bus->subscribe_slot)
                return 0;
        r = systemd_call_new(bus->connection, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE, "Subscribe",
                             &message);
        if (r < 0)
                return r;
        return sd_bus_call_async(bus->connection, &bus->subscribe_slot, message, bus_on_subscribed,
                                 bus, CALL_TIMEOUT_USEC);
}

static int bus_on_signal(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        BusWatch *watch = userdata;

        (void) error;
        watch->bus->n_unanswered = 0;
        watch->on_signal(signal, watch->userdata);
        return 0;
}

static int bus_on_watching(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        /* Past a limit of the broker, say: changes are then seen at the interval, no sooner.
         * Without this handler sd-bus would end the connection. */
        (void) reply;
        (void) userdata;
        (void) error;
        return 0;
}

static int bus_install_watch(Bus *bus, BusWatch *watch) {
        return sd_bus_add_match_async(bus->connection, &watch->slot, watch->match, bus_on_signal,
                                      bus_on_watching, watch);
}

/* Begins to connect: nothing here waits for the broker. */
static int bus_open(Bus *bus) {
        _cleanup_(sd_bus_unrefp) sd_bus *connection = NULL;
        int r;

        r = sd_bus_new(&connection);
        if (r < 0)
                return r;
        if ((r = sd_bus_set_address(connection, bus->address)) < 0 ||
            (r = sd_bus_set_bus_client(connection, true)) < 0 ||
            (r = sd_bus_set_connected_signal(connection, true)) < 0 ||
            (r = sd_bus_set_method_call_timeout(connection, CALL_TIMEOUT_USEC)) < 0 ||
            /* Flushing at the end of the loop waits for a broker that may hang. */
            (r = sd_bus_set_close_on_exit(connection, false)) < 0 ||
            (r = sd_bus_start(connection)) < 0 ||
            (r = sd_bus_attach_event(connection, bus->event, SD_EVENT_PRIORITY_NORMAL)) < 0 ||
            (r = sd_bus_match_signal(connection, NULL, LOCAL_NAME, LOCAL_PATH, LOCAL_NAME,
                                     "Connected", bus_on_connected, bus)) < 0 ||
            (r = sd_bus_match_signal(connection, NULL, LOCAL_NAME, LOCAL_PATH, LOCAL_NAME,
                                     "Disconnected", bus_on_disconnected, bus)) < 0) {
                sd_bus_close(connection);
                return r;
        }
        bus->connection = TAKE_PTR(connection);
        for (BusWatch *watch = bus->watches; watch; watch = watch->next) {
                r = bus_install_watch(bus, watch);
                if (r < 0) {
                        bus_drop(bus);
                        return r;
                }
        }
        return 0;
}

/* One attempt; bus->why says why it failed. */
static int bus_try(Bus *bus) {
        int r;

        /* sd-bus would look up the host of a tcp: address, and wait for it. */
        if (!string_after_prefix(bus->address, "unix:") || strchr(bus->address, ';')) {
                (void) string_printf(&bus->why,
                                     "DBUS_SYSTEM_BUS_ADDRESS=%s: not a single unix: address; "
                                     "write one, or unset it",
                                     bus->address);
                return -EPROTONOSUPPORT;
        }
        r = bus_open(bus);
        if (r == -ENOENT || r == -ECONNREFUSED)
                (void) string_printf(&bus->why,
                                     "no system bus at %s: are systemd and dbus running?",
                                     bus_place(bus));
        else if (r < 0)
                (void) string_printf(&bus->why, "connecting to the system bus at %s: %s",
                                     bus_place(bus), strerror(-r));
        return r;
}

static int bus_connect(Bus *bus, char **ret_why) {
        uint64_t now_usec = now_monotonic_usec();
        int r = -ENOTCONN;

        if (bus->connection && !bus->lost && sd_bus_is_open(bus->connection) > 0)
                return 0;
        /* One that has ended is kept until all of its calls were told. */
        if ((!bus->connection || bus->lost) && now_usec >= bus->next_usec) {
                bus_drop(bus);
                bus->next_usec = now_usec + bus->wait_usec;
                bus->wait_usec *= 2;
                if (bus->wait_usec > WAIT_MAX_USEC)
                        bus->wait_usec = WAIT_MAX_USEC;
                r = bus_try(bus);
        }
        if (r < 0)
                (void) string_replace(ret_why, bus->why);
        return r;
}

int bus_message_new(Bus *bus, const char *path, const char *interface, const char *member,
                    sd_bus_message **ret, char **ret_why) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        r = bus_connect(bus, ret_why);
        if (r < 0)
                return r;
        r = bus_subscribe(bus);
        if (r >= 0)
                r = systemd_call_new(bus->connection, path, interface, member, &message);
        if (r < 0) {
                (void) string_printf(ret_why, "calling systemd's %s: %s", member, strerror(-r));
                return r;
        }
        *ret = TAKE_PTR(message);
        return 0;
}

/* What systemd, the broker, or sd-bus itself said instead of an answer. */
static char *bus_explain_error(const Bus *bus, const sd_bus_error *error) {
        char *text = NULL;

        if (bus->connection && sd_bus_is_open(bus->connection) <= 0)
                (void) string_printf(&text,
                                     "the system bus at %s ended the connection: was dbus "
                                     "restarted?",
                                     bus_place(bus));
        else if (sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN,
                                        SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                (void) string_printf(&text,
                                     "systemd is not on the system bus at %s: is it this host's "
                                     "init?",
                                     bus_place(bus));
        else
                (void) string_printf(&text, "systemd refused: %s (%s)",
                                     error->message ? error->message : "", error->name);
        return text;
}

static int bus_call_on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusCall *call = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        _cleanup_free_ char *text = NULL;

        (void) ret_error;
        call->slot = sd_bus_slot_unref(call->slot);
        call->bus->n_unanswered = 0;
        if (!error) {
                call->on_reply(reply, NULL, call->userdata);
                return 0;
        }
        text = bus_explain_error(call->bus, error);
        call->on_reply(NULL, text ? text : "out of memory", call->userdata);
        return 0;
}

int bus_call_start(BusCall *call, Bus *bus, sd_bus_message *message, BusReplyHandler on_reply,
                   void *userdata) {
        assert(!call->slot);
        *call = (BusCall){ .bus = bus, .on_reply = on_reply, .userdata = userdata };
        return sd_bus_call_async(bus->connection, &call->slot, message, bus_call_on_reply, call,
                                 UINT64_MAX);
}

void bus_call_cancel(BusCall *call) {
        Bus *bus = call->bus;

        if (!call->slot)
                return;
        call->slot = sd_bus_slot_unref(call->slot);
        if (++bus->n_unanswered < UNANSWERED_MAX || bus->lost)
                return;
        /* What waits to be sent would pile up. sd-bus sees the end, and tells all other calls. */
        (void) shutdown(sd_bus_get_fd(bus->connection), SHUT_RDWR);
}

const char *bus_call_explain(const BusCall *call) {
        return call->bus->connected ? "systemd did not answer over the system bus"
                                    : "the system bus did not answer: does dbus hang?";
}

int bus_watch_add(BusWatch *watch, Bus *bus, const char *match, BusSignalHandler on_signal,
                  void *userdata) {
        assert(!watch->bus);
        *watch = (BusWatch){ .bus = bus, .on_signal = on_signal, .userdata = userdata };
        watch->match = strdup(match);
        if (!watch->match)
                return -ENOMEM;
        watch->next = bus->watches;
        bus->watches = watch;
        /* One that cannot be put on an open connection is on the next one. */
        if (bus->connection && sd_bus_is_open(bus->connection) > 0)
                (void) bus_install_watch(bus, watch);
        return 0;
}

void bus_watch_remove(BusWatch *watch) {
        if (!watch->bus)
                return;
        for (BusWatch **link = &watch->bus->watches; *link; link = &(*link)->next)
                if (*link == watch) {
                        *link = watch->next;
                        break;
                }
        sd_bus_slot_unref(watch->slot);
        free(watch->match);
        *watch = (BusWatch){};
}
