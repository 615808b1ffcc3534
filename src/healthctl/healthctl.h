/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every verb gets: what was asked for on the command line, the terminal, and the daemon. */

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "healthctl/terminal.h"

typedef enum JsonMode {
        JSON_OFF,
        JSON_PRETTY,
        JSON_SHORT,
} JsonMode;

typedef struct Healthctl {
        /* Options, as given. Texts are borrowed from the command line. */
        const char *socket;
        const char *instance;         /* of healthd@.service, or NULL */
        char *instance_socket;        /* owned; what socket is then */
        const char *config_directory; /* NULL: healthd's own search path */
        JsonMode json;
        bool legend;
        bool quiet;
        StringList checks;     /* --check=, owned */
        uint64_t timeout_usec; /* --timeout=; 0: none given */
        bool fresh;            /* wait for results of after now */
        const char *duration;  /* --for= */
        const char *reason;
        bool start, finish;    /* of a job that calls in */
        bool dry_run, restart; /* of what is adopted */
        int exit_status;       /* -1: none given */

        Terminal terminal;
        CURL *curl;
        unsigned patience_s; /* with the daemon, for one answer */
        char *error;         /* what went wrong and what to do; printed once, by main */
} Healthctl;

/* What is-healthy, is-ready, wait and run exit with, as systemctl is-active does. */
enum {
        EXIT_NO = 3,
        EXIT_CANNOT_TELL = 4,
};

/* Says what went wrong instead of whatever was said before; returns error, a negative errno. */
int healthctl_fail(Healthctl *ctl, int error, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
/* Forgets what went wrong: it was no mistake. */
void healthctl_forgive(Healthctl *ctl);
void healthctl_done(Healthctl *ctl);

/*
 * The verbs. arguments is what follows the verb, ended by NULL, its number checked. Each returns
 * the exit status, or a negative errno, then with ctl->error if there is more to say.
 */
int verb_abandon(Healthctl *ctl, char **arguments);
int verb_adopt(Healthctl *ctl, char **arguments);
int verb_alert(Healthctl *ctl, char **arguments);
int verb_beat(Healthctl *ctl, char **arguments);
int verb_cat(Healthctl *ctl, char **arguments);
int verb_check(Healthctl *ctl, char **arguments);
int verb_history(Healthctl *ctl, char **arguments);
int verb_is_healthy(Healthctl *ctl, char **arguments);
int verb_is_ready(Healthctl *ctl, char **arguments);
int verb_list(Healthctl *ctl, char **arguments);
int verb_monitor(Healthctl *ctl, char **arguments);
int verb_reload(Healthctl *ctl, char **arguments);
int verb_reset_breaker(Healthctl *ctl, char **arguments);
int verb_run(Healthctl *ctl, char **arguments);
int verb_show(Healthctl *ctl, char **arguments);
int verb_silence(Healthctl *ctl, char **arguments);
int verb_status(Healthctl *ctl, char **arguments);
int verb_unsilence(Healthctl *ctl, char **arguments);
int verb_verify(Healthctl *ctl, char **arguments);
int verb_wait(Healthctl *ctl, char **arguments);
