/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Programs beside the loop: real processes, most of them a shell. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "io/child.h"

#define OUTPUT_MAX 4096

/* How a program ended, copied out of its result. */
typedef struct Ended {
        unsigned n;
        ChildResult result;
        char output[OUTPUT_MAX + 1];
        char errors[CHILD_ERRORS_MAX + 1];
        Runtime *runtime; /* to start another one from the handler */
        Child *other;
} Ended;

static int set_up(void **state) {
        return runtime_new((Runtime **) state);
}

static int tear_down(void **state) {
        runtime_free(*state);
        while (waitpid(-1, NULL, 0) > 0)
                ;
        return 0;
}

static void on_done(const ChildResult *result, void *userdata) {
        Ended *ended = userdata;

        ended->n++;
        ended->result = *result;
        if (result->error < 0)
                return;
        assert_int_equal(result->output[result->output_length], '\0');
        memcpy(ended->output, result->output, result->output_length + 1);
        snprintf(ended->errors, sizeof(ended->errors), "%s", result->errors);
}

/* Turns the loop until *done is as large as wanted, or for ten seconds. */
static bool run_until(Runtime *runtime, const unsigned *done, unsigned wanted) {
        uint64_t until_usec = now_monotonic_usec() + 10 * USEC_PER_SEC;

        while (*done < wanted && now_monotonic_usec() < until_usec)
                assert_true(runtime_turn(runtime, 10 * USEC_PER_MSEC) >= 0);
        return *done >= wanted;
}

static Child *start(Runtime *runtime, char *const *argv, const char *input, Ended *ended) {
        static char *environment[] = { (char *) "PATH=/usr/bin:/bin", (char *) "NAME=va lue",
                                       NULL };
        const ChildCommand command = {
                .argv = argv,
                .environment = environment,
                .input = input,
                .output_max = OUTPUT_MAX,
        };
        Child *child = NULL;
        unsigned before = ended->n;

        assert_int_equal(child_start(runtime, &command, on_done, ended, &child), 0);
        assert_int_equal(ended->n, before);
        return child;
}

static Child *start_shell(Runtime *runtime, const char *script, Ended *ended) {
        char *argv[] = { (char *) "/bin/sh", (char *) "-c", (char *) script, NULL };

        return start(runtime, argv, NULL, ended);
}

static void run_shell(Runtime *runtime, const char *script, Ended *ended) {
        *ended = (Ended){};
        start_shell(runtime, script, ended);
        assert_true(run_until(runtime, &ended->n, 1));
}

/* Turns the loop until nothing is left of a process group, not even zombies. */
static bool group_is_gone(Runtime *runtime, pid_t group) {
        for (unsigned i = 0; i < 1000; i++) {
                if (kill(-group, 0) < 0 && errno == ESRCH)
                        return true;
                assert_true(runtime_turn(runtime, 10 * USEC_PER_MSEC) >= 0);
        }
        return false;
}

static void test_outcome(void **state) {
        Runtime *runtime = *state;
        Ended ended;

        run_shell(runtime, "echo one; echo two >&2; exit 3", &ended);
        assert_int_equal(ended.result.error, 0);
        assert_int_equal(ended.result.exit_status, 3);
        assert_int_equal(ended.result.signal, 0);
        assert_string_equal(ended.output, "one\n");
        assert_string_equal(ended.errors, "two\n");
        assert_false(ended.result.output_truncated);

        run_shell(runtime, "kill -SEGV $$", &ended);
        assert_int_equal(ended.result.error, 0);
        assert_int_equal(ended.result.signal, SIGSEGV);

        /* Nothing more comes of it. */
        for (unsigned i = 0; i < 3; i++)
                assert_true(runtime_turn(runtime, 10 * USEC_PER_MSEC) >= 0);
        assert_int_equal(ended.n, 1);
        assert_int_equal(waitpid(-1, NULL, 0), -1);
        assert_int_equal(errno, ECHILD);
}

static void test_inherits_nothing(void **state) {
        Runtime *runtime = *state;
        sigset_t blocked, before;
        int leaked = dup(STDIN_FILENO);
        Ended ended;

        sigemptyset(&blocked);
        sigaddset(&blocked, SIGTERM);
        sigprocmask(SIG_BLOCK, &blocked, &before);
        signal(SIGPIPE, SIG_IGN);
        setenv("NOTIFY_SOCKET", "/nowhere", 1);

        run_shell(runtime, "exec env", &ended);
        /* PWD is dash's own doing. */
        assert_non_null(strstr(ended.output, "NAME=va lue\n"));
        assert_null(strstr(ended.output, "NOTIFY_SOCKET"));
        assert_null(strstr(ended.output, "HOME="));
        run_shell(runtime, "cd /proc/self/fd; echo *", &ended);
        assert_string_equal(ended.output, "0 1 2 3\n"); /* 3: the directory, being listed */
        run_shell(runtime, "readlink /proc/self/cwd /proc/self/fd/0", &ended);
        assert_string_equal(ended.output, "/\n/dev/null\n");
        /* Signals 32 and 33 are the C library's own. */
        run_shell(runtime,
                  "while read name value; do case $name in SigBlk:|SigIgn:) "
                  "echo $((0x$value & 0x7fffffff)); esac; done </proc/self/status",
                  &ended);
        assert_string_equal(ended.output, "0\n0\n");
        run_shell(runtime, "set -- $(cat /proc/$$/stat); [ $1 = $5 ] && echo leader", &ended);
        assert_string_equal(ended.output, "leader\n");

        unsetenv("NOTIFY_SOCKET");
        sigprocmask(SIG_SETMASK, &before, NULL);
        close(leaked);
}

static void test_input(void **state) {
        Runtime *runtime = *state;
        char *count[] = { (char *) "/usr/bin/wc", (char *) "-c", NULL };
        char *deaf[] = { (char *) "/bin/true", NULL };
        size_t size = (size_t) 1024 * 1024;
        _cleanup_free_ char *input = calloc(1, size + 1);
        Ended ended = {};

        assert_non_null(input);
        memset(input, 'x', size);
        start(runtime, count, input, &ended);
        assert_true(run_until(runtime, &ended.n, 1));
        assert_string_equal(ended.output, "1048576\n");

        ended = (Ended){};
        signal(SIGPIPE, SIG_DFL);
        start(runtime, deaf, input, &ended);
        assert_true(run_until(runtime, &ended.n, 1));
        assert_int_equal(ended.result.exit_status, 0);
}

static void test_cannot_be_run(void **state) {
        Runtime *runtime = *state;
        char *missing[] = { (char *) "/nowhere/check_it", NULL };
        char *no_program[] = { (char *) "/etc/passwd", NULL };
        Ended ended = {};

        start(runtime, missing, NULL, &ended);
        assert_true(run_until(runtime, &ended.n, 1));
        assert_int_equal(ended.result.error, -ENOENT);

        start(runtime, no_program, NULL, &ended);
        assert_true(run_until(runtime, &ended.n, 2));
        assert_int_equal(ended.result.error, -EACCES);
}

static void test_output_is_capped(void **state) {
        Runtime *runtime = *state;
        Ended ended;

        run_shell(runtime, "head -c 4096 /dev/zero", &ended);
        assert_int_equal(ended.result.output_length, OUTPUT_MAX);
        assert_false(ended.result.output_truncated);

        /* More than a pipe holds: it could not end if the rest were not read. */
        run_shell(runtime, "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; exit 1",
                  &ended);
        assert_int_equal(ended.result.output_length, OUTPUT_MAX);
        assert_true(ended.result.output_truncated);
        assert_false(ended.result.output_endless);
        assert_int_equal(ended.result.exit_status, 1);

        run_shell(runtime, "exec yes", &ended);
        assert_true(ended.result.output_truncated);
        assert_true(ended.result.output_endless);
        assert_int_equal(ended.result.signal, SIGKILL);

        run_shell(runtime, "yes abcdefg >&2", &ended);
        assert_true(ended.result.output_endless);
        assert_int_equal(ended.result.signal, SIGKILL);
        assert_int_equal(strlen(ended.errors), CHILD_ERRORS_MAX);
}

static void test_leftover_in_the_group(void **state) {
        Runtime *runtime = *state;
        Ended ended;

        /* It has the output open: the end of that is not what is waited for. */
        run_shell(runtime, "sleep 1000 & yes >/dev/null & echo $$", &ended);
        assert_int_equal(ended.result.exit_status, 0);
        assert_true(atoi(ended.output) > 1);
        assert_true(group_is_gone(runtime, atoi(ended.output)));
}

static void test_leftover_elsewhere(void **state) {
        Runtime *runtime = *state;
        Ended ended;

        /* It even goes on writing: what is there at the end of the program is all that counts. */
        run_shell(runtime, "setsid sh -c 'echo $$; exec yes' & sleep 0.3", &ended);
        assert_int_equal(ended.result.exit_status, 0);
        assert_true(atoi(ended.output) > 1);
        assert_true(group_is_gone(runtime, atoi(ended.output)));

        /* One behind the other: each is ours only when the one before has died. */
        run_shell(runtime,
                  "setsid sh -c \"setsid sh -c 'echo \\$\\$; sleep 1000; :' & sleep 1000\" & "
                  "sleep 0.3",
                  &ended);
        assert_true(atoi(ended.output) > 1);
        assert_true(group_is_gone(runtime, atoi(ended.output)));
}

/* What left a program's group may live as long as the program. */
static void test_background_of_one_that_runs(void **state) {
        Runtime *runtime = *state;
        Ended ended = {}, other = {};

        start_shell(runtime, "(setsid sh -c 'echo early; sleep 0.4; echo late' &); sleep 0.8",
                    &ended);
        for (unsigned i = 1; i <= 3; i++) {
                start_shell(runtime, "sleep 0.1", &other);
                assert_true(run_until(runtime, &other.n, i));
        }
        assert_true(run_until(runtime, &ended.n, 1));
        assert_string_equal(ended.output, "early\nlate\n");
}

static void test_kill(void **state) {
        static const char script[] = "trap '' TERM INT HUP; sh -c 'trap \"\" TERM; sleep 1000' & "
                                     "(sleep 1000 & sleep 1000) & echo $$ >&2; kill -STOP $$";
        Runtime *runtime = *state;
        int status;
        pid_t group;
        Ended ended = {};
        Child *child = start_shell(runtime, script, &ended);

        /* Until the program has been stopped, by itself. */
        assert_non_null(child_explain_wait(child));
        for (group = 0; group <= 0;) {
                assert_true(runtime_turn(runtime, 10 * USEC_PER_MSEC) >= 0);
                group = waitpid(-1, &status, WUNTRACED | WNOHANG);
        }
        assert_true(WIFSTOPPED(status));
        assert_null(child_explain_wait(child));
        assert_null(child_kill(child));
        assert_true(group_is_gone(runtime, group));
        assert_int_equal(ended.n, 0);
        assert_null(child_kill(NULL));
}

static void test_turns(void **state) {
        Runtime *runtime = *state;
        Child *children[CHILDREN_MAX + 3];
        Ended never = {}, ended = {};
        unsigned rounds = 0;

        for (size_t i = 0; i < CHILDREN_MAX; i++)
                children[i] = start_shell(runtime, "exec sleep 1000", &never);
        children[CHILDREN_MAX] = start_shell(runtime, "exit 7", &ended);
        children[CHILDREN_MAX + 1] = start_shell(runtime, "exit 8", &never);
        children[CHILDREN_MAX + 2] = start_shell(runtime, "exec sleep 1000", &never);
        while (child_explain_wait(children[CHILDREN_MAX - 1]) && rounds++ < 10 * CHILDREN_MAX)
                assert_true(runtime_turn(runtime, 10 * USEC_PER_MSEC) >= 0);
        for (unsigned i = 0; i < 5; i++)
                assert_true(runtime_turn(runtime, 10 * USEC_PER_MSEC) >= 0);
        assert_null(child_explain_wait(children[CHILDREN_MAX - 1]));
        for (size_t i = CHILDREN_MAX; i < CHILDREN_MAX + 3; i++)
                assert_non_null(child_explain_wait(children[i]));

        /* One that is forgotten in the middle of the queue, and one at its end. */
        child_kill(children[CHILDREN_MAX + 1]);
        child_kill(children[CHILDREN_MAX + 2]);
        children[CHILDREN_MAX + 1] = start_shell(runtime, "exec sleep 1000", &never);
        child_kill(children[3]);
        assert_true(run_until(runtime, &ended.n, 1));
        assert_int_equal(ended.result.exit_status, 7);
        assert_int_equal(never.n, 0);
        /* All others run or wait still: runtime_free() ends them. */
}

static void on_done_start_other(const ChildResult *result, void *userdata) {
        Ended *ended = userdata;

        ended->n++;
        assert_int_equal(result->exit_status, 0);
        ended->other = child_kill(ended->other);
        start_shell(ended->runtime, "exit 0", ended);
}

static void test_kill_and_start_in_handler(void **state) {
        char *argv[] = { (char *) "/bin/true", NULL };
        const ChildCommand command = { .argv = argv, .output_max = 0 };
        Runtime *runtime = *state;
        Ended ended = { .runtime = runtime };
        Child *child;

        ended.other = start_shell(runtime, "exec sleep 1000", &ended);
        assert_int_equal(child_start(runtime, &command, on_done_start_other, &ended, &child), 0);
        assert_true(run_until(runtime, &ended.n, 2));
}

static void test_free_while_running(void **state) {
        Ended ended = {};
        pid_t group = 0;
        int status;

        start_shell(*state, "sleep 1000 & setsid sleep 1000 & kill -STOP $$", &ended);
        while (group <= 0) {
                Runtime *runtime = *state;
                assert_true(runtime_turn(runtime, 10 * USEC_PER_MSEC) >= 0);
                group = waitpid(-1, &status, WUNTRACED | WNOHANG);
        }
        start_shell(*state, "exec sleep 1000", &ended);
        *state = runtime_free(*state);
        /* Neither children nor what they left, alive or as zombies. */
        assert_int_equal(waitpid(-1, NULL, 0), -1);
        assert_int_equal(errno, ECHILD);
        assert_int_equal(ended.n, 0);
}

static void test_out_of_descriptors(void **state) {
        Runtime *runtime = *state;
        char *argv[] = { (char *) "/bin/sleep", (char *) "1000", NULL };
        struct rlimit before, none;
        Ended ended = {};
        int next;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        /* Two pipes fit, a descriptor of the process does not; then the second pipe does not. */
        for (rlim_t room = 4; room >= 3; room--) {
                start(runtime, argv, "", &ended);
                next = dup(STDIN_FILENO);
                close(next);
                none = before;
                none.rlim_cur = (rlim_t) next + room;
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
                assert_true(run_until(runtime, &ended.n, 5 - (unsigned) room));
                assert_int_equal(ended.result.error, -EMFILE);
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        }
        assert_int_equal(waitpid(-1, NULL, 0), -1);
        assert_int_equal(errno, ECHILD);
        run_shell(runtime, "echo again", &ended);
        assert_string_equal(ended.output, "again\n");
}

#define LOOP_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                LOOP_TEST(test_outcome),
                LOOP_TEST(test_inherits_nothing),
                LOOP_TEST(test_input),
                LOOP_TEST(test_cannot_be_run),
                LOOP_TEST(test_output_is_capped),
                LOOP_TEST(test_leftover_in_the_group),
                LOOP_TEST(test_leftover_elsewhere),
                LOOP_TEST(test_background_of_one_that_runs),
                LOOP_TEST(test_kill),
                LOOP_TEST(test_turns),
                LOOP_TEST(test_kill_and_start_in_handler),
                LOOP_TEST(test_free_while_running),
                LOOP_TEST(test_out_of_descriptors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
