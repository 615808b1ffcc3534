/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/notify.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"

#define RETRY_USEC (50 * USEC_PER_MSEC)

/* What the service manager has not been told yet. */
typedef struct Unsent {
        bool reloading, ready, stopping, watchdog, status;
        uint64_t reloading_usec;
        uint64_t extend_usec;
} Unsent;

struct Notify {
        int fd;
        struct sockaddr_un address;
        socklen_t address_length;
        Unsent unsent;
        char *status; /* the newest */
        int kept_fd;  /* borrowed; -1 once it is sent */
        const char *keep_name;
        const char *forget_name; /* NULL once it is sent */
        Timer retry_timer;
};

/* In the order of things: a reload that began and ended meanwhile is told as both. */
static void notify_compose(const Notify *notify, TextBuffer *text) {
        const Unsent *unsent = &notify->unsent;

        if (unsent->reloading)
                text_buffer_printf(text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n",
                                   unsent->reloading_usec);
        if (unsent->ready)
                text_buffer_add_string(text, "READY=1\n");
        if (unsent->stopping)
                text_buffer_add_string(text, "STOPPING=1\n");
        if (unsent->watchdog)
                text_buffer_add_string(text, "WATCHDOG=1\n");
        if (unsent->extend_usec > 0)
                text_buffer_printf(text, "EXTEND_TIMEOUT_USEC=%" PRIu64 "\n", unsent->extend_usec);
        if (unsent->status && notify->status)
                text_buffer_printf(text, "STATUS=%s\n", notify->status);
}

/* Sends one datagram, with a descriptor unless that is -1. False if the queue is full. */
static bool notify_send(Notify *notify, const TextBuffer *text, int fd) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec iov = { .iov_base = text->text, .iov_len = text->length };
        struct msghdr message = {
                .msg_name = &notify->address,
                .msg_namelen = notify->address_length,
                .msg_iov = &iov,
                .msg_iovlen = 1,
        };

        if (text->failed)
                return false;
        if (text->length == 0)
                return true;
        if (fd >= 0) {
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
                message.msg_control = &control;
                message.msg_controllen = sizeof(control.space);
        }
        return sendmsg(notify->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ||
               (errno != EAGAIN && errno != ENOBUFS);
}

/* First the new one is kept, then the old one forgotten. */
static bool notify_flush_fd(Notify *notify) {
        _cleanup_(text_buffer_done) TextBuffer keep = {}, forget = {};

        if (notify->kept_fd >= 0) {
                text_buffer_printf(&keep, "FDSTORE=1\nFDNAME=%s\n", notify->keep_name);
                if (!notify_send(notify, &keep, notify->kept_fd))
                        return false;
                notify->kept_fd = -1;
        }
        if (notify->forget_name) {
                text_buffer_printf(&forget, "FDSTOREREMOVE=1\nFDNAME=%s\n", notify->forget_name);
                if (!notify_send(notify, &forget, -1))
                        return false;
                notify->forget_name = NULL;
        }
        return true;
}

/* Sends what is unsent; what finds the queue full is tried again in a moment. */
static void notify_flush(Notify *notify) {
        _cleanup_(text_buffer_done) TextBuffer text = {};

        if (notify->fd < 0)
                return;
        notify_compose(notify, &text);
        if (notify_send(notify, &text, -1))
                notify->unsent = (Unsent){};
        else
                (void) timer_arm_after(&notify->retry_timer, RETRY_USEC);
        if (!notify_flush_fd(notify))
                (void) timer_arm_after(&notify->retry_timer, RETRY_USEC);
}

static void notify_on_retry(Timer *timer, void *userdata) {
        (void) timer;
        notify_flush(userdata);
}

Notify *notify_free(Notify *notify) {
        if (!notify)
                return NULL;
        timer_disarm(&notify->retry_timer);
        fd_close(notify->fd);
        free(notify->status);
        free(notify);
        return NULL;
}
DEFINE_CLEANUP(Notify, notify_free)

int notify_new(Scheduler *scheduler, Notify **ret) {
        _cleanup_(notify_freep) Notify *notify = calloc(1, sizeof(Notify));
        const char *path = getenv("NOTIFY_SOCKET");
        size_t length = path ? strlen(path) : 0;

        if (!notify)
                return -ENOMEM;
        notify->fd = -1;
        notify->kept_fd = -1;
        timer_init(&notify->retry_timer, scheduler, notify_on_retry, notify);
        if (length > 1 && length < sizeof(notify->address.sun_path)) {
                notify->address.sun_family = AF_UNIX;
                memcpy(notify->address.sun_path, path, length);
                /* "@name" stands for the abstract socket "\0name". */
                if (*path == '@')
                        notify->address.sun_path[0] = '\0';
                notify->address_length = (socklen_t) (offsetof(struct sockaddr_un, sun_path) +
                                                      length);
                notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                if (notify->fd < 0)
                        return -errno;
        }
        unsetenv("NOTIFY_SOCKET");
        *ret = TAKE_PTR(notify);
        return 0;
}

void notify_ready(Notify *notify) {
        notify->unsent.ready = true;
        notify_flush(notify);
}

void notify_reloading(Notify *notify, uint64_t now_usec) {
        /* A READY=1 still unsent is that of the reload before; the one to come stands for both. */
        notify->unsent.ready = false;
        notify->unsent.reloading = true;
        notify->unsent.reloading_usec = now_usec;
        notify_flush(notify);
}

void notify_stopping(Notify *notify) {
        notify->unsent.stopping = true;
        notify_flush(notify);
}

void notify_watchdog(Notify *notify) {
        notify->unsent.watchdog = true;
        notify_flush(notify);
}

void notify_extend_timeout(Notify *notify, uint64_t usec) {
        notify->unsent.extend_usec = usec;
        notify_flush(notify);
}

void notify_replace_fd(Notify *notify, int fd, const char *name, const char *forget) {
        notify->kept_fd = fd;
        notify->keep_name = name;
        notify->forget_name = forget;
        notify_flush(notify);
}

void notify_status(Notify *notify, const char *line) {
        if (string_equal(line, notify->status) || string_replace(&notify->status, line) < 0)
                return;
        notify->unsent.status = true;
        notify_flush(notify);
}
