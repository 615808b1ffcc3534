/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/curl-glue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file-util.h"
#include "base/time-util.h"
#include "io/certificate.h"

/* One kept connection for each persistent check; more than that is not worth its memory. */
#define CONNECTIONS_MAX 1024L

struct CurlGlue {
        CURLM *multi;
        Reactor *reactor;
        Timer timer;
        size_t n_transfers;
        CurlTransfer *unwatched; /* a list of those that would stand still */
        bool has_hashed_authorities;
        bool dispatching;
        bool unwanted; /* freed while dispatching */
};

typedef struct CurlSocket {
        CurlGlue *glue;
        IoSource io;
} CurlSocket;

/* "certificate has expired" is only half of what the reader needs. */
static void transfer_add_advice(CurlTransfer *transfer, CURLcode result) {
        const char *advice = certificate_advise(transfer->easy, result);
        size_t length = strlen(transfer->error);

        if (advice && length > 0)
                (void) snprintf(transfer->error + length, sizeof(transfer->error) - length, " (%s)",
                                advice);
}

static void transfer_on_kept(IoSource *source, uint32_t revents, void *userdata) {
        CurlTransfer *transfer = userdata;

        (void) revents;
        /* It is closed when libcurl looks at it next. */
        io_source_remove(source);
        transfer->on_kept_closed(transfer, transfer->userdata);
}

/* Lets go of what is over, and watches its connection if that is wanted. */
static void transfer_end(CurlTransfer *transfer, CURLcode result) {
        curl_socket_t fd = CURL_SOCKET_BAD;
        Reactor *reactor = transfer->glue->reactor;

        /* It is not known any more afterwards. */
        if (transfer->on_kept_closed && result == CURLE_OK)
                (void) curl_easy_getinfo(transfer->easy, CURLINFO_ACTIVESOCKET, &fd);
        curl_transfer_cancel(transfer);
        /* Not for what it sends: HTTP/2 and TLS have things to say between two requests. */
        if (fd != CURL_SOCKET_BAD)
                (void) io_source_add(&transfer->kept, reactor, fd, EPOLLRDHUP, transfer_on_kept,
                                     transfer);
}

/* From a callback of libcurl's, which must not be entered again from there. */
static void transfer_note_unwatched(CurlTransfer *transfer, int error) {
        if (!transfer || !transfer->on_done || transfer->watch_errno != 0)
                return;
        transfer->watch_errno = error;
        transfer->next_unwatched = transfer->glue->unwatched;
        transfer->glue->unwatched = transfer;
}

static void transfer_forget_unwatched(CurlTransfer *transfer) {
        CurlTransfer **place = &transfer->glue->unwatched;

        if (transfer->watch_errno == 0)
                return;
        while (*place != transfer)
                place = &(*place)->next_unwatched;
        *place = transfer->next_unwatched;
        transfer->watch_errno = 0;
}

/* May free the transfer, and the glue if it is not dispatching. */
static void transfer_finish(CurlTransfer *transfer, CURLcode result) {
        CurlHandler on_done = transfer->on_done;

        transfer->on_done = NULL;
        on_done(transfer, result, transfer->userdata);
}

/* What nobody would notice the answer of: it is not the server's fault. May free the transfer. */
static void transfer_give_up(CurlTransfer *transfer) {
        int error = transfer->watch_errno;

        curl_transfer_cancel(transfer);
        (void) snprintf(transfer->error, sizeof(transfer->error),
                        "healthd cannot watch the connection: %s%s", strerrordesc_np(error),
                        error == ENOSPC ? " (raise fs.epoll.max_user_watches by sysctl)" : "");
        transfer_finish(transfer, CURLE_OUT_OF_MEMORY);
}

/* Tells libcurl what happened, then hands over what is finished. May free the glue. */
static void glue_dispatch(CurlGlue *glue, curl_socket_t fd, int events) {
        CURLMsg *message;
        int left;

        glue->dispatching = true;
        (void) curl_multi_socket_action(glue->multi, fd, events, &left);
        while (!glue->unwanted && (message = curl_multi_info_read(glue->multi, &left))) {
                CURLcode result = message->data.result;
                CurlTransfer *transfer = NULL;

                (void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
                if (!transfer->keep_connection || result != CURLE_OK)
                        transfer_end(transfer, result);
                else
                        transfer_forget_unwatched(transfer);
                transfer_add_advice(transfer, result);
                transfer_finish(transfer, result);
        }
        while (!glue->unwanted && glue->unwatched)
                transfer_give_up(glue->unwatched);
        glue->dispatching = false;
        if (glue->unwanted)
                curl_glue_free(glue);
}

static void glue_on_socket(IoSource *source, uint32_t revents, void *userdata) {
        CurlSocket *socket = userdata;
        int events = 0;

        if (revents & (EPOLLIN | EPOLLHUP))
                events |= CURL_CSELECT_IN;
        if (revents & EPOLLOUT)
                events |= CURL_CSELECT_OUT;
        if (revents & EPOLLERR)
                events |= CURL_CSELECT_ERR;
        glue_dispatch(socket->glue, source->fd, events);
}

static void glue_on_timer(Timer *timer, void *userdata) {
        (void) timer;
        glue_dispatch(userdata, CURL_SOCKET_TIMEOUT, 0);
}

/* CURLMOPT_TIMERFUNCTION: only arms; libcurl must not be entered again from here. */
static int glue_set_timer(CURLM *multi, long timeout_ms, void *userdata) {
        CurlGlue *glue = userdata;

        (void) multi;
        if (timeout_ms < 0)
                timer_disarm(&glue->timer);
        else
                /* A failure would make the whole multi handle unusable; the owners' deadlines end
                 * what then stands still. */
                (void) timer_arm_after(&glue->timer, (uint64_t) timeout_ms * USEC_PER_MSEC);
        return 0;
}

static uint32_t events_from_curl(int what) {
        uint32_t events = 0;

        if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
                events |= EPOLLIN;
        if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
                events |= EPOLLOUT;
        return events;
}

static int glue_add_socket(CurlGlue *glue, curl_socket_t fd, uint32_t events) {
        CurlSocket *socket = calloc(1, sizeof(CurlSocket));
        int r;

        if (!socket)
                return -ENOMEM;
        socket->glue = glue;
        r = io_source_add(&socket->io, glue->reactor, fd, events, glue_on_socket, socket);
        if (r >= 0 && curl_multi_assign(glue->multi, fd, socket) != CURLM_OK)
                r = -ENOMEM;
        if (r < 0) {
                io_source_remove(&socket->io);
                free(socket);
        }
        return r;
}

/* CURLMOPT_SOCKETFUNCTION. As above, a failure is not for libcurl: it ends the transfer alone. */
static int glue_watch_socket(CURL *easy, curl_socket_t fd, int what, void *userdata,
                             void *socket_data) {
        CurlTransfer *transfer = NULL;
        CurlGlue *glue = userdata;
        CurlSocket *socket = socket_data;
        int r;

        if (what == CURL_POLL_REMOVE) {
                if (socket)
                        io_source_remove(&socket->io);
                free(socket);
                (void) curl_multi_assign(glue->multi, fd, NULL);
                return 0;
        }
        r = socket ? io_source_modify(&socket->io, events_from_curl(what))
                   : glue_add_socket(glue, fd, events_from_curl(what));
        if (r >= 0)
                return 0;
        /* libcurl has handles of its own, for connections that end. */
        (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
        transfer_note_unwatched(transfer, -r);
        return 0;
}

/*
 * Whether the system's certificate authorities lie in a directory where OpenSSL finds one by the
 * hash of its name. The bundle holds them all: to read it for a connection takes 30 ms of the loop.
 */
static bool authorities_are_hashed(void) {
        const char *path = curl_version_info(CURLVERSION_NOW)->capath;
        _cleanup_(closedirp) DIR *directory = path ? opendir(path) : NULL;
        const struct dirent *entry;
        const char *dot;

        while (directory && (entry = readdir(directory))) {
                dot = strrchr(entry->d_name, '.');
                if (dot && dot - entry->d_name == 8 && dot[1] == '0')
                        return true;
        }
        return false;
}

CurlGlue *curl_glue_free(CurlGlue *glue) {
        if (!glue)
                return NULL;
        assert(glue->n_transfers == 0);
        if (glue->dispatching) {
                glue->unwanted = true;
                return NULL;
        }
        if (glue->multi)
                curl_multi_cleanup(glue->multi);
        timer_disarm(&glue->timer);
        free(glue);
        return NULL;
}
DEFINE_CLEANUP(CurlGlue, curl_glue_free)

int curl_glue_new(Reactor *reactor, Scheduler *scheduler, CurlGlue **ret) {
        _cleanup_(curl_glue_freep) CurlGlue *glue = calloc(1, sizeof(CurlGlue));

        if (!glue)
                return -ENOMEM;
        glue->reactor = reactor;
        timer_init(&glue->timer, scheduler, glue_on_timer, glue);
        /* Never undone: setting OpenSSL up again for the next glue would cost milliseconds. */
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -ENOMEM;
        glue->has_hashed_authorities = authorities_are_hashed();
        glue->multi = curl_multi_init();
        if (!glue->multi)
                return -ENOMEM;
        curl_multi_setopt(glue->multi, CURLMOPT_SOCKETFUNCTION, glue_watch_socket);
        curl_multi_setopt(glue->multi, CURLMOPT_SOCKETDATA, glue);
        curl_multi_setopt(glue->multi, CURLMOPT_TIMERFUNCTION, glue_set_timer);
        curl_multi_setopt(glue->multi, CURLMOPT_TIMERDATA, glue);
        curl_multi_setopt(glue->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_MAX);
        /* No two requests at once on a connection: one that hangs must not hold up another. */
        curl_multi_setopt(glue->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
        *ret = TAKE_PTR(glue);
        return 0;
}

/* CURLOPT_OPENSOCKETFUNCTION: libcurl's own socket is inherited by children and hides errno. */
static curl_socket_t transfer_open_socket(void *userdata, curlsocktype purpose,
                                          struct curl_sockaddr *address) {
        CurlTransfer *transfer = userdata;
        int fd;

        (void) purpose;
        fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    address->protocol);
        transfer->socket_errno = fd < 0 ? errno : 0;
        return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static void transfer_forget_address(CurlTransfer *transfer) {
        if (transfer->easy)
                curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO, NULL);
        /* libcurl may not have been loaded: nothing was ever set up. */
        if (transfer->connect_to)
                curl_slist_free_all(transfer->connect_to);
        transfer->connect_to = NULL;
        transfer->has_address = false;
}

int curl_transfer_prepare(CurlTransfer *transfer) {
        CURL *easy;

        assert(!transfer->glue);
        transfer_forget_address(transfer);
        transfer->has_ca_file = false;
        transfer->keep_connection = false;
        transfer->on_kept_closed = NULL;
        if (transfer->easy)
                curl_easy_reset(transfer->easy);
        else
                transfer->easy = curl_easy_init();
        easy = transfer->easy;
        if (!easy)
                return -ENOMEM;
        curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, transfer_open_socket);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
        /* An empty proxy also overrides what the environment says. */
        if (curl_easy_setopt(easy, CURLOPT_PROXY, "") != CURLE_OK ||
            curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK ||
            curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") != CURLE_OK)
                return -ENOMEM;
        return 0;
}

int curl_transfer_set_address(CurlTransfer *transfer, const ResolvedAddress *address,
                              uint16_t port) {
        bool ipv6 = address->sa.sa_family == AF_INET6;
        char text[INET6_ADDRSTRLEN], entry[INET6_ADDRSTRLEN + 16];

        transfer_forget_address(transfer);
        /* No host and port before it: it holds for whatever the URL says. */
        (void) snprintf(entry, sizeof(entry), ipv6 ? "::[%s]:%u" : "::%s:%u",
                        resolved_address_format(address, text, sizeof(text)), port);
        transfer->connect_to = curl_slist_append(NULL, entry);
        if (!transfer->connect_to ||
            curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO, transfer->connect_to) != CURLE_OK)
                return -ENOMEM;
        curl_easy_setopt(transfer->easy, CURLOPT_ADDRESS_SCOPE,
                         ipv6 ? (long) address->in6.sin6_scope_id : 0L);
        transfer->has_address = true;
        return 0;
}

int curl_transfer_set_unix_path(CurlTransfer *transfer, const char *path) {
        if (curl_easy_setopt(transfer->easy, CURLOPT_UNIX_SOCKET_PATH, path) != CURLE_OK)
                return -ENOMEM;
        transfer->has_address = true;
        return 0;
}

int curl_transfer_set_ca_file(CurlTransfer *transfer, const char *path) {
        if (curl_easy_setopt(transfer->easy, CURLOPT_CAINFO, path) != CURLE_OK)
                return -ENOMEM;
        curl_easy_setopt(transfer->easy, CURLOPT_CAPATH, NULL);
        transfer->has_ca_file = true;
        return 0;
}

int curl_transfer_set_texts(CurlTransfer *transfer, const CurlTextOption *options, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (options[i].value && curl_easy_setopt(transfer->easy, options[i].option,
                                                         options[i].value) != CURLE_OK)
                        return -ENOMEM;
        return 0;
}

/* CURLOPT_CLOSESOCKETFUNCTION: what is closed must not be watched any more. */
static int transfer_close_socket(void *userdata, curl_socket_t fd) {
        CurlTransfer *transfer = userdata;

        if (transfer->kept.fd == fd)
                io_source_remove(&transfer->kept);
        return close(fd);
}

void curl_transfer_watch_kept(CurlTransfer *transfer,
                              void (*on_closed)(CurlTransfer *transfer, void *userdata)) {
        transfer->on_kept_closed = on_closed;
        curl_easy_setopt(transfer->easy, CURLOPT_CLOSESOCKETFUNCTION, transfer_close_socket);
        curl_easy_setopt(transfer->easy, CURLOPT_CLOSESOCKETDATA, transfer);
}

int curl_transfer_start(CurlTransfer *transfer, CurlGlue *glue, CurlHandler on_done,
                        void *userdata) {
        /* Without an address libcurl would look the name up, and the loop would stand still. */
        if (!transfer->has_address)
                return -EINVAL;
        if (!transfer->has_ca_file)
                curl_easy_setopt(transfer->easy,
                                 glue->has_hashed_authorities ? CURLOPT_CAINFO : CURLOPT_CAPATH,
                                 NULL);
        io_source_remove(&transfer->kept);
        transfer->socket_errno = 0;
        transfer->watch_errno = 0;
        *transfer->error = '\0';
        transfer->on_done = on_done;
        transfer->userdata = userdata;
        if (curl_multi_add_handle(glue->multi, transfer->easy) != CURLM_OK)
                return -ENOMEM;
        transfer->glue = glue;
        glue->n_transfers++;
        return 0;
}

void curl_transfer_cancel(CurlTransfer *transfer) {
        if (!transfer->glue)
                return;
        (void) curl_multi_remove_handle(transfer->glue->multi, transfer->easy);
        transfer_forget_unwatched(transfer);
        transfer->glue->n_transfers--;
        transfer->glue = NULL;
}

void curl_transfer_done(CurlTransfer *transfer) {
        curl_transfer_cancel(transfer);
        io_source_remove(&transfer->kept);
        transfer_forget_address(transfer);
        if (transfer->easy)
                curl_easy_cleanup(transfer->easy);
        transfer->easy = NULL;
}

static int transfer_errno(const CurlTransfer *transfer) {
        long error = 0;

        if (transfer->socket_errno != 0)
                return transfer->socket_errno;
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &error);
        return (int) error;
}

const char *curl_transfer_strerror(const CurlTransfer *transfer, CURLcode result) {
        int error = transfer_errno(transfer);

        /* "Failed to connect to db1 port 80 after 0 ms: Couldn't connect" hides the cause. */
        if (result == CURLE_COULDNT_CONNECT && error != 0)
                return strerrordesc_np(error);
        return *transfer->error ? transfer->error : curl_easy_strerror(result);
}

bool curl_transfer_failed_internally(const CurlTransfer *transfer, CURLcode result) {
        int error = transfer_errno(transfer);

        return result == CURLE_OUT_OF_MEMORY ||
               (result == CURLE_COULDNT_CONNECT && error_is_shortage(error));
}
