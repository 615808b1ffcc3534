/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Type=exec: a program of the user's, with the message as JSON on its standard input. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alert/alert.h"
#include "base/cleanup.h"
#include "config/config-command.h"
#include "io/child.h"

#define OUTPUT_MAX   4096
#define OUTPUT_SHOWN 200

typedef struct ExecAlert {
        StringList command;
        bool has_command;       /* there is one in the file, if only one that is refused */
        StringList environment; /* after prepare() all of it */
        char *starter;
        Child *child;
        AlertHandler on_done;
        void *userdata;
} ExecAlert;

static int exec_parse_command(const ConfigKey *key, const char *value, void *field,
                              char **ret_why) {
        ExecAlert *alert = field;

        alert->has_command = true;
        return config_parse_command(key, value, &alert->command, ret_why);
}

static const ConfigKey exec_keys[] = {
        { "Command", exec_parse_command },
        { "Environment", config_parse_assignments, offsetof(ExecAlert, environment),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL | CONFIG_ASSIGNMENT | CONFIG_LIST },
        {},
};

static int exec_prepare(void *instance, TypeSetup *setup) {
        ExecAlert *alert = instance;
        int r;

        if (!alert->has_command)
                return type_setup_refuse(setup, NULL,
                                         "Command= is missing in [Exec]; write for example "
                                         "Command=/usr/local/lib/healthd/page-me");
        r = string_printf(&alert->starter, "%s/start-program", setup->helper_directory);
        return r < 0 ? r : command_environment_complete(&alert->environment);
}

/* What it wrote first, for people. */
static void output_show(const ChildResult *result, char *buffer, size_t size) {
        const char *text = *result->errors ? result->errors : result->output;

        (void) snprintf(buffer, size, "%.*s", OUTPUT_SHOWN, text);
        string_make_printable(buffer);
}

static void exec_on_done(const ChildResult *result, void *userdata) {
        char shown[OUTPUT_SHOWN + 1] = "";
        _cleanup_free_ char *detail = NULL;
        ExecAlert *alert = userdata;
        const char *path = alert->command[0];
        bool delivered = result->error == 0 && result->signal == 0 && result->exit_status == 0;

        alert->child = NULL;
        if (result->refusal)
                (void) string_replace(&detail, result->refusal);
        else if (result->error < 0)
                (void) string_printf(&detail, "%s cannot be run: %s", path,
                                     strerrordesc_np(-result->error));
        else {
                output_show(result, shown, sizeof(shown));
                (void) string_printf(&detail, "%s %s %d%s%s", path,
                                     result->signal > 0 ? "was killed by signal"
                                                        : "ended with status",
                                     result->signal > 0 ? result->signal : result->exit_status,
                                     *shown ? ": " : "", shown);
        }
        alert->on_done(delivered, detail ? detail : "out of memory", alert->userdata);
}

static int exec_start(void *instance, Runtime *runtime, const AlertMessage *message,
                      AlertHandler on_done, void *userdata, char **ret_why) {
        _cleanup_free_ char *input = NULL;
        ExecAlert *alert = instance;
        ChildCommand command = {
                .argv = alert->command,
                .starter = alert->starter,
                .environment = alert->environment,
                .output_max = OUTPUT_MAX,
        };
        int r;

        (void) ret_why;
        r = alert_message_render(message, &input, NULL);
        if (r < 0)
                return r;
        command.input = input;
        alert->on_done = on_done;
        alert->userdata = userdata;
        return child_start(runtime, &command, exec_on_done, alert, &alert->child);
}

static char *exec_cancel(void *instance) {
        ExecAlert *alert = instance;
        const char *why_waiting = child_explain_wait(alert->child);
        char *text = NULL;

        (void) string_printf(&text, "%s %s", alert->command[0],
                             why_waiting ? why_waiting
                                         : "had not ended; it was killed, with its process group");
        alert->child = child_kill(alert->child);
        return text;
}

static void exec_done(void *instance) {
        ExecAlert *alert = instance;

        free(alert->starter);
        string_list_free(alert->command);
        for (char **variable = alert->environment; variable && *variable; variable++)
                string_free_secret(*variable);
        free(alert->environment);
}

const AlertType exec_alert = {
        .name = "exec",
        .section = "Exec",
        .instance_size = sizeof(ExecAlert),
        .keys = exec_keys,
        .prepare = exec_prepare,
        .start = exec_start,
        .cancel = exec_cancel,
        .done = exec_done,
};
