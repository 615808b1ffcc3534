/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may ask: as somebody else in a process of its own, because only root can become that. */

#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

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

typedef union Ancillary {
        struct cmsghdr header;
        char buffer[CMSG_SPACE(sizeof(int))];
} Ancillary;

static int fd_send(int channel, int fd) {
        Ancillary ancillary = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
        struct iovec part = { (char[1]){ 0 }, 1 };
        struct msghdr message = { .msg_iov = &part,
                                  .msg_iovlen = 1,
                                  .msg_control = &ancillary,
                                  .msg_controllen = sizeof(ancillary.buffer) };

        memcpy(CMSG_DATA(&ancillary.header), &fd, sizeof(fd));
        return sendmsg(channel, &message, 0) == 1 ? 0 : -errno;
}

/* Does not wait: what is to come was sent by one who has ended. */
static int fd_receive(int channel) {
        Ancillary ancillary = {};
        struct iovec part = { (char[1]){ 0 }, 1 };
        struct msghdr message = { .msg_iov = &part,
                                  .msg_iovlen = 1,
                                  .msg_control = &ancillary,
                                  .msg_controllen = sizeof(ancillary.buffer) };
        int fd;

        if (recvmsg(channel, &message, MSG_DONTWAIT) != 1 || ancillary.header.cmsg_len == 0)
                return -EBADMSG;
        memcpy(&fd, CMSG_DATA(&ancillary.header), sizeof(fd));
        return fd;
}

/* Becomes the peer, makes a pair of sockets, and sends one of them: the kernel remembers who did.
 */
static int peer_main(const Peer *peer, int channel) {
        gid_t groups[N_GROUPS];
        int fds[2];

        for (size_t i = 0; i < peer->n_groups; i++)
                groups[i] = (gid_t) (5000 + i);
        if (peer->in_group)
                groups[peer->n_groups - 1] = GROUP;
        if (setgroups(peer->n_groups, groups) < 0 ||
            setresgid(peer->gid, peer->gid, peer->gid) < 0 ||
            setresuid(peer->uid, peer->uid, peer->uid) < 0 ||
            socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
                return 1;
        return fd_send(channel, fds[0]) < 0;
}

static bool ask(const Peer *peer, const ControlAccess *access) {
        bool allowed = false;
        int channel[2], fd, status = 0;
        uid_t uid;
        pid_t pid;

        assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, channel), 0);
        pid = fork();
        if (pid == 0)
                _exit(peer_main(peer, channel[1]));
        assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
        assert_int_equal(status, 0);
        fd = fd_receive(channel[0]);
        assert_true(fd >= 0);
        assert_int_equal(control_access_check(access, fd, &uid, &allowed), 0);
        assert_int_equal(uid, peer->uid);
        (void) close(fd);
        (void) close(channel[0]);
        (void) close(channel[1]);
        return allowed;
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
        /* Without a group healthd, that of root, 0, is not taken for it. */
        assert_false(ask(&of_root_group, &groupless));
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
