/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/orphans.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file-util.h"
#include "base/string-util.h"
#include "base/time-util.h"

#define MARK_NAME            "HEALTHD_RUN="
#define CHILDREN_TEXT_SIZE   ((size_t) 16 * 1024)
#define END_PAUSE_NSEC       (10L * 1000 * 1000)
#define ENVIRONMENT_SIZE_MAX ((size_t) 128 * 1024)

struct Orphans {
        IoSource io;
        sigset_t died; /* SIGCHLD */
        int signal_fd; /* says when it is there; never read */
        OrphanIsKnown is_known;
        OrphanMayLive may_live;
        void *userdata;
};

const char *orphans_format_mark(char buffer[ORPHAN_MARK_SIZE], uint64_t run) {
        (void) snprintf(buffer, ORPHAN_MARK_SIZE, MARK_NAME "%d.%" PRIu64, getpid(), run);
        return buffer;
}

/*
 * The run that a process belongs to. Returns whether it says so, or -ESRCH if nothing can be read:
 * it is dying, and what it leaves is not ours yet.
 */
static int mark_find(pid_t pid, uint64_t *ret_run) {
        _cleanup_free_ char *environment = malloc(ENVIRONMENT_SIZE_MAX);
        char path[64], prefix[ORPHAN_MARK_SIZE];
        int length;

        if (!environment)
                return -ENOMEM;
        (void) snprintf(path, sizeof(path), "/proc/%d/environ", pid);
        (void) snprintf(prefix, sizeof(prefix), MARK_NAME "%d.", getpid());
        length = file_read_small(path, environment, ENVIRONMENT_SIZE_MAX);
        if (length <= 0)
                return -ESRCH;
        for (const char *p = environment; p < environment + length; p += strlen(p) + 1) {
                const char *number = string_after_prefix(p, prefix);

                if (!number)
                        continue;
                *ret_run = strtoull(number, NULL, 10);
                return 1;
        }
        return 0;
}

/* Its whole group, if it leads one: it is our child, so its number is not another's. */
static void orphan_kill(pid_t pid) {
        if (getpgid(pid) == pid)
                (void) kill(-pid, SIGKILL);
        (void) kill(pid, SIGKILL);
}

bool orphans_tend(Orphans *orphans) {
        char path[64], text[CHILDREN_TEXT_SIZE];
        bool found = false;
        const char *p = text;
        uint64_t run;
        char *end;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/self/task/%d/children", gettid());
        /* A kernel may be built without this list: then only the groups are killed. */
        if (file_read_small(path, text, sizeof(text)) < 0)
                return false;
        for (;; p = end) {
                pid_t pid = (pid_t) strtol(p, &end, 10);

                /* A number that is cut off has no space behind it. */
                if (end == p || *end != ' ')
                        break;
                if (orphans->is_known(pid, orphans->userdata))
                        continue;
                r = waitpid(pid, NULL, WNOHANG);
                if (r != 0) {
                        found = found || r > 0;
                        continue;
                }
                r = mark_find(pid, &run);
                if (r == 0 || (r > 0 && orphans->may_live(run, orphans->userdata)))
                        continue;
                if (r > 0)
                        orphan_kill(pid);
                found = true;
        }
        return found;
}

void orphans_end(Orphans *orphans, uint64_t until_usec) {
        const struct timespec pause = { .tv_nsec = END_PAUSE_NSEC };

        while (orphans_tend(orphans) && now_monotonic_usec() < until_usec)
                (void) sigtimedwait(&orphans->died, NULL, &pause);
}

/*
 * Somebody died, perhaps leaving children of his own to us. The signal is taken by a call that can
 * only find it there or not: a read() that fails leaves it, and the loop would spin.
 */
static void orphans_on_signal(IoSource *source, uint32_t revents, void *userdata) {
        Orphans *orphans = userdata;
        const struct timespec at_once = {};

        (void) source;
        (void) revents;
        if (sigtimedwait(&orphans->died, NULL, &at_once) > 0)
                (void) orphans_tend(orphans);
}

Orphans *orphans_free(Orphans *orphans) {
        if (!orphans)
                return NULL;
        io_source_remove(&orphans->io);
        fd_close(orphans->signal_fd);
        free(orphans);
        return NULL;
}
DEFINE_CLEANUP(Orphans, orphans_free)

int orphans_new(Reactor *reactor, OrphanIsKnown is_known, OrphanMayLive may_live, void *userdata,
                Orphans **ret) {
        _cleanup_(orphans_freep) Orphans *orphans = calloc(1, sizeof(Orphans));
        int r;

        if (!orphans)
                return -ENOMEM;
        orphans->is_known = is_known;
        orphans->may_live = may_live;
        orphans->userdata = userdata;
        sigemptyset(&orphans->died);
        sigaddset(&orphans->died, SIGCHLD);
        sigprocmask(SIG_BLOCK, &orphans->died, NULL);
        orphans->signal_fd = signalfd(-1, &orphans->died, SFD_CLOEXEC | SFD_NONBLOCK);
        if (orphans->signal_fd < 0)
                return -errno;
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return -errno;
        r = io_source_add(&orphans->io, reactor, orphans->signal_fd, EPOLLIN, orphans_on_signal,
                          orphans);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(orphans);
        return 0;
}
