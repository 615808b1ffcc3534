/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* healthctl: arguments, the table of verbs, and what is said at the end. */

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time-util.h"
#include "healthctl/healthctl.h"
#include "healthctl/programs.h"

#define DEFAULT_SOCKET     "/run/healthd/healthd.sock"
#define INSTANCE_SOCKET    "/run/healthd/instances/%s.sock"
/* A daemon that hangs is a finding too; one that systemd just starts takes a moment. */
#define DEFAULT_PATIENCE_S 25

static int verb_help(Healthctl *ctl, char **arguments);
static int verb_version(Healthctl *ctl, char **arguments);

typedef struct Verb {
        const char *name;
        unsigned least, most; /* arguments */
        int (*run)(Healthctl *ctl, char **arguments);
        int failure; /* what to exit with if it cannot do its work */
} Verb;

static const Verb verbs[] = {
        { "status", 0, UINT_MAX, verb_status, EXIT_FAILURE },
        { "list", 0, UINT_MAX, verb_list, EXIT_FAILURE },
        { "show", 1, UINT_MAX, verb_show, EXIT_FAILURE },
        { "history", 1, 1, verb_history, EXIT_FAILURE },
        { "monitor", 0, UINT_MAX, verb_monitor, EXIT_FAILURE },
        { "wait", 0, UINT_MAX, verb_wait, EXIT_CANNOT_TELL },
        { "is-healthy", 0, UINT_MAX, verb_is_healthy, EXIT_CANNOT_TELL },
        { "is-ready", 0, 0, verb_is_ready, EXIT_CANNOT_TELL },
        { "check", 0, 1, verb_check, EXIT_FAILURE },
        { "run", 1, 1, verb_run, EXIT_FAILURE },
        { "beat", 1, 1, verb_beat, EXIT_FAILURE },
        { "silence", 0, 1, verb_silence, EXIT_FAILURE },
        { "unsilence", 1, 1, verb_unsilence, EXIT_FAILURE },
        { "reset-breaker", 1, UINT_MAX, verb_reset_breaker, EXIT_FAILURE },
        { "alert", 2, 2, verb_alert, EXIT_FAILURE },
        { "adopt", 1, 1, verb_adopt, EXIT_FAILURE },
        { "abandon", 1, 1, verb_abandon, EXIT_FAILURE },
        { "reload", 0, 0, verb_reload, EXIT_FAILURE },
        { "verify", 0, 0, verb_verify, EXIT_FAILURE },
        { "cat", 0, UINT_MAX, verb_cat, EXIT_FAILURE },
        { "help", 0, 0, verb_help, EXIT_FAILURE },
        { "version", 0, 0, verb_version, EXIT_FAILURE },
};

static int verb_help(Healthctl *ctl, char **arguments) {
        (void) arguments;
        (void) fputs("healthctl [OPTIONS...] [COMMAND ...]\n\n"
                     "  status [GLOB...]          How the host is, what is wrong first (default)\n"
                     "  list [GLOB...]            All checks by name; -q: the names alone\n"
                     "  show CHECK...             Everything about a check\n"
                     "  history CHECK             Its results, changes and availability\n"
                     "  monitor [GLOB...]         status, live\n"
                     "  wait [CHECK...]           Wait until ready; --timeout=SPAN --fresh\n"
                     "  is-healthy [CHECK...], is-ready           Exit with 0: yes, 3: no, 4: "
                     "unknown\n"
                     "  check [CHECK] --nagios    Answer as a Nagios plug-in\n"
                     "  run CHECK                 Run it now and print the result\n"
                     "  beat CHECK                Call in; --start, --finish --exit-status=N\n"
                     "  silence [CHECK|GLOB]      Tell nobody; --for=SPAN --reason=TEXT; or list "
                     "them\n"
                     "  unsilence CHECK|GLOB|ID   End a silence\n"
                     "  reset-breaker CHECK       Its server is back: close the breaker, run it\n"
                     "  alert test NAME           Send a real message by an alert\n"
                     "  adopt UNIT, abandon UNIT  Let the guard act on a service; --restart "
                     "--dry-run\n"
                     "  reload, verify, cat       Read the configuration again; check it; "
                     "show it\n\n"
                     "     --socket=PATH          Ask here instead of " DEFAULT_SOCKET "\n"
                     "     --instance=NAME        Ask healthd@NAME.service "
                     "-H --host=HOST  Run by ssh\n"
                     "     --json=pretty|short|off     --no-pager     --no-legend     -q --quiet\n"
                     "  -h --help                 -V --version       More: man healthctl\n",
                     ctl->terminal.out);
        return 0;
}

static int verb_version(Healthctl *ctl, char **arguments) {
        (void) arguments;
        (void) fputs("healthctl " HEALTHD_VERSION "\n", ctl->terminal.out);
        return 0;
}

static int parse_json_mode(Healthctl *ctl, const char *text) {
        static const char *const words[] = { "off", "pretty", "short", NULL };

        for (unsigned i = 0; words[i]; i++)
                if (string_equal(words[i], text)) {
                        ctl->json = (JsonMode) i;
                        return 0;
                }
        return healthctl_fail(ctl, -EINVAL, "--json=%s: write pretty, short or off.", text);
}

static int parse_instance(Healthctl *ctl, const char *name) {
        if (strchr(name, '/') || *name == '.' || !*name)
                return healthctl_fail(ctl, -EINVAL,
                                      "--instance=%s: write NAME of healthd@NAME.service.", name);
        ctl->instance = name;
        if (string_printf(&ctl->instance_socket, INSTANCE_SOCKET, name) < 0)
                return -ENOMEM;
        ctl->socket = ctl->instance_socket;
        return 0;
}

static int parse_timeout(Healthctl *ctl, const char *text) {
        if (time_span_parse(text, &ctl->timeout_usec) < 0 || ctl->timeout_usec == 0)
                return healthctl_fail(ctl, -EINVAL,
                                      "--timeout=%s is no time span: write for example 90s or "
                                      "5min.",
                                      text);
        return 0;
}

static int parse_exit_status(Healthctl *ctl, const char *text) {
        char *end;
        long number = strtol(text, &end, 10);

        if (*end || end == text || number < 0 || number > 255)
                return healthctl_fail(ctl, -EINVAL,
                                      "--exit-status=%s: write a number from 0 to 255.", text);
        ctl->exit_status = (int) number;
        return 0;
}

enum {
        ARG_SOCKET = 0x100,
        ARG_CONFIG_DIR,
        ARG_INSTANCE,
        ARG_JSON,
        ARG_NO_PAGER,
        ARG_NO_LEGEND,
        ARG_CHECK,
        ARG_TIMEOUT,
        ARG_FOR,
        ARG_REASON,
        ARG_START,
        ARG_FINISH,
        ARG_EXIT_STATUS,
        ARG_NAGIOS,
        ARG_DRY_RUN,
        ARG_RESTART,
        ARG_FRESH,
};

static const struct option long_options[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { "socket", required_argument, NULL, ARG_SOCKET },
        { "host", required_argument, NULL, 'H' },
        { "config-dir", required_argument, NULL, ARG_CONFIG_DIR },
        { "instance", required_argument, NULL, ARG_INSTANCE },
        { "json", required_argument, NULL, ARG_JSON },
        { "no-pager", no_argument, NULL, ARG_NO_PAGER },
        { "no-legend", no_argument, NULL, ARG_NO_LEGEND },
        { "quiet", no_argument, NULL, 'q' },
        { "check", required_argument, NULL, ARG_CHECK },
        { "timeout", required_argument, NULL, ARG_TIMEOUT },
        { "fresh", no_argument, NULL, ARG_FRESH },
        { "for", required_argument, NULL, ARG_FOR },
        { "reason", required_argument, NULL, ARG_REASON },
        { "start", no_argument, NULL, ARG_START },
        { "finish", no_argument, NULL, ARG_FINISH },
        { "exit-status", required_argument, NULL, ARG_EXIT_STATUS },
        { "nagios", no_argument, NULL, ARG_NAGIOS },
        { "dry-run", no_argument, NULL, ARG_DRY_RUN },
        { "restart", no_argument, NULL, ARG_RESTART },
        {},
};

/* What the command line says besides the verb. */
typedef struct CommandLine {
        const char *host;
        bool help, version;
        StringList options; /* all but --host=, in full, for a healthctl elsewhere */
} CommandLine;

static void command_line_done(CommandLine *line) {
        string_list_free(line->options);
}

static int command_line_note(CommandLine *line, int c, const char *argument) {
        const struct option *option = long_options;
        _cleanup_free_ char *text = NULL;
        int r;

        if (c == 'H')
                return 0;
        while (option->name && option->val != c)
                option++;
        r = string_printf(&text, "--%s%s%s", option->name ? option->name : "", argument ? "=" : "",
                          argument ? argument : "");
        return r < 0 ? r : string_list_add(&line->options, text);
}

/* Options that only set something: a text to their argument, anything else to yes or no. */
static const struct {
        int option;
        size_t offset;
        bool is_text, value;
} plain_options[] = {
        { 'q', offsetof(Healthctl, quiet), .value = true },
        { ARG_SOCKET, offsetof(Healthctl, socket), .is_text = true },
        { ARG_CONFIG_DIR, offsetof(Healthctl, config_directory), .is_text = true },
        { ARG_NO_PAGER, offsetof(Healthctl, terminal.no_pager), .value = true },
        { ARG_NO_LEGEND, offsetof(Healthctl, legend), .value = false },
        { ARG_FRESH, offsetof(Healthctl, fresh), .value = true },
        { ARG_FOR, offsetof(Healthctl, duration), .is_text = true },
        { ARG_REASON, offsetof(Healthctl, reason), .is_text = true },
        { ARG_START, offsetof(Healthctl, start), .value = true },
        { ARG_FINISH, offsetof(Healthctl, finish), .value = true },
        { ARG_DRY_RUN, offsetof(Healthctl, dry_run), .value = true },
        { ARG_RESTART, offsetof(Healthctl, restart), .value = true },
};

/* Returns whether it is one. */
static bool set_plain_option(Healthctl *ctl, int option, const char *argument) {
        for (size_t i = 0; i < ELEMENTS(plain_options); i++) {
                void *field = (char *) ctl + plain_options[i].offset;

                if (plain_options[i].option != option)
                        continue;
                if (plain_options[i].is_text)
                        *(const char **) field = argument;
                else
                        *(bool *) field = plain_options[i].value;
                return true;
        }
        return false;
}

static int parse_option(Healthctl *ctl, CommandLine *line, int c, const char *argument) {
        if (set_plain_option(ctl, c, argument))
                return 0;
        switch (c) {
        case 'h':
                line->help = true;
                return 0;
        case 'V':
                line->version = true;
                return 0;
        case 'H':
                line->host = argument;
                return 0;
        case ARG_INSTANCE:
                return parse_instance(ctl, argument);
        case ARG_JSON:
                return parse_json_mode(ctl, argument);
        case ARG_CHECK:
                return string_list_add(&ctl->checks, argument);
        case ARG_TIMEOUT:
                return parse_timeout(ctl, argument);
        case ARG_EXIT_STATUS:
                return parse_exit_status(ctl, argument);
        case ARG_NAGIOS:
                return 0; /* the only format of check */
        default:
                return healthctl_fail(ctl, -EINVAL, "See healthctl --help.");
        }
}

static int verb_find(Healthctl *ctl, const char *name, const Verb **ret) {
        const char *names[ELEMENTS(verbs) + 1] = {}, *nearest;

        for (size_t i = 0; i < ELEMENTS(verbs); i++) {
                names[i] = verbs[i].name;
                if (string_equal(verbs[i].name, name)) {
                        *ret = &verbs[i];
                        return 0;
                }
        }
        nearest = string_nearest(name, names);
        return healthctl_fail(ctl, -EINVAL,
                              "There is no command \"%s\"%s%s%s See healthctl --help.", name,
                              nearest ? "; did you mean \"" : ".", nearest ? nearest : "",
                              nearest ? "\"?" : "");
}

static int verb_check_arguments(Healthctl *ctl, const Verb *verb, char **arguments) {
        size_t n = string_list_length(arguments);

        if (n < verb->least)
                return healthctl_fail(ctl, -EINVAL,
                                      "healthctl %s needs the name of a check; \"healthctl list\" "
                                      "shows them.",
                                      verb->name);
        if (n > verb->most)
                return healthctl_fail(ctl, -EINVAL,
                                      "healthctl %s: \"%s\" is one argument too many. See "
                                      "healthctl --help.",
                                      verb->name, arguments[verb->most]);
        return 0;
}

/* Returns the exit status. */
static int run(Healthctl *ctl, int argc, char *argv[]) {
        static char *none[] = { NULL };
        _cleanup_(command_line_done) CommandLine line = {};
        const Verb *verb = &verbs[0];
        char **arguments = none;
        int c, r = 0;

        while (r >= 0 && (c = getopt_long(argc, argv, "hVH:q", long_options, NULL)) >= 0) {
                r = parse_option(ctl, &line, c, optarg);
                if (r >= 0)
                        r = command_line_note(&line, c, optarg);
        }
        if (r < 0)
                return r;
        if (line.help)
                return verb_help(ctl, NULL);
        if (line.version)
                return verb_version(ctl, NULL);
        if (line.host)
                return remote_run(ctl, line.host, line.options, argv + optind);
        if (optind < argc) {
                r = verb_find(ctl, argv[optind], &verb);
                if (r < 0)
                        return r;
                arguments = argv + optind + 1;
        }
        r = verb_check_arguments(ctl, verb, arguments);
        if (r < 0)
                return r;
        r = verb->run(ctl, arguments);
        /* The error stands in ctl; the exit status is the verb's own. */
        if (r < 0 && !ctl->error)
                (void) healthctl_fail(ctl, r, "%s.", strerrordesc_np(-r));
        return r < 0 ? verb->failure : r;
}

int main(int argc, char *argv[]) {
        _cleanup_(healthctl_done) Healthctl ctl = {
                .socket = DEFAULT_SOCKET,
                .legend = true,
                .exit_status = -1,
                .patience_s = DEFAULT_PATIENCE_S,
        };
        int status, r;

        /* Numbers stay as JSON writes them. */
        (void) setlocale(LC_CTYPE, "");
        (void) curl_global_init(CURL_GLOBAL_NOTHING);
        terminal_init(&ctl.terminal);
        status = run(&ctl, argc, argv);
        r = terminal_close(&ctl.terminal);
        if (r < 0 && status == EXIT_SUCCESS)
                status = healthctl_fail(&ctl, EXIT_FAILURE, "Cannot write the output: %s.",
                                        strerrordesc_np(-r));
        if (ctl.error) {
                terminal_make_printable(&ctl.terminal, ctl.error);
                (void) fprintf(stderr, "%s\n", ctl.error);
        }
        return status < 0 ? EXIT_FAILURE : status;
}
