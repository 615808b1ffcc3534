/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* healthd: arguments, settings, run. */

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cat.h"
#include "manager.h"
#include "publish/guard-feed.h"
#include "settings.h"

static bool arg_verify = false;
static bool arg_cat = false;
static const char *arg_instance = NULL;
static StringList arg_cat_names = NULL; /* empty: all */
static ManagerOptions arg_options = {};

static int help(void) {
        printf("healthd [OPTIONS...]\n\n"
               "Checks what this host depends on, tells who asks, and feeds systemd's watchdog "
               "only\n"
               "while all is well.\n\n"
               "  -h --help              Show this help\n"
               "     --version           Show the version\n"
               "     --verify            Read the configuration, say what is wrong with it, and "
               "exit\n"
               "     --cat[=NAME]        Show the merged configuration without its secrets: all, "
               "or of\n"
               "                         a check, or healthd.conf; may be given more than once\n"
               "     --instance=NAME     Read the directories instances/NAME below these; for "
               "healthd@.service\n"
               "     --config-dir=DIR    Read this directory instead of " HEALTHD_CONFIG_PATH "\n"
               "     --listen=ADDRESS    Serve on HOST:PORT or /SOCKET besides what systemd "
               "passes;\n"
               "                         may be given more than once\n"
               "     --disarm-guards     Disarm what a former process armed; for ExecStopPost=\n"
               "     --check=NAME        Run this check only; may be given more than once\n"
               "     --wrapped=PID       Speak for the unit of this process and end with it: see\n"
               "                         healthd-exec(1)\n\n"
               "Configuration: man 5 healthd.conf, man 5 healthd.check. Signals: SIGHUP "
               "reloads.\n");
        return 0;
}

/* For ExecStopPost=: after an end that was not a clean one. */
static void disarm_guards(void) {
        const char *directory = getenv("RUNTIME_DIRECTORY");

        if (directory)
                guard_feed_disarm_left(directory);
}

static int parse_wrapped(const char *text) {
        char *end;
        long pid;

        assert(text); /* the option takes an argument */
        pid = strtol(text, &end, 10);
        if (*end || pid <= 1 || pid > INT_MAX) {
                log_error("--wrapped=%s is not the number of a process.", text);
                return -EINVAL;
        }
        arg_options.wrapped_pid = (pid_t) pid;
        return 0;
}

/* Where the configuration is: as told, or in the search path, or for an instance below that. */
static int choose_directories(void) {
        _cleanup_(string_list_freep) StringList base = NULL;
        int r = 0;

        if (arg_instance && (strchr(arg_instance, '/') || *arg_instance == '.' || !*arg_instance)) {
                log_error("--instance=%s is not the name of an instance: write NAME of "
                          "healthd@NAME.service.",
                          arg_instance);
                return -EINVAL;
        }
        arg_options.instance = arg_instance;
        if (!arg_options.directories)
                r = string_list_add_words(&arg_options.directories, HEALTHD_CONFIG_PATH);
        if (r < 0 || !arg_instance)
                return r;
        base = TAKE_PTR(arg_options.directories);
        for (size_t i = 0; r >= 0 && base && base[i]; i++) {
                _cleanup_free_ char *directory = NULL;

                r = string_printf(&directory, "%s/instances/%s", base[i], arg_instance);
                if (r >= 0)
                        r = string_list_add(&arg_options.directories, directory);
        }
        return r;
}

enum {
        ARG_VERSION = 0x100,
        ARG_VERIFY,
        ARG_CAT,
        ARG_CONFIG_DIR,
        ARG_INSTANCE,
        ARG_LISTEN,
        ARG_CHECK,
        ARG_WRAPPED,
        ARG_DISARM_GUARDS,
};

static const struct option long_options[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, ARG_VERSION },
        { "verify", no_argument, NULL, ARG_VERIFY },
        { "cat", optional_argument, NULL, ARG_CAT },
        { "config-dir", required_argument, NULL, ARG_CONFIG_DIR },
        { "instance", required_argument, NULL, ARG_INSTANCE },
        { "listen", required_argument, NULL, ARG_LISTEN },
        { "check", required_argument, NULL, ARG_CHECK },
        { "wrapped", required_argument, NULL, ARG_WRAPPED },
        { "disarm-guards", no_argument, NULL, ARG_DISARM_GUARDS },
        {},
};

/* Returns 1 to go on, 0 when all is said, or a negative errno. */
static int parse_arguments(int argc, char *argv[]) {
        int c, r = 0;

        while (r >= 0 && (c = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return help();
                case ARG_VERSION:
                        printf("healthd " HEALTHD_VERSION "\n");
                        return 0;
                case ARG_VERIFY:
                        arg_verify = true;
                        break;
                case ARG_CAT:
                        arg_cat = true;
                        r = optarg ? string_list_add(&arg_cat_names, optarg) : 0;
                        break;
                case ARG_CONFIG_DIR:
                        r = string_list_add(&arg_options.directories, optarg);
                        break;
                case ARG_INSTANCE:
                        arg_instance = optarg;
                        break;
                case ARG_LISTEN:
                        r = string_list_add(&arg_options.listen, optarg);
                        break;
                case ARG_CHECK:
                        r = string_list_add(&arg_options.checks, optarg);
                        break;
                case ARG_DISARM_GUARDS:
                        disarm_guards();
                        return 0;
                case ARG_WRAPPED:
                        r = parse_wrapped(optarg);
                        break;
                default:
                        return -EINVAL;
                }
        if (r < 0)
                return r;
        if (optind < argc) {
                log_error("Unexpected argument \"%s\"; see healthd --help.", argv[optind]);
                return -EINVAL;
        }
        r = choose_directories();
        return r < 0 ? r : 1;
}

/* libpq takes host, user and password from PG* where a check does not name them: never by accident.
 */
static void clean_environment(void) {
        for (char **variable = environ; *variable;) {
                _cleanup_free_ char *name = NULL;

                if (!string_after_prefix(*variable, "PG")) {
                        variable++;
                        continue;
                }
                name = strndup(*variable, strcspn(*variable, "="));
                if (!name || unsetenv(name) < 0)
                        variable++;
        }
}

static int log_all(int priority, const char *prefix, const ConfigProblems *problems) {
        int r;

        for (size_t i = 0; i < problems->n_items; i++) {
                _cleanup_free_ char *text = NULL;

                r = config_problem_format(&problems->items[i], &text);
                if (r < 0)
                        return r;
                log_message(priority, "%s%s", prefix, text);
        }
        return 0;
}

/* Returns -EBADMSG if there are any. */
static int log_problems(const ConfigProblems *problems) {
        int r = log_all(LOG_ERR, "", problems);

        if (r >= 0 && problems->lost)
                r = -ENOMEM;
        return r < 0 ? r : problems->n_items > 0 ? -EBADMSG : 0;
}

static int verify(void) {
        const SettingsScope scope = { arg_options.directories, READY_WHEN_CHECKED, false };
        _cleanup_(settings_done) Settings settings = {};
        int r;

        r = settings_load(&scope, NULL, &settings);
        if (r >= 0)
                r = log_all(LOG_WARNING, "warning: ", &settings.advice);
        return r < 0 ? r : log_problems(&settings.problems);
}

static int cat(void) {
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_free_ char *why = NULL;
        int r;

        r = cat_print(arg_options.directories, arg_cat_names, stdout, &problems, &why);
        if (why)
                log_error("%s", why);
        return r < 0 ? r : log_problems(&problems);
}

static int run(void) {
        _cleanup_(manager_freep) Manager *manager = NULL;
        _cleanup_free_ char *error = NULL;
        sigset_t signals;
        int r;

        signal(SIGPIPE, SIG_IGN);
        /* Whoever started us may ignore it: then nobody could be told how a program ended. */
        signal(SIGCHLD, SIG_DFL);
        /* The few threads allocate little: an arena for each would only cost memory. */
        mallopt(M_ARENA_MAX, 1);
        /* Before any thread: they are read from the loop. */
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGHUP);
        sigprocmask(SIG_BLOCK, &signals, NULL);

        r = manager_new(&arg_options, &manager, &error);
        if (r < 0) {
                log_error("Cannot start: %s", error ? error : strerror(-r));
                return r;
        }
        r = manager_run(manager);
        if (r < 0)
                log_error("The event loop failed: %s", strerror(-r));
        return r;
}

int main(int argc, char *argv[]) {
        int r;

        r = parse_arguments(argc, argv);
        if (r > 0) {
                clean_environment();
                r = arg_verify ? verify() : arg_cat ? cat() : run();
        }
        string_list_free(arg_options.directories);
        string_list_free(arg_options.listen);
        string_list_free(arg_options.checks);
        string_list_free(arg_cat_names);
        if (r == -ENOMEM)
                log_error("Out of memory.");
        /* The unit's program was meant, and systemd told it as well. */
        if (r > 0 && arg_options.wrapped_pid == 0)
                abort();
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
