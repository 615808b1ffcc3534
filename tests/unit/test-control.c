/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may ask: as somebody else in a process of its own, because only root can become that. */

#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/string-util.h"
#include "publish/control.h"

#define NOBODY   65534
#define GROUP    4242
#define N_GROUPS 100 /* more than a first look has room for */

typedef struct Peer {
        uid_t uid;
        gid_t gid;
        size_t n_groups; /* from the last of which on GROUP is one */
        bool in_group;
} Peer;

/* What the kernel says of both ends of a pair of sockets is who made it. Returns an exit status. */
static int ask_as(const Peer *peer, const ControlAccess *access) {
        gid_t groups[N_GROUPS];
        bool allowed = false;
        int fds[2];
        uid_t uid;

        for (size_t i = 0; i < peer->n_groups; i++)
                groups[i] = (gid_t) (5000 + i);
        if (peer->in_group)
                groups[peer->n_groups - 1] = GROUP;
        if (setgroups(peer->n_groups, groups) < 0 || setresgid(peer->gid, peer->gid, peer->gid) ||
            setresuid(peer->uid, peer->uid, peer->uid) < 0 ||
            socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 ||
            control_access_check(access, fds[0], &uid, &allowed) < 0 || uid != peer->uid)
                return 9;
        return allowed;
}

static int ask(const Peer *peer, const ControlAccess *access) {
        int status = 0;
        pid_t pid = fork();

        if (pid == 0)
                exit(ask_as(peer, access));
        assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void test_who_may_ask(void **state) {
        static const ControlAccess access = { .uid = 777, .gid = GROUP, .has_group = true };
        static const ControlAccess groupless = { .uid = 777 };
        static const struct {
                Peer peer;
                bool allowed;
        } cases[] = {
                { { 0, 0, 0, false }, true },
                { { 777, NOBODY, 0, false }, true },
                { { NOBODY, NOBODY, 0, false }, false },
                { { NOBODY, GROUP, 0, false }, true },
                { { NOBODY, NOBODY, 3, true }, true },
                { { NOBODY, NOBODY, 3, false }, false },
                { { NOBODY, NOBODY, N_GROUPS, true }, true },
                { { NOBODY, NOBODY, N_GROUPS, false }, false },
        };
        static const Peer of_root_group = { NOBODY, 0, 0, false };

        (void) state;
        if (geteuid() != 0)
                skip();
        for (size_t i = 0; i < ELEMENTS(cases); i++)
                if (ask(&cases[i].peer, &access) != cases[i].allowed)
                        fail_msg("case %zu", i);
        /* Without the group, that of root, 0, is not taken for it. */
        assert_int_equal(ask(&of_root_group, &groupless), 0);
}

static void test_who_is_no_socket(void **state) {
        ControlAccess access;
        bool allowed = false;
        uid_t uid;

        (void) state;
        control_access_init(&access);
        assert_int_equal(access.uid, geteuid());
        assert_int_equal(access.has_group, getgrnam(CONTROL_GROUP) != NULL);
        assert_int_equal(control_access_check(&access, STDERR_FILENO, &uid, &allowed), -ENOTSOCK);
        assert_false(allowed);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_who_may_ask),
                cmocka_unit_test(test_who_is_no_socket),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
