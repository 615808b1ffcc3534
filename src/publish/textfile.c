/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/textfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "io/child.h"
#include "publish/journal-messages.h"
#include "report/metrics.h"

/* node_exporter is scraped no more often, as a rule. */
#define PACE_USEC   (15 * USEC_PER_SEC)
/* More is not written to a disk that works. */
#define WITHIN_USEC (10 * USEC_PER_SEC)

struct Textfile {
        Runtime *runtime;
        const HealthView *view;
        Journal *journal;
        char *path, *next_path; /* NULL: none is written */
        char *program;
        Timer timer; /* the next one, or the deadline of the one under way */
        Child *child;
        bool fails; /* and that was said */
};

static void textfile_complain(Textfile *textfile, const char *why) {
        if (textfile->fails)
                return;
        textfile->fails = true;
        journal_submit(textfile->journal,
                       journal_entry_new(
                                       LOG_WARNING, MESSAGE_TEXTFILE_FAILED,
                                       "Textfile=%s cannot be written: %s. It is tried again; "
                                       "ReadWritePaths= in the unit (systemctl edit healthd) lets "
                                       "healthd write to a directory that its user may write to.",
                                       textfile->path, why));
}

static void textfile_on_written(const ChildResult *result, void *userdata) {
        Textfile *textfile = userdata;

        textfile->child = NULL;
        if (result->error < 0)
                textfile_complain(textfile, strerrordesc_np(-result->error));
        else if (result->signal != 0 || result->exit_status != 0)
                textfile_complain(textfile, *result->errors ? result->errors : "it was killed");
        else
                textfile->fails = false;
        (void) timer_arm_after(&textfile->timer, PACE_USEC);
}

static int textfile_write(Textfile *textfile) {
        char *arguments[] = { textfile->program, textfile->path, NULL };
        _cleanup_free_ char *text = NULL;
        ChildCommand command = { .argv = arguments };
        int r;

        r = metrics_render(textfile->view, METRICS_PROMETHEUS, true, now_monotonic_usec(), &text,
                           NULL);
        if (r < 0)
                return r;
        command.input = text;
        return child_start(textfile->runtime, &command, textfile_on_written, textfile,
                           &textfile->child);
}

static void textfile_on_timer(Timer *timer, void *userdata) {
        Textfile *textfile = userdata;
        int r;

        if (textfile->child) {
                textfile->child = child_kill(textfile->child);
                textfile_complain(textfile, "the disk does not answer");
                (void) timer_arm_after(timer, PACE_USEC);
                return;
        }
        r = textfile_write(textfile);
        if (r < 0)
                textfile_complain(textfile, strerrordesc_np(-r));
        (void) timer_arm_after(timer, r < 0 ? PACE_USEC : WITHIN_USEC);
}

Textfile *textfile_free(Textfile *textfile) {
        if (!textfile)
                return NULL;
        child_kill(textfile->child);
        timer_disarm(&textfile->timer);
        free(textfile->path);
        free(textfile->next_path);
        free(textfile->program);
        free(textfile);
        return NULL;
}
DEFINE_CLEANUP(Textfile, textfile_free)

int textfile_new(Runtime *runtime, const HealthView *view, Journal *journal, Textfile **ret) {
        _cleanup_(textfile_freep) Textfile *textfile = calloc(1, sizeof(Textfile));

        if (!textfile)
                return -ENOMEM;
        textfile->runtime = runtime;
        textfile->view = view;
        textfile->journal = journal;
        timer_init(&textfile->timer, runtime->scheduler, textfile_on_timer, textfile);
        *ret = TAKE_PTR(textfile);
        return 0;
}

int textfile_prepare(Textfile *textfile, const char *path, const char *helper_directory) {
        int r = string_replace(&textfile->next_path, path);

        return r < 0 ? r : string_printf(&textfile->program, "%s/write-file", helper_directory);
}

void textfile_bind(Textfile *textfile) {
        _cleanup_free_ char *old = textfile->path;

        textfile->path = TAKE_PTR(textfile->next_path);
        if (string_equal(textfile->path, old))
                return;
        textfile->child = child_kill(textfile->child);
        timer_disarm(&textfile->timer);
        textfile->fails = false;
        if (textfile->path && timer_arm_after(&textfile->timer, USEC_PER_SEC) < 0)
                textfile_complain(textfile, "out of memory: not before the next reload");
}
