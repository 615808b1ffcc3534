/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * healthd-exec --check=NAME... -- PROGRAM ARGUMENTS: health inside the program's own unit.
 *
 * A healthd that runs these checks is forked off and speaks to the service manager for the unit;
 * the program then takes this very process, so that its exit status, its signals, its core dumps
 * and the way it is stopped are what they are without us.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/string-util.h"

/* As systemd says it: the program could not be executed. */
#define EXIT_EXEC 203

static StringList arg_checks = NULL; /* whole arguments, for healthd */

static int help(void) {
        printf("healthd-exec --check=NAME... [--config-dir=DIR] -- PROGRAM [ARGUMENTS...]\n\n"
               "Runs PROGRAM in this process, and beside it the checks that say how it is: the "
               "unit is\n"
               "ready when they first pass, and its watchdog is fed only while they do. For "
               "ExecStart=\n"
               "in a unit with Type=notify, NotifyAccess=all and WatchdogSec=.\n\n"
               "  -h --help              Show this help\n"
               "     --version           Show the version\n"
               "     --check=NAME        Run this check; may be given more than once\n"
               "     --config-dir=DIR    Find checks/NAME.check below this directory\n");
        return 0;
}

/* Returns 1 to go on, 0 when all is said, or a negative errno. */
static int parse_arguments(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'v' },
                { "check", required_argument, NULL, 'c' },
                { "config-dir", required_argument, NULL, 'd' },
                {},
        };
        bool any = false;
        int c;

        /* "+": what follows the program is the program's. */
        while ((c = getopt_long(argc, argv, "+h", options, NULL)) >= 0) {
                _cleanup_free_ char *argument = NULL;

                if (c == 'h')
                        return help();
                if (c == 'v') {
                        printf("healthd " HEALTHD_VERSION "\n");
                        return 0;
                }
                if (c == '?')
                        return -EINVAL;
                any = any || c == 'c';
                if (string_printf(&argument, "--%s=%s", c == 'c' ? "check" : "config-dir", optarg) <
                                    0 ||
                    string_list_add(&arg_checks, argument) < 0)
                        return -ENOMEM;
        }
        if (any && optind < argc)
                return 1;
        fputs("healthd-exec: give at least one --check=NAME, then -- and the program; see "
              "healthd-exec --help\n",
              stderr);
        return -EINVAL;
}

/* What is meant for the unit's main process: sockets, standard input. */
static void leave_behind(void) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (fd >= 0)
                (void) dup2(fd, STDIN_FILENO);
        (void) close_range(3, ~0U, 0);
        (void) unsetenv("LISTEN_FDS");
        (void) unsetenv("LISTEN_PID");
        (void) unsetenv("LISTEN_FDNAMES");
}

static int run_healthd(pid_t program) {
        _cleanup_free_ char *wrapped = NULL, *own_pid = NULL;
        const char *healthd = HEALTHD_PATH;
        size_t n = string_list_length(arg_checks);
        char **arguments = calloc(n + 3, sizeof(char *));

        if (!arguments || string_printf(&wrapped, "--wrapped=%d", program) < 0 ||
            string_printf(&own_pid, "%d", getpid()) < 0)
                return -ENOMEM;
        arguments[0] = (char *) "healthd";
        arguments[1] = wrapped;
        for (size_t i = 0; i < n; i++)
                arguments[i + 2] = arg_checks[i];
        leave_behind();
        /* sd_watchdog_enabled() asks whether it is meant. */
        if (getenv("WATCHDOG_USEC") && setenv("WATCHDOG_PID", own_pid, 1) < 0)
                return -errno;
        execv(healthd, arguments);
        fprintf(stderr, "healthd-exec: cannot run %s: %s; is healthd installed?\n", healthd,
                strerror(errno));
        return -errno;
}

/* Twice, so that the program is not the parent of a process it knows nothing of. */
static int fork_healthd(pid_t program) {
        pid_t child = fork();

        if (child < 0)
                return -errno;
        if (child == 0) {
                pid_t grandchild = fork();

                if (grandchild == 0)
                        _exit(run_healthd(program) < 0 ? EXIT_EXEC : 0);
                _exit(grandchild < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
        }
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
                ;
        return 0;
}

int main(int argc, char *argv[]) {
        int r;

        r = parse_arguments(argc, argv);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        /* By hand, outside a service, there is nobody to tell. */
        if (getenv("NOTIFY_SOCKET")) {
                r = fork_healthd(getpid());
                if (r < 0) {
                        fprintf(stderr, "healthd-exec: cannot fork: %s\n", strerror(-r));
                        return EXIT_EXEC;
                }
        }
        /* The program speaks for the unit no more than it did before it was wrapped. */
        (void) unsetenv("NOTIFY_SOCKET");
        (void) unsetenv("WATCHDOG_USEC");
        (void) unsetenv("WATCHDOG_PID");
        execvp(argv[optind], argv + optind);
        fprintf(stderr, "healthd-exec: cannot run %s: %s\n", argv[optind], strerror(errno));
        return EXIT_EXEC;
}
