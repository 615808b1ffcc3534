/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/http-engine.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/time-util.h"

/* Then other sources have their turn. */
#define RUNS_MAX      8
#define RUNS_USEC     (5 * USEC_PER_MSEC)
#define IDLE_RUNS_MAX 2
#define LOOK_USEC     (20 * USEC_PER_MSEC)

/*
 * While a handshake waits for its peer, libmicrohttpd says that there is something to do, though
 * there is nothing but to wait for the descriptor: one peer who sends half a greeting would have us
 * spin until the deadline. So what has moved no byte is asked again after a pause only.
 */
void http_engine_run(HttpEngine *engine) {
        uint64_t until_usec = now_monotonic_usec() + RUNS_USEC;
        bool pending = true, answered = true;
        int n_idle = 0;

        if (!engine->daemon)
                return;
        for (int i = 0; i < RUNS_MAX && (pending || answered) && n_idle < IDLE_RUNS_MAX; i++) {
                MHD_UNSIGNED_LONG_LONG timeout_ms;
                uint64_t n_requests = *engine->n_requests, n_moves = engine->n_moves;

                (void) MHD_run(engine->daemon);
                answered = *engine->n_requests != n_requests;
                pending = MHD_get_timeout(engine->daemon, &timeout_ms) == MHD_YES &&
                          timeout_ms == 0;
                n_idle = engine->counts_moves && !answered && engine->n_moves == n_moves
                                         ? n_idle + 1
                                         : 0;
                if (now_monotonic_usec() >= until_usec)
                        break;
        }
        /*
         * By the scheduler: in every turn it has its turn, and so has one of the sources. A
         * deferred source counts as pending since it was made: of its equals it would always be
         * first, and after them it has no turn while the checks keep the loop busy.
         */
        if (pending)
                (void) timer_arm_after(&engine->again_timer,
                                       n_idle >= IDLE_RUNS_MAX ? LOOK_USEC : 0);
}

void http_engine_begin(HttpEngine *engine) {
        (void) MHD_run(engine->daemon);
        (void) timer_arm_after(&engine->again_timer, 0);
}

static void http_engine_on_again(Timer *timer, void *userdata) {
        HttpEngine *engine = userdata;

        (void) timer;
        engine->on_ready(engine, engine->userdata);
}

static int http_engine_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        HttpEngine *engine = userdata;

        (void) source;
        (void) fd;
        (void) revents;
        engine->on_ready(engine, engine->userdata);
        return 0;
}

static int http_engine_watch(HttpEngine *engine, sd_event *event) {
        const union MHD_DaemonInfo *info;
        int r;

        info = MHD_get_daemon_info(engine->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        if (!info)
                return -EOPNOTSUPP;
        r = sd_event_add_io(event, &engine->io_source, info->epoll_fd, EPOLLIN, http_engine_on_io,
                            engine);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(engine->io_source, "http-engine");
        return 0;
}

int http_engine_start(HttpEngine *engine, Runtime *runtime, const HttpEngineSettings *settings) {
        int r;

        *engine = (HttpEngine){
                .n_requests = &runtime->statistics.requests,
                .counts_moves = settings->flags & MHD_USE_TLS,
                .on_ready = settings->on_ready,
                .userdata = settings->userdata,
        };
        timer_init(&engine->again_timer, runtime->scheduler, http_engine_on_again, engine);
        engine->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
                                                          settings->flags,
                                          0, NULL, NULL, settings->on_request, settings->userdata,
                                          MHD_OPTION_ARRAY, settings->options, MHD_OPTION_END);
        if (!engine->daemon)
                return -ENOMEM;
        r = http_engine_watch(engine, runtime->event);
        if (r < 0)
                http_engine_stop(engine);
        return r;
}

void http_engine_stop(HttpEngine *engine) {
        sd_event_source_disable_unref(engine->io_source);
        if (engine->daemon) {
                MHD_stop_daemon(engine->daemon);
                timer_disarm(&engine->again_timer);
        }
        *engine = (HttpEngine){};
}
