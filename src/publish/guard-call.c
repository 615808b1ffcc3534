/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/guard-call.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"

/* It waits for systemd and for D-Bus, for five seconds each. */
#define PATIENCE_USEC (15 * USEC_PER_SEC)
#define REASON_MAX    600

static const char *const outcome_words[_GUARD_OUTCOME_MAX] = {
        [GUARD_DONE] = "done ",
        [GUARD_REFUSED] = "refused ",
        [GUARD_FAILED] = "failed ",
};

void guard_call_cancel(GuardCall *call) {
        if (!call->source.reactor)
                return;
        timer_disarm(&call->deadline);
        io_source_remove(&call->source);
        call->fd = fd_close(call->fd);
}

static void guard_call_end(GuardCall *call, GuardOutcome outcome, const char *text) {
        guard_call_cancel(call);
        call->on_reply(outcome, text, call->userdata);
}

static void guard_call_on_timeout(Timer *timer, void *userdata) {
        (void) timer;
        guard_call_end(userdata, GUARD_FAILED,
                       "healthd-guard does not answer; see journalctl -u healthd-guard");
}

static void guard_call_on_ready(IoSource *source, uint32_t revents, void *userdata) {
        GuardCall *call = userdata;
        char text[2048];
        ssize_t n;

        (void) revents;
        n = recv(source->fd, text, sizeof(text) - 1, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        text[n > 0 ? n : 0] = '\0';
        string_make_printable(text);
        for (GuardOutcome each = GUARD_DONE; each < _GUARD_OUTCOME_MAX; each++) {
                const char *sentence = string_after_prefix(text, outcome_words[each]);

                if (sentence) {
                        guard_call_end(call, each, sentence);
                        return;
                }
        }
        guard_call_end(call, GUARD_FAILED,
                       "healthd-guard ended without an answer; see journalctl -u healthd-guard");
}

static int guard_connect(void) {
        static const struct sockaddr_un address = { .sun_family = AF_UNIX,
                                                    .sun_path = GUARD_SOCKET };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* Connects and sends. Returns the socket, or a negative errno. */
static int guard_open(const char *unit, const char *action, const char *reason) {
        _cleanup_close_ int fd = guard_connect();
        _cleanup_free_ char *text = NULL;
        char line[REASON_MAX];
        int r;

        if (fd < 0)
                return fd;
        (void) snprintf(line, sizeof(line), "%s", reason);
        string_make_printable(line);
        r = string_printf(&text, "UNIT=%s\nACTION=%s\nREASON=%s\n", unit, action, line);
        if (r < 0)
                return r;
        if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int guard_send(const char *unit, const char *action, const char *reason) {
        _cleanup_close_ int fd = guard_open(unit, action, reason);

        return fd < 0 ? fd : 0;
}

int guard_send_and_wait(const char *unit, const char *action, const char *reason) {
        _cleanup_close_ int fd = guard_open(unit, action, reason);
        struct pollfd answered = { .fd = fd, .events = POLLIN };

        if (fd < 0)
                return fd;
        (void) poll(&answered, 1, PATIENCE_USEC / USEC_PER_MSEC);
        return 0;
}

int guard_call_start(GuardCall *call, Runtime *runtime, const char *unit, const char *action,
                     const char *reason, GuardReplyHandler on_reply, void *userdata) {
        _cleanup_close_ int fd = guard_open(unit, action, reason);
        int r;

        if (fd < 0)
                return fd;
        r = io_source_add(&call->source, runtime->reactor, fd, EPOLLIN, guard_call_on_ready, call);
        if (r < 0)
                return r;
        call->fd = TAKE_FD(fd);
        call->on_reply = on_reply;
        call->userdata = userdata;
        timer_init(&call->deadline, runtime->scheduler, guard_call_on_timeout, call);
        (void) timer_arm_after(&call->deadline, PATIENCE_USEC);
        return 0;
}
