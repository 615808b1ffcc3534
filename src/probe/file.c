/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=file: whether files are there, and how old and how large they are. The looking is done by
 * the program check-file, because a look at a file system that hangs does not return.
 */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/probe.h"
#include "io/child.h"
#include "io/trusted-program.h"
#include "probe/plugin.h"

/* In the order of what check-file knows. */
static const char *const pick_words[] = { "newest", "oldest", "all", NULL };

typedef struct FileProbe {
        StringList paths;
        int pick; /* of pick_words */

        StringList argv; /* argv[0] is the program */
        Check *check;
        Child *child;
} FileProbe;

/* ---- configuration ---- */

static int file_parse_path(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        int r;

        if (!*value || *value == '/')
                return config_parse_lines(key, value, field, ret_why);
        r = string_replace(ret_why, "it must begin with \"/\", for example "
                                    "/var/backups/orders-*.dump");
        return r < 0 ? r : -EINVAL;
}

static const ConfigKey file_keys[] = {
        { "Path", file_parse_path, offsetof(FileProbe, paths), .flags = CONFIG_LIST },
        { "Pick", config_parse_word_of, offsetof(FileProbe, pick), .data = pick_words },
        {},
};

static const char *const file_unhealthy_when[] = { "absent != none", NULL };

static int file_make_argv(const FileProbe *probe, const char *program, StringList *ret) {
        _cleanup_(string_list_freep) StringList argv = NULL;
        _cleanup_free_ char *pick = NULL;
        int r;

        r = string_printf(&pick, "--pick=%s", pick_words[probe->pick]);
        if (r >= 0)
                r = string_list_add(&argv, program);
        if (r >= 0)
                r = string_list_add(&argv, pick);
        for (size_t i = 0; probe->paths[i] && r >= 0; i++)
                r = string_list_add(&argv, probe->paths[i]);
        if (r >= 0)
                *ret = TAKE_PTR(argv);
        return r;
}

static int file_prepare(void *instance, ProbeSetup *setup) {
        _cleanup_free_ char *program = NULL;
        FileProbe *probe = instance;
        int r;

        if (!probe->paths)
                return probe_setup_refuse(setup, NULL,
                                          "Path= is missing in [File]; write for example "
                                          "Path=/var/backups/orders-*.dump");
        r = string_printf(&program, "%s/check-file", setup->helper_directory);
        return r < 0 ? r : file_make_argv(probe, program, &probe->argv);
}

/* ---- a run ---- */

static void file_on_done(const ChildResult *result, void *userdata) {
        _cleanup_(sample_done) Sample sample = {};
        FileProbe *probe = userdata;

        probe->child = NULL;
        plugin_read_json(result, probe->argv[0], &sample);
        check_report(probe->check, &sample);
}

static int file_start(void *instance, Check *check) {
        FileProbe *probe = instance;
        const ChildCommand command = {
                .argv = probe->argv,
                .output_max = PLUGIN_OUTPUT_MAX,
        };
        _cleanup_(sample_done) Sample sample = {};
        _cleanup_free_ char *why = NULL;

        probe->check = check;
        if (trusted_program_check(probe->argv[0], &why) < 0) {
                sample_fail_internal(&sample, "%s", why ? why : "out of memory");
                check_report(check, &sample);
                return 0;
        }
        return child_start(check->runtime, &command, file_on_done, probe, &probe->child);
}

static void file_cancel(void *instance, Sample *sample) {
        FileProbe *probe = instance;
        const char *more = probe->paths[1] ? ", ..." : "";
        const char *why_waiting = child_explain_wait(probe->child);

        if (why_waiting)
                sample_fail_internal(sample, "looking at %s%s %s", probe->paths[0], more,
                                     why_waiting);
        else
                sample_fail(sample,
                            "no end while looking at %s%s; the server of a network file system may "
                            "be gone (\"findmnt -T\" names it), or the directory is very large",
                            probe->paths[0], more);
        probe->child = child_kill(probe->child);
}

static void file_done(void *instance) {
        FileProbe *probe = instance;

        string_list_free(probe->paths);
        string_list_free(probe->argv);
}

const ProbeType file_probe = {
        .name = "file",
        .section = "File",
        .instance_size = sizeof(FileProbe),
        .keys = file_keys,
        .unhealthy_when = file_unhealthy_when,
        .prepare = file_prepare,
        .start = file_start,
        .cancel = file_cancel,
        .done = file_done,
};
