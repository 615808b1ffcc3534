/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A GET with libcurl's multi_socket interface on epoll: one multi handle, one easy handle for each
 * check, set up once. Only the status is looked at.
 */

#include <curl/curl.h>
#include <stdio.h>

#include "pace.h"

typedef struct HttpCheck {
        Slot slot;
        CURL *easy;
} HttpCheck;

static void http_take_finished(Pace *pace) {
        CURLMsg *message;
        int left;

        while ((message = curl_multi_info_read(pace->shared, &left))) {
                CURLcode result = message->data.result;
                CURL *easy = message->easy_handle;
                HttpCheck *check = NULL;
                long status = 0;

                (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &check);
                (void) curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
                (void) curl_multi_remove_handle(pace->shared, easy);
                pace_finish(pace, &check->slot, result == CURLE_OK && status == 200);
        }
}

static void http_on_event(Pace *pace, const struct epoll_event *event) {
        int events = 0, left;

        if (event->events & (EPOLLIN | EPOLLHUP))
                events |= CURL_CSELECT_IN;
        if (event->events & EPOLLOUT)
                events |= CURL_CSELECT_OUT;
        if (event->events & EPOLLERR)
                events |= CURL_CSELECT_ERR;
        (void) curl_multi_socket_action(pace->shared, event->data.fd, events, &left);
        http_take_finished(pace);
}

static void http_on_wake(Pace *pace) {
        int left;

        (void) curl_multi_socket_action(pace->shared, CURL_SOCKET_TIMEOUT, 0, &left);
        http_take_finished(pace);
}

/* CURLMOPT_TIMERFUNCTION */
static int http_set_timer(CURLM *multi, long timeout_ms, void *userdata) {
        Pace *pace = userdata;

        (void) multi;
        pace->wake_usec = timeout_ms < 0 ? UINT64_MAX
                                         : pace->now_usec + (uint64_t) timeout_ms * 1000;
        return 0;
}

/* CURLMOPT_SOCKETFUNCTION; the socket's own pointer says whether it is watched already. */
static int http_watch_socket(CURL *easy, curl_socket_t fd, int what, void *userdata,
                             void *watched) {
        Pace *pace = userdata;
        struct epoll_event event = { .data.fd = fd };

        (void) easy;
        if (what == CURL_POLL_REMOVE)
                return epoll_ctl(pace->epoll_fd, EPOLL_CTL_DEL, fd, NULL) < 0 ? -1 : 0;
        if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
                event.events |= EPOLLIN;
        if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
                event.events |= EPOLLOUT;
        (void) curl_multi_assign(pace->shared, fd, pace);
        return epoll_ctl(pace->epoll_fd, watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) < 0
                               ? -1
                               : 0;
}

/* CURLOPT_WRITEFUNCTION: the body is read and dropped. */
static size_t http_drop(char *data, size_t size, size_t n, void *userdata) {
        (void) data;
        (void) userdata;
        return size * n;
}

static bool http_setup_check(const Pace *pace, HttpCheck *check, const char *url) {
        check->easy = curl_easy_init();
        if (!check->easy)
                return false;
        curl_easy_setopt(check->easy, CURLOPT_PRIVATE, check);
        curl_easy_setopt(check->easy, CURLOPT_WRITEFUNCTION, http_drop);
        curl_easy_setopt(check->easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(check->easy, CURLOPT_FRESH_CONNECT, pace->persistent ? 0L : 1L);
        curl_easy_setopt(check->easy, CURLOPT_FORBID_REUSE, pace->persistent ? 0L : 1L);
        return curl_easy_setopt(check->easy, CURLOPT_PROXY, "") == CURLE_OK &&
               curl_easy_setopt(check->easy, CURLOPT_URL, url) == CURLE_OK;
}

static bool http_setup(Pace *pace) {
        char url[64];

        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return false;
        pace->shared = curl_multi_init();
        if (!pace->shared)
                return false;
        curl_multi_setopt(pace->shared, CURLMOPT_SOCKETFUNCTION, http_watch_socket);
        curl_multi_setopt(pace->shared, CURLMOPT_SOCKETDATA, pace);
        curl_multi_setopt(pace->shared, CURLMOPT_TIMERFUNCTION, http_set_timer);
        curl_multi_setopt(pace->shared, CURLMOPT_TIMERDATA, pace);
        curl_multi_setopt(pace->shared, CURLMOPT_MAXCONNECTS, 1024L);
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%s/", pace->port);
        for (size_t i = 0; i < pace->n_slots; i++)
                if (!http_setup_check(pace, (HttpCheck *) pace->slots[i], url))
                        return false;
        return true;
}

static void http_start(Pace *pace, Slot *slot) {
        HttpCheck *check = (HttpCheck *) slot;

        if (curl_multi_add_handle(pace->shared, check->easy) != CURLM_OK)
                pace_finish(pace, slot, false);
}

static void http_done(Pace *pace) {
        for (size_t i = 0; i < pace->n_slots; i++) {
                HttpCheck *check = (HttpCheck *) pace->slots[i];

                if (check->slot.running)
                        (void) curl_multi_remove_handle(pace->shared, check->easy);
                curl_easy_cleanup(check->easy);
        }
        curl_multi_cleanup(pace->shared);
        curl_global_cleanup();
}

int main(int argc, char *argv[]) {
        static const BareType http = {
                .check_size = sizeof(HttpCheck),
                .setup = http_setup,
                .start = http_start,
                .on_event = http_on_event,
                .on_wake = http_on_wake,
                .done = http_done,
        };

        return pace_main(&http, argc, argv);
}
