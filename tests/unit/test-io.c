/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The loop and the clients on it, over real sockets; only the clock and the name server are ours.
 */

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"
#include "io/address.h"
#include "io/certificate.h"
#include "io/curl-glue.h"
#include "io/json-pointer.h"
#include "io/resolver.h"
#include "io/stream.h"

/* Time can be moved on: what the process reads is the kernel's clock plus this. */
static time_t clock_ahead_sec;

int clock_gettime(clockid_t id, struct timespec *ret) {
        int r = (int) syscall(SYS_clock_gettime, id, ret);

        if (r == 0 && id == CLOCK_MONOTONIC)
                ret->tv_sec += clock_ahead_sec;
        return r;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *old) {
        struct itimerspec moved = *when;

        if (moved.it_value.tv_sec > 0)
                moved.it_value.tv_sec -= clock_ahead_sec;
        return (int) syscall(SYS_timerfd_settime, fd, flags, &moved, old);
}

/* The name server: "blocked.test" waits for the gate, others say what name_server_says. */
static sem_t gate;
static atomic_int look_ups;
static atomic_int name_server_says;
static struct sockaddr_in found_address;
static struct addrinfo found;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret) {
        int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

        if (!strstr(name, ".test")) {
                *(void **) &real = dlsym(RTLD_NEXT, "getaddrinfo");
                return real(name, service, hints, ret);
        }
        look_ups++;
        if (strcmp(name, "blocked.test") == 0)
                sem_wait(&gate);
        if (name_server_says == 0)
                *ret = &found;
        return name_server_says;
}

void freeaddrinfo(struct addrinfo *list) {
        void (*real)(struct addrinfo *);

        if (list == &found)
                return;
        *(void **) &real = dlsym(RTLD_NEXT, "freeaddrinfo");
        real(list);
}

static int set_up(void **state) {
        clock_ahead_sec = 0;
        look_ups = 0;
        name_server_says = 0;
        found_address = (struct sockaddr_in){
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        found = (struct addrinfo){
                .ai_family = AF_INET,
                .ai_addr = (struct sockaddr *) &found_address,
                .ai_addrlen = sizeof(found_address),
        };
        assert_int_equal(sem_init(&gate, 0, 0), 0);
        return runtime_new((Runtime **) state);
}

static int tear_down(void **state) {
        /* Threads that still wait may go. */
        for (int i = 0; i < 32; i++)
                sem_post(&gate);
        runtime_free(*state);
        return 0;
}

/* Turns the loop until *done is as large as wanted, or for five seconds. */
static bool run_until(Runtime *runtime, const unsigned *done, unsigned wanted) {
        for (unsigned i = 0; i < 500 && *done < wanted; i++)
                assert_true(runtime_turn(runtime, 10 * USEC_PER_MSEC) >= 0);
        return *done >= wanted;
}

static void run_rounds(Runtime *runtime, unsigned rounds) {
        for (unsigned i = 0; i < rounds; i++)
                assert_true(runtime_turn(runtime, 10 * USEC_PER_MSEC) >= 0);
}

static void test_address(void **state) {
        static const struct {
                const char *text;
                uint16_t default_port;
                int result;
                const char *path, *host;
                uint16_t port;
        } cases[] = {
                { "db1:6379", 0, 0, NULL, "db1", 6379 },
                { "db1", 6379, 0, NULL, "db1", 6379 },
                { "db1", 0, -EINVAL },
                { "a_b.example:1", 0, 0, NULL, "a_b.example", 1 },
                { "127.0.0.1:65535", 0, 0, NULL, "127.0.0.1", 65535 },
                { "127.0.0.1:65536", 0, -EINVAL },
                { "127.0.0.1:0", 0, -EINVAL },
                { "127.0.0.1:", 80, -EINVAL },
                { "127.0.0.1:8a", 80, -EINVAL },
                { "127.0.0.1:+8", 80, -EINVAL },
                { "[::1]:80", 0, 0, NULL, "::1", 80 },
                { "[::1]", 80, 0, NULL, "::1", 80 },
                { "[fe80::1%eth0]:80", 0, 0, NULL, "fe80::1%eth0", 80 },
                { "[fe80::1%]:80", 0, -EINVAL },
                { "fe80::1%eth0]", 80, -EINVAL },
                { "[::1", 80, -EINVAL },
                { "[::1]80", 80, -EINVAL },
                { "[]:80", 80, -EINVAL },
                { "::1", 80, 0, NULL, "::1", 80 },
                { "http://db1:80", 80, -EINVAL },
                { "db1:80:90", 80, -EINVAL },
                { "db 1:80", 80, -EINVAL },
                { ":80", 80, -EINVAL },
                { "", 80, -EINVAL },
                { "/run/x.sock", 80, 0, "/run/x.sock", NULL, 80 },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Address address = {};
                int r = address_parse(cases[i].text, cases[i].default_port, &address);
                if (r != cases[i].result)
                        fail_msg("%s: %d", cases[i].text, r);
                if (r < 0)
                        continue;
                assert_true(string_equal(address.path, cases[i].path));
                assert_true(string_equal(address.host, cases[i].host));
                assert_int_equal(address.port, cases[i].port);
                address_done(&address);
        }
}

static void test_json_pointer(void **state) {
        static const struct {
                const char *pointer;
                const char *value; /* NULL: no such thing */
        } cases[] = {
                { "/foo/0", "\"bar\"" },
                { "/foo/1", "\"baz\"" },
                { "/foo/2", NULL },
                { "/foo/01", NULL },
                { "/foo/-", NULL },
                { "/foo/", NULL },
                { "/foo/99999999999999999999", NULL },
                { "/foo", "[\"bar\",\"baz\"]" },
                { "/", "0" },
                { "/a~1b", "1" },
                { "/c%d", "2" },
                { "/m~0n", "8" },
                { "/~01", "9" },
                { "/A", "11" },
                { "/a", "10" },
                { "/deep/er/0/x", "true" },
                { "/deep/er/0/x/y", NULL },
                { "/deep//er", NULL },
                { "/none", NULL },
                { "/fo", NULL },
                { "/fooo", NULL },
                { "foo", NULL },
                { "/m~2n", NULL },
                { "/m~", NULL },
        };
        cJSON *root = cJSON_Parse("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"m~n\":8,"
                                  "\"~1\":9,\"a\":10,\"A\":11,\"deep\":{\"er\":[{\"x\":true}]}}");

        (void) state;
        assert_non_null(root);
        assert_ptr_equal(json_pointer_find(root, ""), root);
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                const cJSON *item = json_pointer_find(root, cases[i].pointer);
                char *text = item ? cJSON_PrintUnformatted(item) : NULL;
                if (!string_equal(text, cases[i].value))
                        fail_msg("%s: %s", cases[i].pointer, text ? text : "(none)");
                free(text);
        }
        cJSON_Delete(root);
        assert_true(json_pointer_is_valid("/a~0~1"));
        assert_false(json_pointer_is_valid("/a~"));
        assert_false(json_pointer_is_valid("a"));
}

typedef struct Tick {
        Timer timer;
        unsigned *n_elapsed;
        unsigned turn;
        uint64_t again_usec; /* re-arms itself once */
        Timer *disarms;
        Timer *delays; /* by a second */
} Tick;

static void tick_on_elapse(Timer *timer, void *userdata) {
        Tick *tick = userdata;

        tick->turn = ++*tick->n_elapsed;
        if (tick->disarms)
                timer_disarm(tick->disarms);
        if (tick->delays)
                assert_int_equal(timer_arm_after(tick->delays, USEC_PER_SEC), 0);
        if (tick->again_usec > 0)
                assert_int_equal(timer_arm_after(timer, tick->again_usec), 0);
        tick->again_usec = 0;
}

static void test_scheduler_order(void **state) {
        Runtime *runtime = *state;
        Tick ticks[200] = {};
        unsigned n_elapsed = 0;
        uint64_t now_usec = now_monotonic_usec();

        for (unsigned i = 0; i < ELEMENTS(ticks); i++) {
                ticks[i].n_elapsed = &n_elapsed;
                timer_init(&ticks[i].timer, runtime->scheduler, tick_on_elapse, &ticks[i]);
                /* 0, 7, 14, ... 193, 200 % 199 = 1, ...: every place once but the last. */
                assert_int_equal(timer_arm_at(&ticks[i].timer,
                                              now_usec + i * 7 % 199 * USEC_PER_MSEC * 10),
                                 0);
        }
        for (unsigned i = 0; i < ELEMENTS(ticks); i += 3)
                timer_disarm(&ticks[i].timer);
        for (unsigned i = 1; i < ELEMENTS(ticks); i += 3)
                assert_int_equal(timer_arm_at(&ticks[i].timer,
                                              now_usec + (i * 7 % 199 / 2) * USEC_PER_MSEC),
                                 0);
        assert_true(run_until(runtime, &n_elapsed, 133));
        for (unsigned i = 0; i < ELEMENTS(ticks); i++) {
                assert_int_equal(ticks[i].turn == 0, i % 3 == 0);
                assert_false(timer_is_armed(&ticks[i].timer));
                for (unsigned j = 0; ticks[i].turn > 0 && j < ELEMENTS(ticks); j++)
                        if (ticks[j].turn > ticks[i].turn)
                                assert_true(ticks[j].timer.due_usec >= ticks[i].timer.due_usec);
        }
}

static void test_scheduler_in_handlers(void **state) {
        Runtime *runtime = *state;
        unsigned n_elapsed = 0, n_others = 0;
        Tick a = { .n_elapsed = &n_elapsed, .again_usec = 1 }, b = { .n_elapsed = &n_others };

        a.disarms = &b.timer;
        timer_init(&a.timer, runtime->scheduler, tick_on_elapse, &a);
        timer_init(&b.timer, runtime->scheduler, tick_on_elapse, &b);
        /* Both are due in the same round; the first takes the second away. */
        assert_int_equal(timer_arm_after(&a.timer, 0), 0);
        assert_int_equal(timer_arm_after(&b.timer, 1), 0);
        assert_true(run_until(runtime, &n_elapsed, 2));
        assert_int_equal(n_others, 0);
}

/* All are due at once, more than are taken out at a time; handlers reach for those that wait. */
static void test_scheduler_among_due(void **state) {
        Runtime *runtime = *state;
        unsigned n_elapsed = 0, n_disarmed = 0;
        uint64_t now_usec = now_monotonic_usec();
        Tick ticks[100] = {};

        for (unsigned i = 0; i < ELEMENTS(ticks); i++) {
                ticks[i].n_elapsed = i % 10 == 5 ? &n_disarmed : &n_elapsed;
                ticks[i].disarms = i % 10 == 4 ? &ticks[i + 1].timer : NULL;
                ticks[i].delays = i % 10 == 6 ? &ticks[i + 1].timer : NULL;
                timer_init(&ticks[i].timer, runtime->scheduler, tick_on_elapse, &ticks[i]);
                assert_int_equal(timer_arm_at(&ticks[i].timer, now_usec + i * SCHEDULER_TICK_USEC),
                                 0);
        }
        clock_ahead_sec = 3;
        scheduler_run_due(runtime->scheduler);
        assert_int_equal(n_elapsed, 80);
        for (unsigned i = 0; i < ELEMENTS(ticks); i++)
                assert_int_equal(timer_is_armed(&ticks[i].timer), i % 10 == 7);
        assert_int_equal(scheduler_overdue_usec(runtime->scheduler, now_monotonic_usec()), 0);
        clock_ahead_sec = 6;
        assert_int_equal(scheduler_wait_usec(runtime->scheduler), 0);
        scheduler_run_due(runtime->scheduler);
        assert_int_equal(n_elapsed, 90);
        assert_int_equal(n_disarmed, 0);
        assert_true(ticks[98].turn < ticks[99].turn && ticks[99].turn < ticks[97].turn);
        assert_int_equal(scheduler_wait_usec(runtime->scheduler), UINT64_MAX);
}

static void test_scheduler_extremes(void **state) {
        Runtime *runtime = *state;
        unsigned n_elapsed = 0;
        Tick past = { .n_elapsed = &n_elapsed }, never = { .n_elapsed = &n_elapsed };

        timer_init(&past.timer, runtime->scheduler, tick_on_elapse, &past);
        timer_init(&never.timer, runtime->scheduler, tick_on_elapse, &never);
        assert_int_equal(timer_arm_after(&never.timer, UINT64_MAX), 0);
        assert_int_equal(timer_arm_at(&past.timer, 0), 0);
        assert_true(run_until(runtime, &n_elapsed, 1));
        /* What was due long ago is not the loop's lag. */
        assert_true(scheduler_lag_usec(runtime->scheduler, now_monotonic_usec()) < USEC_PER_SEC);
        run_rounds(runtime, 3);
        assert_int_equal(n_elapsed, 1);
        timer_disarm(&never.timer);
}

static void test_scheduler_lag(void **state) {
        Runtime *runtime = *state;
        unsigned n_elapsed = 0;
        Tick tick = { .n_elapsed = &n_elapsed };
        uint64_t lag_usec;

        timer_init(&tick.timer, runtime->scheduler, tick_on_elapse, &tick);
        assert_int_equal(timer_arm_after(&tick.timer, 1), 0);
        clock_ahead_sec = 3;
        lag_usec = scheduler_lag_usec(runtime->scheduler, now_monotonic_usec());
        assert_in_range(lag_usec, 2900000, 3500000);
        assert_true(run_until(runtime, &n_elapsed, 1));
        lag_usec = scheduler_lag_usec(runtime->scheduler, now_monotonic_usec());
        assert_in_range(lag_usec, 2900000, 3500000);
        clock_ahead_sec = 20;
        assert_int_equal(scheduler_lag_usec(runtime->scheduler, now_monotonic_usec()), 0);
}

typedef struct Pipe {
        IoSource io;
        int fds[2];
        struct Pipe *removes;
        unsigned *n_events;
} Pipe;

static void pipe_on_event(IoSource *source, uint32_t revents, void *userdata) {
        Pipe *this = userdata;

        assert_true(revents & EPOLLIN);
        ++*this->n_events;
        io_source_remove(source);
        if (this->removes)
                io_source_remove(&this->removes->io);
}

static void test_reactor_remove_in_round(void **state) {
        Runtime *runtime = *state;
        unsigned n_events = 0;
        Pipe pipes[2] = { { .removes = &pipes[1] }, { .removes = &pipes[0] } };

        for (unsigned i = 0; i < 2; i++) {
                pipes[i].n_events = &n_events;
                assert_int_equal(pipe(pipes[i].fds), 0);
                assert_int_equal(write(pipes[i].fds[1], "x", 1), 1);
                assert_int_equal(io_source_add(&pipes[i].io, runtime->reactor, pipes[i].fds[0],
                                               EPOLLIN, pipe_on_event, &pipes[i]),
                                 0);
        }
        /* Both are ready in one round; whoever is first takes the other away. */
        run_rounds(runtime, 3);
        assert_int_equal(n_events, 1);
        for (unsigned i = 0; i < 2; i++) {
                io_source_remove(&pipes[i].io);
                close(pipes[i].fds[0]);
                close(pipes[i].fds[1]);
        }
}

typedef struct Neighbour {
        IoSource io;
        Timer timer;
        Needs needs;
        int fd;
        struct Neighbour **neighbours; /* the last one is NULL */
        unsigned *n_handled;
} Neighbour;

static void neighbour_free(Neighbour *neighbour) {
        io_source_remove(&neighbour->io);
        timer_disarm(&neighbour->timer);
        close(neighbour->fd);
        free(neighbour);
}

/* Whoever is first takes all others away, with what they were looked ahead for. */
static void neighbour_handle(Neighbour *neighbour) {
        ++*neighbour->n_handled;
        for (Neighbour **other = neighbour->neighbours; *other; other++)
                if (*other != neighbour) {
                        neighbour_free(*other);
                        *other = neighbour;
                }
        io_source_remove(&neighbour->io);
}

static void neighbour_on_event(IoSource *source, uint32_t revents, void *userdata) {
        (void) source;
        (void) revents;
        neighbour_handle(userdata);
}

static void neighbour_on_elapse(Timer *timer, void *userdata) {
        (void) timer;
        neighbour_handle(userdata);
}

static void free_while_looked_ahead(Runtime *runtime, bool by_timer) {
        Neighbour *neighbours[9] = {};
        unsigned n_handled = 0;

        for (unsigned i = 0; i + 1 < ELEMENTS(neighbours); i++) {
                Neighbour *neighbour = calloc(1, sizeof(Neighbour));
                assert_non_null(neighbour);
                neighbour->neighbours = neighbours;
                neighbour->n_handled = &n_handled;
                neighbour->fd = eventfd(1, EFD_CLOEXEC);
                needs_add(&neighbour->needs, neighbour, sizeof(Neighbour));
                assert_int_equal(io_source_add(&neighbour->io, runtime->reactor, neighbour->fd,
                                               by_timer ? 0 : EPOLLIN, neighbour_on_event,
                                               neighbour),
                                 0);
                io_source_set_needs(&neighbour->io, &neighbour->needs);
                timer_init(&neighbour->timer, runtime->scheduler, neighbour_on_elapse, neighbour);
                timer_set_needs(&neighbour->timer, &neighbour->needs);
                if (by_timer)
                        assert_int_equal(timer_arm_after(&neighbour->timer, 0), 0);
                neighbours[i] = neighbour;
        }
        run_rounds(runtime, 3);
        assert_int_equal(n_handled, 1);
        neighbour_free(neighbours[0]);
}

static void test_free_while_looked_ahead(void **state) {
        free_while_looked_ahead(*state, false);
        free_while_looked_ahead(*state, true);
}

typedef struct Asker {
        Runtime *runtime;
        ResolverQuery *query;
        unsigned *n_answers;
        ResolverAnswer answer;
        ResolverQuery **cancels;
} Asker;

static void asker_on_answer(const ResolverAnswer *answer, void *userdata) {
        Asker *asker = userdata;

        asker->query = NULL;
        asker->answer = *answer;
        ++*asker->n_answers;
        if (asker->cancels)
                *asker->cancels = resolver_query_cancel(*asker->cancels);
}

static void ask(Asker *asker, const char *host) {
        assert_int_equal(resolver_query(asker->runtime->resolver, host, asker_on_answer, asker,
                                        &asker->query),
                         0);
}

static void test_resolver_numeric(void **state) {
        static const char *const hosts[] = { "127.0.0.1", "::1", "[::1]" };
        static const char *const others[] = {
                "",          "[", "[]", "127.0.0.1.5", "localhost", "::1%", "fe80::1%no-such-link",
                "1.2.3.4%lo"
        };
        unsigned n_answers = 0;
        ResolvedAddress address;
        char text[INET6_ADDRSTRLEN];

        for (size_t i = 0; i < ELEMENTS(others); i++)
                assert_false(resolver_parse_numeric(others[i], &address));
        assert_true(resolver_parse_numeric("fe80::1%lo", &address));
        assert_int_equal(address.in6.sin6_scope_id, 1);
        for (size_t i = 0; i < ELEMENTS(hosts); i++) {
                Asker asker = { .runtime = *state, .n_answers = &n_answers };
                ask(&asker, hosts[i]);
                assert_int_equal(n_answers, i);
                assert_true(run_until(*state, &n_answers, (unsigned) i + 1));
                assert_null(asker.answer.error);
                assert_int_equal(asker.answer.n_addresses, 1);
                assert_string_equal(resolved_address_format(&asker.answer.addresses[0], text,
                                                            sizeof(text)),
                                    i == 0 ? "127.0.0.1" : "::1");
        }
}

static void test_resolver_localhost(void **state) {
        unsigned n_answers = 0;
        Asker asker = { .runtime = *state, .n_answers = &n_answers };

        ask(&asker, "localhost");
        assert_int_equal(n_answers, 0);
        assert_true(run_until(*state, &n_answers, 1));
        assert_null(asker.answer.error);
        assert_true(asker.answer.n_addresses > 0);
}

static void test_resolver_single_flight(void **state) {
        unsigned n_answers = 0;
        Asker askers[8] = {};

        for (size_t i = 0; i < ELEMENTS(askers); i++) {
                askers[i] = (Asker){ .runtime = *state, .n_answers = &n_answers };
                ask(&askers[i], "blocked.test");
        }
        askers[7].query = resolver_query_cancel(askers[7].query);
        run_rounds(*state, 3);
        assert_int_equal(n_answers, 0);
        sem_post(&gate);
        assert_true(run_until(*state, &n_answers, 7));
        assert_int_equal(look_ups, 1);

        /* For five seconds the answer is good without asking. */
        ask(&askers[0], "blocked.test");
        assert_int_equal(n_answers, 7);
        assert_true(run_until(*state, &n_answers, 8));
        assert_int_equal(look_ups, 1);
        clock_ahead_sec = 6;
        sem_post(&gate);
        ask(&askers[0], "blocked.test");
        assert_true(run_until(*state, &n_answers, 9));
        assert_int_equal(look_ups, 2);
}

static void test_resolver_cancel_in_handler(void **state) {
        unsigned n_answers = 0;
        Asker a = { .runtime = *state, .n_answers = &n_answers };
        Asker b = { .runtime = *state, .n_answers = &n_answers };

        a.cancels = &b.query;
        b.cancels = &a.query;
        ask(&a, "one.test");
        ask(&b, "one.test");
        assert_true(run_until(*state, &n_answers, 1));
        run_rounds(*state, 3);
        assert_int_equal(n_answers, 1);
        assert_null(a.query);
        assert_null(b.query);
}

static void test_resolver_many_dead_names(void **state) {
        unsigned n_dead = 0, n_answers = 0;
        Asker dead[15] = {}, live = { .runtime = *state, .n_answers = &n_answers };

        /* A dead name holds one thread only, so that others are still found. */
        for (size_t i = 0; i < ELEMENTS(dead); i++) {
                dead[i] = (Asker){ .runtime = *state, .n_answers = &n_dead };
                ask(&dead[i], "blocked.test");
        }
        ask(&live, "one.test");
        assert_true(run_until(*state, &n_answers, 1));
        assert_int_equal(n_dead, 0);
        /* The runtime is freed with queries waiting and a thread inside getaddrinfo(). */
}

static void test_resolver_last_good(void **state) {
        unsigned n_answers = 0;
        Asker asker = { .runtime = *state, .n_answers = &n_answers };

        ask(&asker, "one.test");
        assert_true(run_until(*state, &n_answers, 1));
        clock_ahead_sec = 60;
        name_server_says = EAI_AGAIN;
        ask(&asker, "one.test");
        assert_true(run_until(*state, &n_answers, 2));
        assert_int_equal(look_ups, 2);
        assert_null(asker.answer.error);
        assert_int_equal(asker.answer.n_addresses, 1);

        clock_ahead_sec = 660;
        ask(&asker, "one.test");
        assert_true(run_until(*state, &n_answers, 3));
        assert_string_equal(asker.answer.error, gai_strerror(EAI_AGAIN));
}

static void test_resolver_no_such_name(void **state) {
        unsigned n_answers = 0;
        Asker asker = { .runtime = *state, .n_answers = &n_answers };

        ask(&asker, "one.test");
        assert_true(run_until(*state, &n_answers, 1));
        clock_ahead_sec = 60;
        /* The name server says it is gone: then it is, whatever it was before. */
        name_server_says = EAI_NONAME;
        ask(&asker, "one.test");
        assert_true(run_until(*state, &n_answers, 2));
        assert_string_equal(asker.answer.error, gai_strerror(EAI_NONAME));
}

static void test_resolver_silent_name_server(void **state) {
        unsigned n_answers = 0;
        Asker asker = { .runtime = *state, .n_answers = &n_answers };
        uint64_t start_usec;

        sem_post(&gate);
        ask(&asker, "blocked.test");
        assert_true(run_until(*state, &n_answers, 1));
        clock_ahead_sec = 60;
        start_usec = now_monotonic_usec();
        ask(&asker, "blocked.test");
        assert_true(run_until(*state, &n_answers, 2));
        assert_in_range(now_monotonic_usec() - start_usec, 1000000, 2500000);
        assert_null(asker.answer.error);
        /* It is still silent: the next one does not wait at all. */
        start_usec = now_monotonic_usec();
        ask(&asker, "blocked.test");
        assert_true(run_until(*state, &n_answers, 3));
        assert_true(now_monotonic_usec() - start_usec < USEC_PER_SEC / 2);
        assert_null(asker.answer.error);
        assert_int_equal(look_ups, 2);
}

static void test_resolver_forgets_names(void **state) {
        unsigned n_answers = 0;
        Asker asker = { .runtime = *state, .n_answers = &n_answers };
        char host[32];

        for (unsigned i = 0; i < 4100; i++) {
                clock_ahead_sec = (time_t) i / 1000;
                (void) snprintf(host, sizeof(host), "n%u.test", i);
                ask(&asker, host);
                assert_true(run_until(*state, &n_answers, i + 1));
        }
        assert_int_equal(look_ups, 4100);
        /* The oldest one was forgotten, the newest ones were not. */
        ask(&asker, "n4099.test");
        assert_true(run_until(*state, &n_answers, 4101));
        assert_int_equal(look_ups, 4100);
        ask(&asker, "n0.test");
        assert_true(run_until(*state, &n_answers, 4102));
        assert_int_equal(look_ups, 4101);
}

typedef struct Client {
        Runtime *runtime;
        StreamTarget target;
        Stream *stream;
        unsigned n_connected, n_readable, n_writable, n_failed;
        bool closes; /* in the first event */
} Client;

static void client_on_event(Stream *stream, StreamEvent event, void *userdata) {
        Client *client = userdata;

        assert_ptr_equal(stream, client->stream);
        client->n_connected += event == STREAM_CONNECTED;
        client->n_readable += event == STREAM_READABLE;
        client->n_writable += event == STREAM_WRITABLE;
        client->n_failed += event == STREAM_FAILED;
        if (client->closes)
                client->stream = stream_close(stream);
}

static void client_open(Client *client) {
        assert_int_equal(stream_open(client->runtime, &client->target, client_on_event, client,
                                     &client->stream),
                         0);
        assert_int_equal(client->n_connected + client->n_failed, 0);
}

/* A socket that listens on a free port of 127.0.0.1. */
static int listen_on_loopback(uint16_t *ret_port) {
        struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        socklen_t size = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, size), 0);
        assert_int_equal(listen(fd, 8), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *) &address, &size), 0);
        *ret_port = ntohs(address.sin_port);
        return fd;
}

static void check_dialogue(Client *client, int peer) {
        char text[16], block[65536] = {};
        size_t sent = 0, received = 0;
        ssize_t n;

        assert_int_equal(stream_read(client->stream, text, sizeof(text)), -EAGAIN);
        assert_int_equal(stream_write(client->stream, "PING", 4), 4);
        assert_int_equal(recv(peer, text, sizeof(text), 0), 4);
        assert_int_equal(send(peer, "+PONG", 5, 0), 5);
        assert_true(run_until(client->runtime, &client->n_readable, 1));
        assert_int_equal(stream_read(client->stream, text, sizeof(text)), 5);
        assert_memory_equal(text, "+PONG", 5);
        assert_int_equal(stream_read(client->stream, text, sizeof(text)), -EAGAIN);

        /* More than the peer takes: WRITABLE comes once there is room, and not before. */
        do {
                n = stream_write(client->stream, block, sizeof(block));
                assert_true(n >= 0);
                sent += (size_t) n;
        } while (n == sizeof(block));
        run_rounds(client->runtime, 2);
        assert_int_equal(client->n_writable, 0);
        while (received < sent) {
                n = recv(peer, block, sizeof(block), 0);
                assert_true(n > 0);
                received += (size_t) n;
        }
        assert_true(run_until(client->runtime, &client->n_writable, 1));

        /* Idle, then closed by the peer. */
        client->n_readable = 0;
        run_rounds(client->runtime, 2);
        assert_int_equal(client->n_readable, 0);
        close(peer);
        assert_true(run_until(client->runtime, &client->n_readable, 1));
        assert_int_equal(stream_read(client->stream, text, sizeof(text)), 0);
        run_rounds(client->runtime, 3);
        assert_int_equal(client->n_readable, 1);
        assert_non_null(strstr(stream_error(client->stream), "closed the connection"));
}

static void test_stream_tcp(void **state) {
        Client client = { .runtime = *state, .target.host = "one.test" };
        int fd = listen_on_loopback(&client.target.port);
        char stage[64];

        client_open(&client);
        assert_string_equal(stream_stage(client.stream), "resolving one.test");
        assert_true(run_until(*state, &client.n_connected, 1));
        (void) snprintf(stage, sizeof(stage), "waiting for one.test (127.0.0.1:%u)",
                        client.target.port);
        assert_string_equal(stream_stage(client.stream), stage);
        check_dialogue(&client, accept(fd, NULL, NULL));
        stream_close(client.stream);
        close(fd);
}

static void test_stream_unix(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char directory[] = "/tmp/test-io-XXXXXX";
        Client client = { .runtime = *state, .target.path = address.sun_path };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_non_null(mkdtemp(directory));
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", directory);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 0), 0);
        client_open(&client);
        assert_true(run_until(*state, &client.n_connected, 1));

        /* The queue is full now: the next one waits for a place, and is no failure. */
        Client second = { .runtime = *state, .target.path = address.sun_path };
        client_open(&second);
        run_rounds(*state, 10);
        assert_int_equal(second.n_connected + second.n_failed, 0);

        check_dialogue(&client, accept(fd, NULL, NULL));
        assert_true(run_until(*state, &second.n_connected, 1));
        stream_close(second.stream);
        stream_close(client.stream);
        close(fd);
        (void) unlink(address.sun_path);
        (void) rmdir(directory);
}

static void test_stream_failures(void **state) {
        char expected[128], path[200];
        uint16_t port;

        close(listen_on_loopback(&port));
        memset(path, 'x', sizeof(path) - 1);
        path[0] = '/';
        path[sizeof(path) - 1] = '\0';

        (void) snprintf(expected, sizeof(expected),
                        "connecting to one.test (127.0.0.1:%u): Connection refused", port);
        const struct {
                StreamTarget target;
                const char *error;
        } cases[] = {
                { { .host = "one.test", .port = port }, expected },
                { { .host = "one.test", .port = port, .tls = true }, expected },
                { { .path = "/nowhere/x.sock" },
                  "connecting to /nowhere/x.sock: No such file or directory" },
                { { .path = "/nowhere/x.sock", .tls = true },
                  "connecting to /nowhere/x.sock: No such file or directory" },
                { { .path = path }, "File name too long" },
        };
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Client client = { .runtime = *state, .target = cases[i].target };
                client_open(&client);
                assert_true(run_until(*state, &client.n_failed, 1));
                if (!strstr(stream_error(client.stream), cases[i].error))
                        fail_msg("%s", stream_error(client.stream));
                assert_false(stream_failed_internally(client.stream));
                stream_close(client.stream);
        }
}

static void test_stream_unknown_name(void **state) {
        Client client = { .runtime = *state, .target = { .host = "gone.test", .port = 1 } };

        name_server_says = EAI_NONAME;
        client_open(&client);
        assert_true(run_until(*state, &client.n_failed, 1));
        assert_string_equal(stream_error(client.stream),
                            "resolving gone.test: Name or service not known");
        stream_close(client.stream);
}

static void test_stream_next_address(void **state) {
        struct sockaddr_in first = {
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1),
        };
        struct addrinfo other = found;
        Client client = { .runtime = *state, .target.host = "two.test" };
        int fd = listen_on_loopback(&client.target.port);

        /* Nobody listens on 127.0.0.2. */
        found.ai_addr = (struct sockaddr *) &first;
        found.ai_next = &other;
        client_open(&client);
        assert_true(run_until(*state, &client.n_connected, 1));
        stream_close(client.stream);
        close(fd);
}

static void test_stream_out_of_descriptors(void **state) {
        struct rlimit limit, none;
        Client clients[2] = {
                { .runtime = *state, .target = { .host = "127.0.0.1", .port = 9 } },
                { .runtime = *state, .target = { .host = "127.0.0.1", .port = 9, .tls = true } },
        };

        for (size_t i = 0; i < ELEMENTS(clients); i++) {
                assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
                none = limit;
                none.rlim_cur = 3;
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
                client_open(&clients[i]);
                assert_true(run_until(*state, &clients[i].n_failed, 1));
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
                assert_string_equal(stream_error(clients[i].stream),
                                    "connecting to 127.0.0.1:9: Too many open files");
                assert_true(stream_failed_internally(clients[i].stream));
                stream_close(clients[i].stream);
        }
}

static void test_stream_close_anywhere(void **state) {
        Client waiting = { .runtime = *state, .target = { .host = "blocked.test", .port = 1 } };
        Client closing = { .runtime = *state, .target = { .host = "127.0.0.1" }, .closes = true };
        Client tls = { .runtime = *state, .target = { .host = "127.0.0.1", .tls = true } };
        int fd = listen_on_loopback(&closing.target.port);

        client_open(&waiting);
        run_rounds(*state, 2);
        stream_close(waiting.stream);

        client_open(&closing);
        assert_true(run_until(*state, &closing.n_connected, 1));
        assert_null(closing.stream);

        /* In the middle of a handshake nobody answers. */
        tls.target.port = closing.target.port;
        client_open(&tls);
        run_rounds(*state, 5);
        assert_int_equal(tls.n_connected + tls.n_failed, 0);
        stream_close(tls.stream);

        close(fd);
        closing.target.tls = true;
        closing.n_failed = closing.n_connected = 0;
        client_open(&closing);
        assert_true(run_until(*state, &closing.n_failed, 1));
        assert_null(closing.stream);
}

static void transfer_on_done(CurlTransfer *transfer, CURLcode result, void *userdata) {
        (void) transfer;
        assert_int_equal(result, CURLE_COULDNT_CONNECT);
        ++*(unsigned *) userdata;
}

static void test_curl_never_resolves(void **state) {
        Runtime *runtime = *state;
        CurlTransfer transfer = {};
        ResolvedAddress address;
        CurlGlue *glue;
        unsigned n_done = 0;
        uint16_t port;

        close(listen_on_loopback(&port));
        assert_int_equal(runtime_curl(runtime, &glue), 0);
        assert_int_equal(curl_transfer_prepare(&transfer), 0);
        curl_easy_setopt(transfer.easy, CURLOPT_URL, "http://one.test/");
        assert_int_equal(curl_transfer_start(&transfer, glue, transfer_on_done, &n_done), -EINVAL);
        for (unsigned i = 0; i < 3; i++) {
                assert_true(resolver_parse_numeric("127.0.0.1", &address));
                assert_int_equal(curl_transfer_set_address(&transfer, &address, port), 0);
                assert_int_equal(curl_transfer_start(&transfer, glue, transfer_on_done, &n_done),
                                 0);
                assert_int_equal(n_done, i);
                if (i == 1) {
                        /* Cancelled: nobody is told. */
                        run_rounds(runtime, 0);
                        curl_transfer_cancel(&transfer);
                        run_rounds(runtime, 3);
                        assert_int_equal(n_done, i);
                        n_done++;
                        continue;
                }
                assert_true(run_until(runtime, &n_done, i + 1));
                assert_string_equal(curl_transfer_strerror(&transfer, CURLE_COULDNT_CONNECT),
                                    "Connection refused");
        }
        assert_int_equal(look_ups, 0);
        curl_transfer_done(&transfer);
}

typedef struct Owner {
        CurlTransfer transfer;
        CurlGlue *glue;
        unsigned n_done;
} Owner;

static void owner_on_done(CurlTransfer *transfer, CURLcode result, void *userdata) {
        Owner *owner = userdata;

        assert_int_not_equal(result, CURLE_OK);
        curl_transfer_done(transfer);
        owner->glue = curl_glue_free(owner->glue);
        owner->n_done++;
}

static void test_curl_free_in_handler(void **state) {
        Runtime *runtime = *state;
        ResolvedAddress address;
        Owner owner = {};
        uint16_t port;

        close(listen_on_loopback(&port));
        assert_true(resolver_parse_numeric("127.0.0.1", &address));
        assert_int_equal(curl_glue_new(runtime->reactor, runtime->scheduler, &owner.glue), 0);
        assert_int_equal(curl_transfer_prepare(&owner.transfer), 0);
        curl_easy_setopt(owner.transfer.easy, CURLOPT_URL, "http://one.test/");
        assert_int_equal(curl_transfer_set_address(&owner.transfer, &address, port), 0);
        assert_int_equal(curl_transfer_start(&owner.transfer, owner.glue, owner_on_done, &owner),
                         0);
        assert_true(run_until(runtime, &owner.n_done, 1));
        assert_null(owner.glue);
}

static void test_certificates_that_there_are_none_of(void **state) {
        CertificateChain chain = { .expiry = 1 };
        CURL *easy = curl_easy_init();

        (void) state;
        assert_non_null(easy);
        certificate_chain_read(easy, &chain);
        assert_int_equal(chain.expiry, 0);
        assert_null(chain.subject);
        /* What was verified and refused nevertheless is of another name. */
        assert_non_null(certificate_advise(easy, CURLE_PEER_FAILED_VERIFICATION));
        assert_null(certificate_advise(easy, CURLE_COULDNT_CONNECT));
        curl_easy_cleanup(easy);
}

static int load_libcurl(void **state) {
        _cleanup_free_ char *why = NULL;

        (void) state;
        return library_load(&library_libcurl, &why);
}

#define LOOP_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_address),
                cmocka_unit_test(test_json_pointer),
                cmocka_unit_test(test_certificates_that_there_are_none_of),
                LOOP_TEST(test_scheduler_order),
                LOOP_TEST(test_scheduler_in_handlers),
                LOOP_TEST(test_scheduler_among_due),
                LOOP_TEST(test_scheduler_extremes),
                LOOP_TEST(test_scheduler_lag),
                LOOP_TEST(test_reactor_remove_in_round),
                LOOP_TEST(test_free_while_looked_ahead),
                LOOP_TEST(test_resolver_numeric),
                LOOP_TEST(test_resolver_localhost),
                LOOP_TEST(test_resolver_single_flight),
                LOOP_TEST(test_resolver_cancel_in_handler),
                LOOP_TEST(test_resolver_many_dead_names),
                LOOP_TEST(test_resolver_last_good),
                LOOP_TEST(test_resolver_no_such_name),
                LOOP_TEST(test_resolver_silent_name_server),
                LOOP_TEST(test_resolver_forgets_names),
                LOOP_TEST(test_stream_tcp),
                LOOP_TEST(test_stream_unix),
                LOOP_TEST(test_stream_failures),
                LOOP_TEST(test_stream_unknown_name),
                LOOP_TEST(test_stream_next_address),
                LOOP_TEST(test_stream_out_of_descriptors),
                LOOP_TEST(test_stream_close_anywhere),
                LOOP_TEST(test_curl_never_resolves),
                LOOP_TEST(test_curl_free_in_handler),
        };

        return cmocka_run_group_tests(tests, load_libcurl, NULL);
}
