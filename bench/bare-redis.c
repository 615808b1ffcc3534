/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * PING and INFO in one go, as healthd's redis probe asks, with hiredis for the protocol and a plain
 * socket on epoll. INFO's fields are not taken apart.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pace.h"

#define REPLIES 2

typedef struct RedisCheck {
        Slot slot;
        int fd; /* 0: none */
        redisReader *reader;
        int n_replies;
        bool connected;
        const char *request;
        size_t length;
        struct sockaddr_in address;
} RedisCheck;

/* Both commands in one text. */
static bool redis_make_request(char **ret, size_t *ret_length) {
        char *ping, *info, *request;
        int ping_length = redisFormatCommand(&ping, "PING");
        int info_length = redisFormatCommand(&info, "INFO");

        if (ping_length < 0 || info_length < 0)
                return false;
        request = malloc((size_t) (ping_length + info_length));
        if (request) {
                memcpy(request, ping, (size_t) ping_length);
                memcpy(request + ping_length, info, (size_t) info_length);
        }
        redisFreeCommand(ping);
        redisFreeCommand(info);
        *ret = request;
        *ret_length = (size_t) (ping_length + info_length);
        return request;
}

static bool redis_setup(Pace *pace) {
        char *request;
        size_t length;

        if (!redis_make_request(&request, &length))
                return false;
        pace->shared = request;
        for (size_t i = 0; i < pace->n_slots; i++) {
                RedisCheck *check = (RedisCheck *) pace->slots[i];

                check->request = request;
                check->length = length;
                check->address = (struct sockaddr_in){
                        .sin_family = AF_INET,
                        .sin_port = htons((uint16_t) strtoul(pace->port, NULL, 10)),
                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                };
        }
        return true;
}

static void redis_close(RedisCheck *check) {
        if (check->fd > 0)
                close(check->fd);
        if (check->reader)
                redisReaderFree(check->reader);
        check->fd = 0;
        check->reader = NULL;
        check->connected = false;
}

static void redis_finish(Pace *pace, RedisCheck *check, bool passed) {
        if (!passed || !pace->persistent)
                redis_close(check);
        pace_finish(pace, &check->slot, passed);
}

static void redis_send(Pace *pace, RedisCheck *check) {
        check->n_replies = 0;
        if (send(check->fd, check->request, check->length, MSG_NOSIGNAL) != (ssize_t) check->length)
                redis_finish(pace, check, false);
}

static void redis_start(Pace *pace, Slot *slot) {
        RedisCheck *check = (RedisCheck *) slot;
        struct epoll_event event = { .events = EPOLLOUT, .data.ptr = check };
        const int one = 1;

        if (check->connected) {
                redis_send(pace, check);
                return;
        }
        check->reader = redisReaderCreate();
        check->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (!check->reader || check->fd < 0 ||
            setsockopt(check->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
            (connect(check->fd, (struct sockaddr *) &check->address, sizeof(check->address)) < 0 &&
             errno != EINPROGRESS) ||
            epoll_ctl(pace->epoll_fd, EPOLL_CTL_ADD, check->fd, &event) < 0)
                redis_finish(pace, check, false);
}

static void redis_on_connected(Pace *pace, RedisCheck *check) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = check };
        int error = 0;
        socklen_t size = sizeof(error);

        if (getsockopt(check->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0 ||
            epoll_ctl(pace->epoll_fd, EPOLL_CTL_MOD, check->fd, &event) < 0) {
                redis_finish(pace, check, false);
                return;
        }
        check->connected = true;
        redis_send(pace, check);
}

/* Whether the reply is the one asked for: PONG, then a text. */
static bool redis_reply_is_good(const RedisCheck *check, const redisReply *reply) {
        return check->n_replies == 0 ? reply->type == REDIS_REPLY_STATUS &&
                                                       strcmp(reply->str, "PONG") == 0
                                     : reply->type == REDIS_REPLY_STRING;
}

static void redis_on_event(Pace *pace, const struct epoll_event *event) {
        RedisCheck *check = event->data.ptr;
        char buffer[16 * 1024];
        ssize_t n;

        if (!check->connected) {
                redis_on_connected(pace, check);
                return;
        }
        n = recv(check->fd, buffer, sizeof(buffer), 0);
        if (n <= 0 || redisReaderFeed(check->reader, buffer, (size_t) n) != REDIS_OK) {
                redis_finish(pace, check, false);
                return;
        }
        while (check->n_replies < REPLIES) {
                void *reply = NULL;
                bool good;

                if (redisReaderGetReply(check->reader, &reply) != REDIS_OK) {
                        redis_finish(pace, check, false);
                        return;
                }
                if (!reply)
                        return;
                good = redis_reply_is_good(check, reply);
                freeReplyObject(reply);
                check->n_replies++;
                if (!good || check->n_replies == REPLIES)
                        redis_finish(pace, check, good);
                if (!good)
                        return;
        }
}

static void redis_done(Pace *pace) {
        for (size_t i = 0; i < pace->n_slots; i++)
                redis_close((RedisCheck *) pace->slots[i]);
        free(pace->shared);
}

int main(int argc, char *argv[]) {
        static const BareType redis = {
                .check_size = sizeof(RedisCheck),
                .setup = redis_setup,
                .start = redis_start,
                .on_event = redis_on_event,
                .done = redis_done,
        };

        return pace_main(&redis, argc, argv);
}
