/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A whole saved state, damaged byte by byte and loaded as at a start: whatever comes back is what
 * was saved, or nothing is.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/time-util.h"
#include "check/check-state.h"
#include "io/scheduler.h"
#include "publish/memory.h"
#include "publish/state-image.h"

#define BEGIN_USEC     (UINT64_C(1700000000) * USEC_PER_SEC)
#define NOW_USEC       (BEGIN_USEC + 10 * USEC_PER_MIN)
#define N_CHECKS       2
#define N_GENERATIONS  2 /* of a record that has two copies */
#define DAY_BUCKETS    1440

/* Set to a number, every byte gets so many; at 64 that is an hour. */
#define FLIPS_VARIABLE "HEALTHD_TEST_FLIPS"
#define VARIANTS       64
#define VARIANTS_QUICK 2
#define STRIDE_QUICK   17 /* prime, so that it meets every field of a repeated record */
#define PADDING_MIN    64

typedef struct Trend {
        HistorySample samples[HISTORY_SAMPLES];
        HistoryTransition transitions[HISTORY_TRANSITIONS];
        HistoryBucket buckets[DAY_BUCKETS];
        bool has_sample[HISTORY_SAMPLES];
        bool has_transition[HISTORY_TRANSITIONS];
        bool has_bucket[DAY_BUCKETS];
} Trend;

typedef struct Fixture {
        char directory[64];
        char path[80];
        int stderr_fd;
        Runtime *runtime;
        Notify *notify;
        uint64_t dropped;
        Journal *journal;

        CheckState states[N_CHECKS][N_GENERATIONS + 1]; /* the last: of a check that never ran */
        SilenceTable silences[N_GENERATIONS + 1];
        RestartBudget budgets[N_GENERATIONS + 1];
        Trend trends[N_CHECKS];
        unsigned n_kept, n_lost; /* checks that came back, and that did not */
} Fixture;

typedef struct Keeper {
        uint64_t kept[PROBE_KEPT_MAX];
} Keeper;

static void keeper_save(const void *instance, uint64_t kept[PROBE_KEPT_MAX]) {
        memcpy(kept, ((const Keeper *) instance)->kept, sizeof(((Keeper *) 0)->kept));
}

static int keeper_restore(void *instance, const uint64_t kept[PROBE_KEPT_MAX]) {
        memcpy(((Keeper *) instance)->kept, kept, sizeof(((Keeper *) 0)->kept));
        return 0;
}

static const ProbeType keeper_type = {
        .name = "keeper",
        .instance_size = sizeof(Keeper),
        .save = keeper_save,
        .restore = keeper_restore,
};

/* The checks of one run of the daemon. */
typedef struct Run {
        Check checks[N_CHECKS];
        Check *items[N_CHECKS];
        Keeper keepers[N_CHECKS];
        CheckSet set;
        Memory *memory;
} Run;

static void run_begin(Run *run, Fixture *fixture) {
        static char names[N_CHECKS][8] = { "orders", "redis" };

        *run = (Run){ .set = { run->items, N_CHECKS } };
        for (size_t i = 0; i < N_CHECKS; i++) {
                run->items[i] = &run->checks[i];
                run->checks[i] = (Check){
                        .type = &keeper_type,
                        .instance = &run->keepers[i],
                        .settings = { .name = names[i], .identity = 1000 + i },
                        .breaker = { .max_reset_usec = USEC_PER_HOUR },
                };
        }
        assert_int_equal(memory_new(fixture->notify, fixture->journal, fixture->path, NULL, 0,
                                    &run->memory),
                         0);
        assert_int_equal(memory_bind(run->memory, &run->set), 0);
}

static void run_end(Run *run) {
        for (size_t i = 0; i < N_CHECKS; i++) {
                free(run->checks[i].reason);
                free(run->checks[i].last_reason);
        }
        memory_free(run->memory);
}

/* What one result leaves. */
static void check_have_result(Run *run, size_t i, unsigned n) {
        Check *check = &run->checks[i];
        Status previous = check->settling.status;
        Transition transition;
        CheckChanges changes = {};

        check->last_status = n % 4 < 2 ? STATUS_HEALTHY : STATUS_UNHEALTHY;
        check->settling.status = check->last_status;
        check->settling.failed = check->settling.failed << 1 | (n % 4 >= 2);
        check->settling.changes = 0x123456789abcdefULL + n;
        check->settling.failures = n % 4;
        check->settling.flapping = i;
        check->breaker.position = BREAKER_OPEN;
        check->breaker.failures = n;
        check->breaker.wait_usec = USEC_PER_MIN;
        check->breaker.next_usec = 17 * USEC_PER_SEC + n;
        check->since_usec = 5 + n;
        check->since_realtime_usec = BEGIN_USEC;
        check->checked_usec = 1000 * n;
        check->checked_realtime_usec = BEGIN_USEC + n * 7 * USEC_PER_SEC;
        check->sample.duration_usec = 1234 + n;
        assert_int_equal(string_printf(&check->last_reason, "refused for the %u. time", n), 0);
        for (size_t k = 0; k < PROBE_KEPT_MAX; k++)
                run->keepers[i].kept[k] = BEGIN_USEC + k * n;
        transition = (Transition){ .previous = previous, .status = check->settling.status };
        if (previous != STATUS_UNKNOWN && previous != check->settling.status)
                changes.transition = &transition;
        memory_note(run->memory, check, &changes);
}

static void trend_read(const History *history, Trend *ret) {
        *ret = (Trend){};
        for (size_t age = 0; age < HISTORY_SAMPLES; age++)
                ret->has_sample[age] = history_sample(history, age, &ret->samples[age]);
        for (size_t age = 0; age < HISTORY_TRANSITIONS; age++)
                ret->has_transition[age] = history_transition(history, age, &ret->transitions[age]);
        for (size_t age = 0; age < DAY_BUCKETS; age++)
                ret->has_bucket[age] = history_bucket(history, NOW_USEC, age, &ret->buckets[age]);
}

/* A complete state in the file, and what may come back from it. */
static void fixture_save(Fixture *fixture) {
        const char *const patterns[N_GENERATIONS] = { "redis*", "orders" };
        const GuardRecord record = { .acted_usec = 12345678 };
        Run run;

        run_begin(&run, fixture);
        for (size_t i = 0; i < N_CHECKS; i++)
                check_state_save(&run.checks[i], &fixture->states[i][N_GENERATIONS]);
        for (unsigned n = 1; n <= 20; n++)
                for (size_t i = 0; i < N_CHECKS; i++) {
                        check_have_result(&run, i, n);
                        check_state_save(&run.checks[i], &fixture->states[i][n % N_GENERATIONS]);
                }
        for (unsigned n = 0; n < N_GENERATIONS; n++) {
                RestartBudget *budget = memory_budget(run.memory);

                assert_int_equal(silence_table_add(memory_silences(run.memory), patterns[n], "root",
                                                   "ticket 42", BEGIN_USEC, USEC_PER_DAY, NULL,
                                                   NULL),
                                 0);
                memory_save_silences(run.memory);
                fixture->silences[n] = *memory_silences(run.memory);
                budget->restarts.times_usec[budget->restarts.n_times++] = 12345678 + n;
                memory_save_budget(run.memory);
                fixture->budgets[n] = *budget;
        }
        for (size_t i = 0; i < N_CHECKS; i++)
                trend_read(run.checks[i].history, &fixture->trends[i]);
        memory_save_guard(run.memory, "orders.service", &record);
        memory_save_file(run.memory);
        run_end(&run);
}

static bool is_one_of(const void *value, const void *expected, size_t n, size_t size) {
        for (size_t i = 0; i < n; i++)
                if (memcmp(value, (const char *) expected + i * size, size) == 0)
                        return true;
        return false;
}

/* Less may come back, but nothing else, and in the same order. */
static bool list_is_part(const void *items, const bool *has, const void *saved,
                         const bool *has_saved, size_t n, size_t size) {
        const char *item = items, *known = saved;
        size_t j = 0;

        for (size_t i = 0; i < n; i++) {
                if (!has[i])
                        continue;
                while (j < n &&
                       (!has_saved[j] || memcmp(item + i * size, known + j * size, size) != 0))
                        j++;
                if (j == n)
                        return false;
        }
        return true;
}

static bool trend_is_part(const Trend *trend, const Trend *saved) {
        return list_is_part(trend->samples, trend->has_sample, saved->samples, saved->has_sample,
                            HISTORY_SAMPLES, sizeof(HistorySample)) &&
               list_is_part(trend->transitions, trend->has_transition, saved->transitions,
                            saved->has_transition, HISTORY_TRANSITIONS,
                            sizeof(HistoryTransition)) &&
               list_is_part(trend->buckets, trend->has_bucket, saved->buckets, saved->has_bucket,
                            DAY_BUCKETS, sizeof(HistoryBucket));
}

/* Loads the file as a start does; returns what is wrong with what it got, or NULL. */
static const char *load(Fixture *fixture) {
        const char *wrong = NULL;
        Run run;

        run_begin(&run, fixture);
        if (!is_one_of(memory_silences(run.memory), fixture->silences, ELEMENTS(fixture->silences),
                       sizeof(SilenceTable)))
                wrong = "silences";
        if (!is_one_of(memory_budget(run.memory), fixture->budgets, ELEMENTS(fixture->budgets),
                       sizeof(RestartBudget)))
                wrong = "budget";
        for (size_t i = 0; i < N_CHECKS; i++) {
                static Trend trend;
                CheckState state;

                check_state_save(&run.checks[i], &state);
                if (!is_one_of(&state, fixture->states[i], ELEMENTS(fixture->states[i]),
                               sizeof(state)))
                        wrong = "state of a check";
                if (memcmp(&state, &fixture->states[i][N_GENERATIONS], sizeof(state)) == 0)
                        fixture->n_lost++;
                else
                        fixture->n_kept++;
                trend_read(run.checks[i].history, &trend);
                if (!trend_is_part(&trend, &fixture->trends[i]))
                        wrong = "history";
        }
        run_end(&run);
        return wrong;
}

static int fixture_setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(Fixture));

        if (!fixture)
                return -1;
        *state = fixture;
        strcpy(fixture->directory, "/tmp/test-memory-XXXXXX");
        if (!mkdtemp(fixture->directory))
                return -1;
        snprintf(fixture->path, sizeof(fixture->path), "%s/state", fixture->directory);
        /* Each damage is told there. */
        fixture->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        if (fixture->stderr_fd < 0 || !freopen("/dev/null", "w", stderr))
                return -1;
        return runtime_new(&fixture->runtime) < 0 ||
                                               notify_new(fixture->runtime->scheduler,
                                                          &fixture->notify) < 0 ||
                                               journal_new(&fixture->dropped, &fixture->journal) < 0
                               ? -1
                               : 0;
}

static int fixture_teardown(void **state) {
        Fixture *fixture = *state;

        journal_free(fixture->journal);
        notify_free(fixture->notify);
        runtime_free(fixture->runtime);
        (void) fflush(stderr);
        (void) dup2(fixture->stderr_fd, STDERR_FILENO);
        close(fixture->stderr_fd);
        (void) unlink(fixture->path);
        (void) rmdir(fixture->directory);
        free(fixture);
        return 0;
}

static void test_all_of_it_comes_back(void **state) {
        Fixture *fixture = *state;
        GuardRecord record;
        Run run;

        fixture_save(fixture);
        run_begin(&run, fixture);
        memory_load_guard(run.memory, "orders.service", &record);
        assert_int_equal(record.acted_usec, 12345678);
        assert_memory_equal(memory_silences(run.memory), &fixture->silences[N_GENERATIONS - 1],
                            sizeof(SilenceTable));
        assert_memory_equal(memory_budget(run.memory), &fixture->budgets[N_GENERATIONS - 1],
                            sizeof(RestartBudget));
        for (size_t i = 0; i < N_CHECKS; i++) {
                static Trend trend;
                CheckState saved;

                check_state_save(&run.checks[i], &saved);
                assert_memory_equal(&saved, &fixture->states[i][0], sizeof(saved));
                assert_string_equal(run.checks[i].last_reason, "refused for the 20. time");
                trend_read(run.checks[i].history, &trend);
                assert_memory_equal(&trend, &fixture->trends[i], sizeof(trend));
                assert_true(trend.has_sample[19] && trend.has_transition[0]);
                assert_true(trend.has_bucket[9] || trend.has_bucket[8]);
        }
        run_end(&run);
}

/* The boot id of the image is another; it lies behind magic, format and version. */
static void test_of_another_boot_only_what_has_wall_times_comes_back(void **state) {
        Fixture *fixture = *state;
        StateHeader header;
        GuardRecord record;
        int fd;
        Run run;

        fixture_save(fixture);
        fd = open(fixture->path, O_RDWR | O_CLOEXEC);
        assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
        header.boot_id[3] ^= 0xff;
        header.crc = crc32c_add(0, &header, offsetof(StateHeader, crc));
        assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
        close(fd);
        run_begin(&run, fixture);
        assert_int_equal(memory_silences(run.memory)->n_items, 2);
        assert_int_equal(memory_budget(run.memory)->restarts.n_times, 0);
        for (size_t i = 0; i < N_CHECKS; i++) {
                HistorySample sample;

                assert_true(history_sample(run.checks[i].history, 19, &sample));
                assert_int_equal(run.checks[i].settling.status, STATUS_UNKNOWN);
                assert_null(run.checks[i].last_reason);
                assert_memory_equal(run.keepers[i].kept, fixture->states[i][0].kept,
                                    sizeof(run.keepers[i].kept));
        }
        /* Nor at the next start of this boot. */
        memory_save_file(run.memory);
        run_end(&run);
        run_begin(&run, fixture);
        memory_load_guard(run.memory, "orders.service", &record);
        assert_int_equal(record.acted_usec, 0);
        assert_int_equal(memory_budget(run.memory)->restarts.n_times, 0);
        run_end(&run);
}

static uint8_t variant(uint8_t value, size_t position, unsigned n) {
        uint8_t changed = (uint8_t) (value ^ (n < 8 ? 1U << n : n * 4 + position % 4));

        return changed == value ? (uint8_t) ~value : changed;
}

/* A state as it was saved, and the file that is loaded, damaged. */
typedef struct Flips {
        Fixture *fixture;
        uint8_t *image;
        size_t size;
        int fd;
        unsigned n_loads;
} Flips;

static void flips_load(Flips *flips, size_t position, unsigned number) {
        const char *wrong = load(flips->fixture);

        if (wrong)
                fail_msg("byte %zu, variant %u: wrong %s", position, number, wrong);
        flips->n_loads++;
}

/* Whether only zeros follow, for long: what was never written to. */
static bool flips_is_padding(const Flips *flips, size_t position) {
        for (size_t i = position; i < position + PADDING_MIN && i < flips->size; i++)
                if (flips->image[i] != 0)
                        return false;
        return true;
}

/* One byte alone. Where not all variants are tried, each position has others. */
static void flips_try(Flips *flips, size_t position, unsigned n_variants) {
        for (unsigned n = 0; n < n_variants; n++) {
                unsigned number = ((unsigned) position * n_variants + n) % VARIANTS;
                uint8_t value = variant(flips->image[position], position, number);

                assert_int_equal(pwrite(flips->fd, &value, 1, (off_t) position), 1);
                flips_load(flips, position, number);
        }
        assert_int_equal(pwrite(flips->fd, flips->image + position, 1, (off_t) position), 1);
}

/*
 * Of what was never written to, each 64th byte at once: the entries there are smaller, so each of
 * them sees one changed byte, as if it were alone.
 */
static void flips_try_padding(Flips *flips, unsigned n_variants) {
        _cleanup_free_ uint8_t *damaged = malloc(flips->size);

        assert_non_null(damaged);
        for (size_t first = 0; first < PADDING_MIN; first++) {
                for (unsigned n = 0; n < n_variants; n++) {
                        unsigned number = ((unsigned) first * n_variants + n) % VARIANTS;

                        memcpy(damaged, flips->image, flips->size);
                        for (size_t i = first; i < flips->size; i += PADDING_MIN)
                                if (flips_is_padding(flips, i))
                                        damaged[i] = variant(0, i, number);
                        assert_int_equal(pwrite(flips->fd, damaged, flips->size, 0), flips->size);
                        flips_load(flips, first, number);
                }
        }
        assert_int_equal(pwrite(flips->fd, flips->image, flips->size, 0), flips->size);
}

static void test_flips(void **state) {
        const char *asked = getenv(FLIPS_VARIABLE);
        unsigned n_variants = asked ? (unsigned) atoi(asked) : VARIANTS_QUICK;
        Flips flips = { .fixture = *state };
        _cleanup_free_ uint8_t *image = NULL;
        _cleanup_close_ int fd = -1;
        struct stat status;

        fixture_save(flips.fixture);
        flips.fd = fd = open(flips.fixture->path, O_RDWR | O_CLOEXEC);
        assert_int_equal(fstat(fd, &status), 0);
        flips.size = (size_t) status.st_size;
        flips.image = image = malloc(flips.size);
        assert_non_null(image);
        assert_int_equal(pread(fd, image, flips.size, 0), status.st_size);
        for (size_t i = 0; i < flips.size; i += asked ? 1 : STRIDE_QUICK)
                if (!flips_is_padding(&flips, i))
                        flips_try(&flips, i, n_variants);
        flips_try_padding(&flips, n_variants);
        print_message("# %zu bytes, %u loads: %u checks kept, %u lost\n", flips.size, flips.n_loads,
                      flips.fixture->n_kept, flips.fixture->n_lost);
        assert_true(flips.fixture->n_kept > flips.fixture->n_lost);
}

/* Reads until a datagram says this; returns the descriptor that it brought, or -1. */
static int receive_descriptor(int fd, const char *expected) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        char text[4096];
        int received;
        ssize_t n;

        do {
                struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };
                struct msghdr message = {
                        .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof(control),
                };

                n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
                assert_true(n >= 0);
                text[n] = '\0';
                received = -1;
                if (message.msg_controllen > 0)
                        memcpy(&received, CMSG_DATA(&control.header), sizeof(received));
        } while (strcmp(text, expected) != 0);
        return received;
}

/* A descriptor more would be one too many: what is kept must not need a copy of its own. */
static void test_systemd_keeps_it_where_descriptors_are_short(void **state) {
        Fixture *fixture = *state;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Notify *silent = fixture->notify;
        struct rlimit enough, scarce;
        int receiver, next, kept;
        Run run;

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify",
                        fixture->directory);
        receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(receiver, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        assert_int_equal(notify_new(fixture->runtime->scheduler, &fixture->notify), 0);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &enough), 0);
        next = dup(receiver); /* all below are in use */
        close(next);
        scarce = (struct rlimit){ (rlim_t) next + 1, enough.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &scarce), 0);
        run_begin(&run, fixture);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &enough), 0);
        kept = receive_descriptor(receiver, "FDSTORE=1\nFDNAME=state-b\n");
        assert_true(kept >= 0);
        close(kept);
        assert_int_equal(receive_descriptor(receiver, "FDSTOREREMOVE=1\nFDNAME=state-a\n"), -1);
        run_end(&run);
        notify_free(fixture->notify);
        fixture->notify = silent;
        close(receiver);
        (void) unlink(address.sun_path);
}

/* The watchdog had its way: that is one restart. */
static void test_a_restart_is_counted_when_it_was_let_happen(void **state) {
        RestartBudget budget = {};

        (void) state;
        restart_budget_begin(&budget, USEC_PER_SEC);
        assert_int_equal(budget.restarts.n_times, 0);
        budget.withholding = true;
        restart_budget_begin(&budget, USEC_PER_SEC);
        restart_budget_begin(&budget, 2 * USEC_PER_SEC);
        assert_int_equal(budget.restarts.n_times, 1);
        assert_true(restart_budget_is_valid(&budget));
        assert_true(restart_budget_clear(&budget));
        assert_false(restart_budget_clear(&budget));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_all_of_it_comes_back, fixture_setup,
                                                fixture_teardown),
                cmocka_unit_test_setup_teardown(
                                test_of_another_boot_only_what_has_wall_times_comes_back,
                                fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_systemd_keeps_it_where_descriptors_are_short,
                                                fixture_setup, fixture_teardown),
                cmocka_unit_test(test_a_restart_is_counted_when_it_was_let_happen),
                cmocka_unit_test_setup_teardown(test_flips, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
