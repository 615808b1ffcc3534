/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Type=application: healthd itself. What it measures is what would make its other results wrong. */

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file-util.h"
#include "base/time-util.h"
#include "check/probe.h"

typedef struct ApplicationProbe {
        Sample sample;
} ApplicationProbe;

static void application_measure_process(Sample *sample) {
        char text[128];
        unsigned descriptors, threads;
        unsigned long resident;

        if (directory_count_numbers("/proc/self/fd", &descriptors) >= 0)
                sample_add_number(sample, "open_fds",
                                  descriptors - 1); /* not the one for reading */
        if (directory_count_numbers("/proc/self/task", &threads) >= 0)
                sample_add_number(sample, "threads", threads);
        if (file_read_small("/proc/self/statm", text, sizeof(text)) >= 0 &&
            sscanf(text, "%*u %lu", &resident) == 1)
                sample_add_number(sample, "memory",
                                  (double) resident * (double) sysconf(_SC_PAGESIZE));
}

static int application_start(void *instance, Check *check) {
        ApplicationProbe *probe = instance;
        const Statistics *statistics = &check->runtime->statistics;
        uint64_t lag_usec = scheduler_lag_usec(check->runtime->scheduler, now_monotonic_usec());

        /* This probe itself is no task that could pile up. */
        sample_add_number(&probe->sample, "active_tasks", (double) statistics->probes_active - 1);
        sample_add_number(&probe->sample, "loop_lag_ms", (double) lag_usec / USEC_PER_MSEC);
        application_measure_process(&probe->sample);
        sample_add_number(&probe->sample, "probes", (double) statistics->probes_run);
        sample_add_number(&probe->sample, "requests", (double) statistics->requests);
        sample_add_number(&probe->sample, "dropped", (double) statistics->journal_dropped);
        check_report(check, &probe->sample);
        return 0;
}

static void application_cancel(void *instance, Sample *sample) {
        /* Reports before start() returns: there is never anything under way. */
        (void) instance;
        (void) sample;
}

static void application_done(void *instance) {
        ApplicationProbe *probe = instance;

        sample_done(&probe->sample);
}

static const ConfigKey application_keys[] = { {} };
static const char *const application_unhealthy_when[] = { "active_tasks >= 100", NULL };

const ProbeType application_probe = {
        .name = "application",
        .section = "Application",
        .instance_size = sizeof(ApplicationProbe),
        .keys = application_keys,
        .unhealthy_when = application_unhealthy_when,
        .start = application_start,
        .cancel = application_cancel,
        .done = application_done,
};
