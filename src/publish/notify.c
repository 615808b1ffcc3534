/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/notify.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"

#define RETRY_USEC  (50 * USEC_PER_MSEC)
#define PENDING_MAX 4000

struct Notify {
        int fd;
        struct sockaddr_un address;
        socklen_t address_length;
        TextBuffer pending; /* messages that found the queue full, one datagram in the end */
        Timer retry_timer;
};

static bool notify_try(Notify *notify, const char *text, size_t length) {
        ssize_t n;

        n = sendto(notify->fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT,
                   (const struct sockaddr *) &notify->address, notify->address_length);
        return n >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

static void notify_on_retry(Timer *timer, void *userdata) {
        Notify *notify = userdata;

        if (!notify_try(notify, notify->pending.text, notify->pending.length)) {
                (void) timer_arm_after(timer, RETRY_USEC);
                return;
        }
        text_buffer_done(&notify->pending);
}

Notify *notify_free(Notify *notify) {
        if (!notify)
                return NULL;
        timer_disarm(&notify->retry_timer);
        text_buffer_done(&notify->pending);
        fd_close(notify->fd);
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

bool notify_is_connected(const Notify *notify) {
        return notify->fd >= 0;
}

void notify_send(Notify *notify, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list arguments;
        int r;

        if (notify->fd < 0)
                return;
        va_start(arguments, format);
        r = string_vprintf(&text, format, arguments);
        va_end(arguments);
        if (r < 0)
                return;
        /* In order: nothing may overtake what waits. */
        if (notify->pending.length == 0 && notify_try(notify, text, strlen(text)))
                return;
        if (notify->pending.length + strlen(text) > PENDING_MAX)
                return;
        text_buffer_printf(&notify->pending, "%s%s", notify->pending.length ? "\n" : "", text);
        (void) timer_arm_after(&notify->retry_timer, RETRY_USEC);
}
