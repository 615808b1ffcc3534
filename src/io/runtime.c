/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/runtime.h"

#include <errno.h>

#include "base/cleanup.h"
#include "io/bus.h"
#include "io/child.h"
#include "io/curl-glue.h"
#include "io/resolver.h"

Runtime *runtime_free(Runtime *runtime) {
        if (!runtime)
                return NULL;
        children_free(runtime->children);
        bus_free(runtime->bus);
        curl_glue_free(runtime->curl);
        resolver_free(runtime->resolver);
        sleep_watch_free(runtime->sleep);
        scheduler_free(runtime->scheduler);
        reactor_free(runtime->reactor);
        sd_event_unref(runtime->event);
        counters_done(&runtime->statistics.alerts);
        counters_done(&runtime->statistics.answers);
        counters_done(&runtime->statistics.guard_actions);
        free(runtime);
        return NULL;
}
DEFINE_CLEANUP(Runtime, runtime_free)

int runtime_new(Runtime **ret) {
        _cleanup_(runtime_freep) Runtime *runtime = calloc(1, sizeof(Runtime));
        int r;

        if (!runtime)
                return -ENOMEM;
        r = sd_event_new(&runtime->event);
        if (r < 0)
                return r;
        r = reactor_new(runtime->event, &runtime->reactor);
        if (r < 0)
                return r;
        r = scheduler_new(&runtime->scheduler);
        if (r < 0)
                return r;
        r = sleep_watch_new(runtime->reactor, &runtime->sleep);
        if (r < 0)
                return r;
        r = resolver_new(runtime->reactor, runtime->scheduler, &runtime->resolver);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(runtime);
        return 0;
}

int runtime_turn(Runtime *runtime, uint64_t max_usec) {
        uint64_t wait_usec = scheduler_wait_usec(runtime->scheduler);
        int r;

        r = sd_event_run(runtime->event, wait_usec < max_usec ? wait_usec : max_usec);
        if (r < 0)
                return r;
        if (sd_event_get_state(runtime->event) != SD_EVENT_FINISHED)
                scheduler_run_due(runtime->scheduler);
        return 0;
}

int runtime_run(Runtime *runtime) {
        int r, code;

        while (sd_event_get_state(runtime->event) != SD_EVENT_FINISHED) {
                r = runtime_turn(runtime, UINT64_MAX);
                if (r < 0)
                        return r;
        }
        r = sd_event_get_exit_code(runtime->event, &code);
        return r < 0 ? r : code;
}

int runtime_curl(Runtime *runtime, CurlGlue **ret) {
        int r;

        if (!runtime->curl) {
                r = curl_glue_new(runtime->reactor, runtime->scheduler, &runtime->curl);
                if (r < 0)
                        return r;
        }
        *ret = runtime->curl;
        return 0;
}

int runtime_bus(Runtime *runtime, Bus **ret) {
        int r;

        if (!runtime->bus) {
                r = bus_new(runtime->event, &runtime->bus);
                if (r < 0)
                        return r;
        }
        *ret = runtime->bus;
        return 0;
}
