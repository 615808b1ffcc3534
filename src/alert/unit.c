/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=unit: has systemd start a unit. Of a template ("page@.service") the instance named after the
 * check. healthd is not root: who may start what is polkit's to say.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alert/alert.h"
#include "base/cleanup.h"
#include "io/bus.h"

typedef struct UnitAlert {
        char *unit;
        char *resolved_unit; /* NULL: a recovery starts nothing */
        BusCall call;
        char *started; /* the unit of the call under way */
        Timer timer;   /* for what is delivered without any call */
        AlertHandler on_done;
        void *userdata;
} UnitAlert;

static const ConfigKey unit_keys[] = {
        { "Unit", config_parse_string, offsetof(UnitAlert, unit) },
        { "ResolvedUnit", config_parse_string, offsetof(UnitAlert, resolved_unit) },
        {},
};

static bool is_unit_name(const char *name) {
        const char *dot = strrchr(name, '.');

        return dot && dot > name && dot[1] && strlen(name) < 256 &&
               !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789:-_.\\@")];
}

static int unit_prepare(void *instance, TypeSetup *setup) {
        UnitAlert *alert = instance;

        if (!alert->unit)
                return type_setup_refuse(setup, NULL,
                                         "Unit= is missing in [Unit]; write for example "
                                         "Unit=page-me@.service");
        if (!is_unit_name(alert->unit))
                return type_setup_refuse(setup, "Unit",
                                         "Unit= is the name of a unit with its ending, such as "
                                         "page-me.service");
        if (alert->resolved_unit && !is_unit_name(alert->resolved_unit))
                return type_setup_refuse(setup, "ResolvedUnit",
                                         "ResolvedUnit= is the name of a unit with its ending, "
                                         "such as all-clear.service");
        return 0;
}

static size_t unit_events_max(const void *instance) {
        (void) instance;
        return 1;
}

/* "page@.service" and "redis-main": "page@redis\x2dmain.service", as systemd-escape has it. */
static int unit_name(const char *name, const char *check, char **ret) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        const char *at = strstr(name, "@.");

        if (!at)
                return string_replace(ret, name);
        text_buffer_add(&text, name, (size_t) (at + 1 - name));
        for (const char *c = check; *c; c++)
                if (isalnum((unsigned char) *c) || strchr(":_", *c) || (*c == '.' && c > check))
                        text_buffer_add(&text, c, 1);
                else
                        text_buffer_printf(&text, "\\x%02x", (unsigned char) *c);
        text_buffer_add_string(&text, at + 1);
        return text_buffer_finish(&text, ret, NULL);
}

static void unit_on_reply(sd_bus_message *reply, const char *error, void *userdata) {
        _cleanup_free_ char *detail = NULL, *started = NULL;
        bool needs_rule = error &&
                          (strcasestr(error, "authentication") || strcasestr(error, "denied"));
        UnitAlert *alert = userdata;

        (void) reply;
        started = TAKE_PTR(alert->started);
        (void) string_printf(&detail, "starting %s: %s%s", started, error ? error : "done",
                             needs_rule ? " (a polkit rule must let the user healthd start it: see "
                                          "healthd.alert(5))"
                                        : "");
        alert->on_done(!error, detail ? detail : "out of memory", alert->userdata);
}

static void unit_on_timer(Timer *timer, void *userdata) {
        UnitAlert *alert = userdata;

        (void) timer;
        alert->on_done(true, "a recovery starts no unit, because ResolvedUnit= is not set",
                       alert->userdata);
}

static int unit_call(UnitAlert *alert, Runtime *runtime, char **ret_why) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        Bus *bus;
        int r;

        r = runtime_bus(runtime, &bus);
        if (r >= 0)
                r = bus_message_new(bus, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE, "StartUnit",
                                    &message, ret_why);
        if (r >= 0)
                r = sd_bus_message_append(message, "ss", alert->started, "replace");
        return r < 0 ? r : bus_call_start(&alert->call, bus, message, unit_on_reply, alert);
}

static int unit_start(void *instance, Runtime *runtime, const AlertMessage *message,
                      AlertHandler on_done, void *userdata, char **ret_why) {
        const AlertEvent *event = &message->events[0];
        UnitAlert *alert = instance;
        int r;

        alert->on_done = on_done;
        alert->userdata = userdata;
        if (event->resolved && !alert->resolved_unit) {
                timer_init(&alert->timer, runtime->scheduler, unit_on_timer, alert);
                return timer_arm_after(&alert->timer, 0);
        }
        r = unit_name(event->resolved ? alert->resolved_unit : alert->unit, event->check,
                      &alert->started);
        if (r >= 0)
                r = unit_call(alert, runtime, ret_why);
        if (r < 0)
                free(TAKE_PTR(alert->started));
        return r;
}

static char *unit_cancel(void *instance) {
        UnitAlert *alert = instance;
        char *text = NULL;

        if (alert->timer.scheduler)
                timer_disarm(&alert->timer);
        if (alert->started)
                (void) string_printf(&text, "starting %s: no answer from %s", alert->started,
                                     bus_call_explain(&alert->call));
        bus_call_cancel(&alert->call);
        free(TAKE_PTR(alert->started));
        return text;
}

static void unit_done(void *instance) {
        UnitAlert *alert = instance;

        free(alert->unit);
        free(alert->resolved_unit);
}

const AlertType unit_alert = {
        .name = "unit",
        .section = "Unit",
        .instance_size = sizeof(UnitAlert),
        .keys = unit_keys,
        .prepare = unit_prepare,
        .events_max = unit_events_max,
        .start = unit_start,
        .cancel = unit_cancel,
        .done = unit_done,
};
