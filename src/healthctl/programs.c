/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * --host=, verify and cat: other programs do it in our place. Only healthd knows the keys of all
 * types, which of them are secrets, and so links with every library that a check may need.
 */

#include "healthctl/programs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_NOT_RUN 127 /* as a shell has it */

/* A shell there takes the command apart again. */
static void add_quoted(TextBuffer *command, const char *text) {
        text_buffer_add_string(command, " '");
        for (; *text; text++)
                if (*text == '\'')
                        text_buffer_add_string(command, "'\\''");
                else
                        text_buffer_add(command, text, 1);
        text_buffer_add_string(command, "'");
}

int remote_run(Healthctl *ctl, const char *host, char *const *options, char *const *arguments) {
        bool interactive = ctl->terminal.is_tty && isatty(STDIN_FILENO);
        _cleanup_(text_buffer_done) TextBuffer command = {};
        _cleanup_free_ char *text = NULL;

        if (!string_is_empty(getenv("NO_COLOR")))
                text_buffer_add_string(&command, "NO_COLOR=1 ");
        text_buffer_add_string(&command, "healthctl");
        for (; options && *options; options++)
                add_quoted(&command, *options);
        text_buffer_add_string(&command, " --");
        for (; *arguments; arguments++)
                add_quoted(&command, *arguments);
        if (text_buffer_finish(&command, &text, NULL) < 0)
                return -ENOMEM;
        (void) execlp("ssh", "ssh", interactive ? "-t" : "-T", "--", host, text, NULL);
        return healthctl_fail(ctl, -errno, "Cannot run ssh (%s): --host= needs it.",
                              strerrordesc_np(errno));
}

/* In the child: the healthd in the search path, or the installed one. */
static void __attribute__((noreturn)) become_healthd(char *const *words) {
        (void) execvp("healthd", words);
        if (errno == ENOENT)
                (void) execv(HEALTHD_BINARY, words);
        _exit(EXIT_NOT_RUN);
}

/*
 * Runs "healthd OPTIONS [--config-dir=DIR] [--instance=NAME]" before the pager; returns its exit
 * status.
 */
static int run_healthd(Healthctl *ctl, char **options, size_t n) {
        _cleanup_free_ char **words = calloc(n + 4, sizeof(char *));
        _cleanup_free_ char *directory = NULL, *instance = NULL;
        size_t i = 0;
        int status;
        pid_t pid;

        if (!words)
                return -ENOMEM;
        words[i++] = (char *) "healthd";
        for (size_t j = 0; j < n; j++)
                words[i++] = options[j];
        if (ctl->config_directory) {
                if (string_printf(&directory, "--config-dir=%s", ctl->config_directory) < 0)
                        return -ENOMEM;
                words[i++] = directory;
        }
        if (ctl->instance) {
                if (string_printf(&instance, "--instance=%s", ctl->instance) < 0)
                        return -ENOMEM;
                words[i++] = instance;
        }
        (void) fflush(stdout);
        pid = fork();
        if (pid == 0)
                become_healthd(words);
        while (pid > 0 && waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) != EXIT_NOT_RUN)
                return WEXITSTATUS(status);
        return healthctl_fail(ctl, -ECHILD,
                              "%s cannot be run, and it is what reads the configuration. Is the "
                              "package healthd installed in full?",
                              HEALTHD_BINARY);
}

int verb_cat(Healthctl *ctl, char **arguments) {
        _cleanup_(string_list_freep) StringList options = NULL;

        for (size_t i = 0; arguments[i]; i++) {
                _cleanup_free_ char *option = NULL;

                if (string_printf(&option, "--cat=%s", arguments[i]) < 0 ||
                    string_list_add(&options, option) < 0)
                        return -ENOMEM;
        }
        if (!options && string_list_add(&options, "--cat") < 0)
                return -ENOMEM;
        terminal_open_pager(&ctl->terminal);
        return run_healthd(ctl, options, string_list_length(options));
}

int verb_verify(Healthctl *ctl, char **arguments) {
        char *options[] = { (char *) "--verify" };

        (void) arguments;
        return run_healthd(ctl, options, ELEMENTS(options));
}
