/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* adopt, abandon: as root, whether healthd's guard may act on a unit. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>

#include "base/file-util.h"
#include "base/unit-name.h"
#include "healthctl/healthctl.h"
#include "publish/guard-call.h"
#include "publish/guarded-unit.h"

#define SYSTEMD      "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"

static const char drop_in_text[] =
                "# Written by \"healthctl adopt\"; \"healthctl abandon\" removes it.\n"
                "# Lets healthd have this unit's watchdog fire: see healthd-guard(8).\n"
                "[Service]\n"
                "NotifyAccess=%s\n"
                "X-HealthdGuard=yes\n";

/* One unit and no other, and no other verb: not even healthd's own user may start or stop it. */
static const char rule_text[] =
                "// Written by \"healthctl adopt --restart\"; \"healthctl abandon\" removes it.\n"
                "polkit.addRule(function(action, subject) {\n"
                "        if (action.id == \"org.freedesktop.systemd1.manage-units\" &&\n"
                "            action.lookup(\"unit\") == \"%s\" &&\n"
                "            action.lookup(\"verb\") == \"try-restart\" &&\n"
                "            subject.user == \"healthd\")\n"
                "                return polkit.Result.YES;\n"
                "});\n";

/* Where the two files of a unit are. */
typedef struct Paths {
        char *directory, *drop_in, *rule;
} Paths;

static void paths_done(Paths *paths) {
        free(paths->directory);
        free(paths->drop_in);
        free(paths->rule);
}

static int paths_find(Paths *paths, const char *unit) {
        if (string_printf(&paths->directory, "/etc/systemd/system/%s.d", unit) < 0 ||
            string_printf(&paths->drop_in, GUARDED_UNIT_DROP_IN, unit) < 0)
                return -ENOMEM;
        return string_printf(&paths->rule, "/etc/polkit-1/rules.d/50-healthd-%s.rules", unit);
}

/* A backslash, of which names of units have many, begins an escape in a string there. */
static int rule_write(const char *unit, char **ret) {
        _cleanup_(text_buffer_done) TextBuffer quoted = {};
        _cleanup_free_ char *text = NULL;
        int r;

        for (; *unit; unit++)
                text_buffer_add(&quoted, *unit == '\\' ? "\\\\" : unit, *unit == '\\' ? 2 : 1);
        r = text_buffer_finish(&quoted, &text, NULL);
        return r < 0 ? r : string_printf(ret, rule_text, text);
}

static int check_name(Healthctl *ctl, const char *unit) {
        if (!service_name_is_valid(unit))
                return healthctl_fail(ctl, -EINVAL,
                                      "%s: write the full name of a service, as orders.service.",
                                      unit);
        if (string_after_prefix(unit, "healthd"))
                return healthctl_fail(ctl, -EINVAL,
                                      "%s: healthd does not guard itself; its own watchdog does.",
                                      unit);
        return 0;
}

static int connect_systemd(Healthctl *ctl, sd_bus **ret) {
        int r = sd_bus_open_system(ret);

        if (r < 0)
                return healthctl_fail(ctl, r,
                                      "Cannot ask systemd: %s. Is this host running systemd, and "
                                      "dbus.service?",
                                      strerror(-r));
        return 0;
}

static int unit_read(Healthctl *ctl, sd_bus *bus, const char *name, GuardedUnit *unit) {
        _cleanup_free_ char *why = NULL;
        int r;

        r = guarded_unit_read(bus, name, unit, &why);
        if (r < 0)
                return healthctl_fail(ctl, r, "Cannot ask systemd about %s: %s.", name,
                                      why ? why : strerror(-r));
        if (!string_equal(unit->load_state, "loaded"))
                return healthctl_fail(ctl, -ENOENT, "%s: systemd has no such unit (%s).", name,
                                      unit->load_state);
        if (string_equal(unit->type, "oneshot"))
                return healthctl_fail(ctl, -EINVAL,
                                      "%s has Type=oneshot: it has no main process whose watchdog "
                                      "could fire. Guard what needs it instead.",
                                      name);
        return 0;
}

/*
 * The guard acts on a unit by its own name only, and so do checks: that one is adopted and
 * abandoned. Returns it, or unit itself; it lives as long as facts.
 */
static const char *unit_real_name(Healthctl *ctl, const char *unit, const GuardedUnit *facts) {
        if (string_equal(facts->id, unit))
                return unit;
        fprintf(ctl->terminal.out, "%s is another name of %s; guard that one.\n", unit, facts->id);
        return facts->id;
}

static int make_directories(const char *path) {
        _cleanup_free_ char *partial = strdup(path);

        if (!partial)
                return -ENOMEM;
        for (char *slash = partial + 1; (slash = strchr(slash, '/')); slash++) {
                *slash = '\0';
                if (mkdir(partial, 0755) < 0 && errno != EEXIST)
                        return -errno;
                *slash = '/';
        }
        return 0;
}

static int write_file(const char *path, const char *text) {
        _cleanup_free_ char *partial = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        int r;

        r = make_directories(path);
        if (r >= 0)
                r = string_printf(&partial, "%s.new", path);
        if (r < 0)
                return r;
        file = fopen(partial, "we");
        if (!file)
                return -errno;
        if (fputs(text, file) < 0 || fchmod(fileno(file), 0644) < 0 || fflush(file) < 0 ||
            rename(partial, path) < 0) {
                r = -errno;
                (void) unlink(partial);
                return r;
        }
        return 0;
}

/* Returns 1 if something changed (or would), 0 if it is so already, or a negative errno. */
static int place_file(Healthctl *ctl, const char *path, const char *text) {
        char held[2048];
        int r;

        if (file_read_small(path, held, sizeof(held)) >= 0 && string_equal(held, text)) {
                fprintf(ctl->terminal.out, "%s is there already.\n", path);
                return 0;
        }
        if (ctl->dry_run) {
                fprintf(ctl->terminal.out, "Would write %s:\n\n%s\n", path, text);
                return 1;
        }
        r = write_file(path, text);
        if (r < 0)
                return healthctl_fail(ctl, r, "Cannot write %s: %s.%s", path, strerror(-r),
                                      r == -EACCES ? " Run this as root." : "");
        fprintf(ctl->terminal.out, "Wrote %s\n", path);
        return 1;
}

static int remove_file(Healthctl *ctl, const char *path) {
        if (access(path, F_OK) < 0)
                return 0;
        if (ctl->dry_run) {
                fprintf(ctl->terminal.out, "Would remove %s\n", path);
                return 1;
        }
        if (unlink(path) < 0)
                return healthctl_fail(ctl, -errno, "Cannot remove %s: %s.%s", path, strerror(errno),
                                      errno == EACCES ? " Run this as root." : "");
        fprintf(ctl->terminal.out, "Removed %s\n", path);
        return 1;
}

static int reload_systemd(Healthctl *ctl, sd_bus *bus) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (ctl->dry_run)
                return 0;
        r = sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD ".Manager", "Reload", &error,
                               NULL, NULL);
        if (r < 0)
                return healthctl_fail(ctl, r,
                                      "Cannot reload systemd: %s. Run: systemctl daemon-reload",
                                      error.message ? error.message : strerror(-r));
        fprintf(ctl->terminal.out, "Reloaded systemd; the service was not restarted.\n");
        return 0;
}

/* What adopting alone does not do. */
static void print_what_is_left(const Healthctl *ctl, const char *unit, const GuardedUnit *facts) {
        FILE *out = ctl->terminal.out;

        if (!guarded_unit_comes_back(facts))
                fprintf(out,
                        "%s has Restart=%s: it stays down after its watchdog fired. For another "
                        "start, run\n        systemctl edit %s\nand write\n        [Service]\n"
                        "        Restart=on-failure\n",
                        unit, facts->restart, unit);
        if (guarded_unit_has_watchdog(facts))
                fprintf(out, "%s feeds a watchdog of its own: do not use GuardMode=feed for it.\n",
                        unit);
        if (access(GUARD_SOCKET, F_OK) < 0)
                fprintf(out, "The guard does not listen yet; run: systemctl enable --now "
                             "healthd-guard.socket\n");
        fprintf(out,
                "A check guards it with this line below [Check], and \"healthctl reload\":\n"
                "        Guards=%s\n",
                unit);
}

int verb_adopt(Healthctl *ctl, char **arguments) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *drop_in = NULL, *rule = NULL;
        _cleanup_(guarded_unit_done) GuardedUnit facts = {};
        _cleanup_(paths_done) Paths paths = {};
        const char *unit = arguments[0];
        int r, changed;

        r = check_name(ctl, unit);
        if (r >= 0)
                r = connect_systemd(ctl, &bus);
        if (r >= 0)
                r = unit_read(ctl, bus, unit, &facts);
        if (r < 0)
                return r;
        unit = unit_real_name(ctl, unit, &facts);
        r = check_name(ctl, unit);
        if (r < 0)
                return r;
        /* What the unit allows already stays: "exec" and "all" are more than is needed. */
        if (paths_find(&paths, unit) < 0 ||
            string_printf(&drop_in, drop_in_text,
                          string_equal(facts.notify_access, "none") ? "main"
                                                                    : facts.notify_access) < 0 ||
            rule_write(unit, &rule) < 0)
                return -ENOMEM;
        changed = place_file(ctl, paths.drop_in, drop_in);
        if (changed < 0)
                return changed;
        if (ctl->restart) {
                r = place_file(ctl, paths.rule, rule);
                if (r < 0)
                        return r;
        }
        if (changed > 0) {
                r = reload_systemd(ctl, bus);
                if (r < 0)
                        return r;
        }
        print_what_is_left(ctl, unit, &facts);
        return EXIT_SUCCESS;
}

/* By which name it was adopted, if not by this one; without systemd this one. */
static const char *adopted_name(Healthctl *ctl, const char *unit, GuardedUnit *facts) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *why = NULL;

        if (sd_bus_open_system(&bus) < 0 || guarded_unit_read(bus, unit, facts, &why) < 0)
                return unit;
        return unit_real_name(ctl, unit, facts);
}

int verb_abandon(Healthctl *ctl, char **arguments) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(guarded_unit_done) GuardedUnit facts = {};
        _cleanup_(paths_done) Paths paths = {};
        const char *unit = arguments[0];
        int r, changed;

        r = check_name(ctl, unit);
        if (r < 0)
                return r;
        if (paths_find(&paths, unit) < 0)
                return -ENOMEM;
        if (access(paths.drop_in, F_OK) < 0)
                unit = adopted_name(ctl, unit, &facts);
        if (paths_find(&paths, unit) < 0)
                return -ENOMEM;
        /* First, while the guard may still: an armed watchdog that nobody feeds would fire. */
        if (!ctl->dry_run && access(paths.drop_in, F_OK) >= 0)
                (void) guard_send_and_wait(unit, "disarm", "healthctl abandon");
        changed = remove_file(ctl, paths.drop_in);
        if (changed < 0)
                return changed;
        r = remove_file(ctl, paths.rule);
        if (r < 0)
                return r;
        (void) rmdir(paths.directory);
        if (changed == 0) {
                fprintf(ctl->terminal.out, "%s was not adopted.\n", unit);
                return EXIT_SUCCESS;
        }
        r = connect_systemd(ctl, &bus);
        return r < 0 ? r : reload_systemd(ctl, bus);
}
