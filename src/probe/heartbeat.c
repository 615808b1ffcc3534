/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=heartbeat: an application or a job that calls in by itself (POST /control/beat), and is
 * missed when it does not. A job can say when a run begins and how it ended.
 */

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/probe.h"

#define PASSWD_PATH        "/etc/passwd"
#define GRACE_DEFAULT_USEC USEC_PER_MIN

/* Where save() puts what. Times are of CLOCK_REALTIME, 0: never. */
enum {
        KEPT_WAITING,
        KEPT_CALLED,
        KEPT_STARTED,
        KEPT_DURATION,
        KEPT_BEATS,
        KEPT_FLAGS,
        _KEPT_MAX,
};
_Static_assert(_KEPT_MAX <= PROBE_KEPT_MAX, "more than is kept");

#define KEPT_EXIT_STATUS UINT64_C(0xff)
#define KEPT_LOST        (UINT64_C(1) << 8)
#define KEPT_ALL_FLAGS   (KEPT_EXIT_STATUS | KEPT_LOST)

/* Times are of CLOCK_MONOTONIC; those of an earlier boot may lie before its beginning. */
typedef struct HeartbeatProbe {
        uint64_t every_usec;
        uint64_t grace_usec;
        StringList users;
        uid_t *uids;          /* of users, as many */
        int64_t waiting_usec; /* since when the first call is awaited */
        bool called;
        int64_t called_usec; /* the last time */
        bool running;
        int64_t started_usec;
        bool lost; /* a run began, and then another one */
        uint8_t exit_status;
        uint64_t duration_usec; /* of the last run that ended */
        uint64_t beats;
        Sample sample;
} HeartbeatProbe;

static int heartbeat_init(void *instance) {
        HeartbeatProbe *probe = instance;

        probe->grace_usec = GRACE_DEFAULT_USEC;
        probe->waiting_usec = (int64_t) now_monotonic_usec();
        return 0;
}

/*
 * The number of a user, from the file alone: other sources of users may be servers, which nobody
 * can wait for here. Returns 0, -ENOENT, or another negative errno.
 */
static int find_user(const char *name, uid_t *ret) {
        _cleanup_fclose_ FILE *file = NULL;
        const struct passwd *entry;
        double number;

        if (string_parse_number(name, &number, NULL)) {
                *ret = (uid_t) number;
                return number >= 0 && number < UINT32_MAX && number == (double) *ret ? 0 : -EINVAL;
        }
        file = fopen(PASSWD_PATH, "re");
        if (!file)
                return -errno;
        while ((entry = fgetpwent(file)))
                if (string_equal(entry->pw_name, name)) {
                        *ret = entry->pw_uid;
                        return 0;
                }
        return -ENOENT;
}

static int heartbeat_prepare(void *instance, ProbeSetup *setup) {
        HeartbeatProbe *probe = instance;
        size_t n_users = string_list_length(probe->users);

        if (probe->every_usec == 0)
                return probe_setup_refuse(setup, NULL,
                                          "Every= is missing in [Heartbeat]: how often does it "
                                          "call in? Write for example Every=1d");
        probe->uids = calloc(n_users + 1, sizeof(uid_t));
        if (!probe->uids)
                return -ENOMEM;
        for (size_t i = 0; i < n_users; i++)
                if (find_user(probe->users[i], &probe->uids[i]) < 0)
                        return probe_setup_refuse(setup, "User",
                                                  "User=%s: there is no such user in " PASSWD_PATH
                                                  "; create it, or write the user's number",
                                                  probe->users[i]);
        return 0;
}

static void add_details(const HeartbeatProbe *probe, int64_t age_usec, Sample *sample) {
        if (probe->called)
                sample_add_number(sample, "age_s", (double) age_usec / USEC_PER_SEC);
        sample_add_number(sample, "beats", (double) probe->beats);
        sample_add_boolean(sample, "running", probe->running);
        sample_add_number(sample, "last_exit_status", probe->exit_status);
        sample_add_number(sample, "duration_s", (double) probe->duration_usec / USEC_PER_SEC);
}

static void judge(const HeartbeatProbe *probe, int64_t age_usec, const char *name, Sample *sample) {
        bool late = age_usec > (int64_t) (probe->every_usec + probe->grace_usec);
        char age[64], every[64];

        time_span_format(age, sizeof(age), (uint64_t) age_usec);
        time_span_format(every, sizeof(every), probe->every_usec);
        if (!probe->called)
                sample_fail(sample,
                            "never called in, and that for %s; have it run \"healthctl beat %s\" "
                            "every %s",
                            age, name, every);
        else if (late && probe->running)
                sample_fail(sample, "a run began %s ago and has not ended, one is due every %s",
                            age, every);
        else if (late)
                sample_fail(sample, "last called in %s ago, it is due every %s", age, every);
        else if (probe->lost)
                sample_fail(sample, "a run began, and the one before it had not ended");
        else if (probe->exit_status != 0)
                sample_fail(sample, "the last run ended with exit status %u", probe->exit_status);
}

static int heartbeat_start(void *instance, Check *check) {
        HeartbeatProbe *probe = instance;
        int64_t since_usec = probe->called ? probe->called_usec : probe->waiting_usec;
        int64_t age_usec = (int64_t) now_monotonic_usec() - since_usec;

        if (!probe->called && age_usec <= (int64_t) (probe->every_usec + probe->grace_usec)) {
                check_report_nothing(check);
                return 0;
        }
        add_details(probe, age_usec, &probe->sample);
        judge(probe, age_usec, check->settings.name, &probe->sample);
        check_report(check, &probe->sample);
        return 0;
}

static bool may_call(const HeartbeatProbe *probe, const Beat *beat) {
        for (size_t i = 0; i < string_list_length(probe->users); i++)
                if (probe->uids[i] == beat->uid)
                        return true;
        return beat->trusted;
}

static int heartbeat_beat(void *instance, const Beat *beat) {
        int64_t now_usec = (int64_t) now_monotonic_usec();
        HeartbeatProbe *probe = instance;

        if (!may_call(probe, beat))
                return -EACCES;
        switch (beat->kind) {
        case BEAT_CALL:
                break;
        case BEAT_START:
                probe->lost = probe->lost || probe->running;
                probe->running = true;
                probe->started_usec = now_usec;
                break;
        case BEAT_FINISH:
                probe->duration_usec = probe->running ? (uint64_t) (now_usec - probe->started_usec)
                                                      : 0;
                probe->running = false;
                probe->lost = false;
                probe->exit_status = beat->exit_status;
                break;
        case _BEAT_MAX:
                break;
        }
        probe->called = true;
        probe->called_usec = now_usec;
        probe->beats++;
        return 0;
}

/* What is to be added to a time of CLOCK_MONOTONIC to make it one of CLOCK_REALTIME. */
static int64_t clock_offset(void) {
        return (int64_t) now_realtime_usec() - (int64_t) now_monotonic_usec();
}

static void heartbeat_save(const void *instance, uint64_t kept[PROBE_KEPT_MAX]) {
        const HeartbeatProbe *probe = instance;
        int64_t offset_usec = clock_offset();

        kept[KEPT_WAITING] = (uint64_t) (probe->waiting_usec + offset_usec);
        if (probe->called)
                kept[KEPT_CALLED] = (uint64_t) (probe->called_usec + offset_usec);
        if (probe->running)
                kept[KEPT_STARTED] = (uint64_t) (probe->started_usec + offset_usec);
        kept[KEPT_DURATION] = probe->duration_usec;
        kept[KEPT_BEATS] = probe->beats;
        kept[KEPT_FLAGS] = probe->exit_status | (probe->lost ? KEPT_LOST : 0);
}

/*
 * A time that was kept, on CLOCK_MONOTONIC. Not after now: the clock on the wall may have been set
 * back, or may not have been set yet on a host without one that runs on, and a call that lies in
 * the future would not be missed before that future has come.
 */
static int64_t restore_time(uint64_t kept_usec) {
        int64_t now_usec = (int64_t) now_monotonic_usec();
        int64_t usec = (int64_t) kept_usec - clock_offset();

        return usec < now_usec ? usec : now_usec;
}

static int heartbeat_restore(void *instance, const uint64_t kept[PROBE_KEPT_MAX]) {
        HeartbeatProbe *probe = instance;

        if ((kept[KEPT_FLAGS] & ~KEPT_ALL_FLAGS) != 0 || kept[KEPT_WAITING] > INT64_MAX ||
            kept[KEPT_CALLED] > INT64_MAX || kept[KEPT_STARTED] > INT64_MAX)
                return -EBADMSG;
        probe->waiting_usec = restore_time(kept[KEPT_WAITING]);
        probe->called = kept[KEPT_CALLED] > 0;
        probe->called_usec = restore_time(kept[KEPT_CALLED]);
        probe->running = kept[KEPT_STARTED] > 0;
        probe->started_usec = restore_time(kept[KEPT_STARTED]);
        probe->duration_usec = kept[KEPT_DURATION];
        probe->beats = kept[KEPT_BEATS];
        probe->exit_status = (uint8_t) (kept[KEPT_FLAGS] & KEPT_EXIT_STATUS);
        probe->lost = kept[KEPT_FLAGS] & KEPT_LOST;
        return 0;
}

static void heartbeat_cancel(void *instance, Sample *sample) {
        /* Reports before start() returns: there is never anything under way. */
        (void) instance;
        (void) sample;
}

static void heartbeat_done(void *instance) {
        HeartbeatProbe *probe = instance;

        string_list_free(probe->users);
        free(probe->uids);
        sample_done(&probe->sample);
}

static const ConfigRange every_range = { USEC_PER_SEC, USEC_PER_YEAR };
static const ConfigRange grace_range = { 0, USEC_PER_YEAR };
static const ConfigKey heartbeat_keys[] = {
        { "Every", config_parse_span, offsetof(HeartbeatProbe, every_usec), .data = &every_range },
        { "Grace", config_parse_span, offsetof(HeartbeatProbe, grace_usec), .data = &grace_range },
        { "User", config_parse_words, offsetof(HeartbeatProbe, users) },
        {},
};

const ProbeType heartbeat_probe = {
        .name = "heartbeat",
        .section = "Heartbeat",
        .instance_size = sizeof(HeartbeatProbe),
        .keys = heartbeat_keys,
        .serverless = true,
        .init = heartbeat_init,
        .prepare = heartbeat_prepare,
        .start = heartbeat_start,
        .beat = heartbeat_beat,
        .save = heartbeat_save,
        .restore = heartbeat_restore,
        .cancel = heartbeat_cancel,
        .done = heartbeat_done,
};
