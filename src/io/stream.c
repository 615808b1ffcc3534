/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/file-util.h"
#include "base/string-util.h"
#include "base/time-util.h"
#include "io/curl-glue.h"
#include "io/resolver.h"

/* How long an address may be silent while there is another one to try. */
#define ADDRESS_USEC (2 * USEC_PER_SEC)
/* A unix socket whose queue is full cannot be waited for, only tried again. */
#define RETRY_USEC   (50 * USEC_PER_MSEC)

struct Stream {
        /* All that is needed once it is connected, together: there may be thousands. */
        IoSource io;
        StreamHandler on_event;
        void *userdata;
        const Needs *needs;
        StreamTarget target;
        int fd; /* in TLS libcurl's, else ours */
        bool connected;
        bool failed;

        Runtime *runtime;
        ResolverQuery *query;
        ResolverAnswer answer; /* addresses to try; of a unix socket one, which is empty */
        size_t next_address;
        Timer timer;

        CurlGlue *glue;
        CurlTransfer transfer;

        int failure;                    /* errno of what failed last, 0: not known */
        const ResolvedAddress *address; /* that was tried last, NULL before the first */
        const char *doing;              /* the stage, for people, before the place */
        char *place, *stage;            /* made when they are asked for */
        char *error;
};

static void stream_try_addresses(Stream *stream);

static void stream_drop_connection(Stream *stream) {
        io_source_remove(&stream->io);
        if (stream->target.tls)
                curl_transfer_cancel(&stream->transfer);
        else
                fd_close(stream->fd);
        stream->fd = -1;
}

Stream *stream_close(Stream *stream) {
        if (!stream)
                return NULL;
        resolver_query_cancel(stream->query);
        timer_disarm(&stream->timer);
        stream_drop_connection(stream);
        curl_transfer_done(&stream->transfer);
        curl_glue_free(stream->glue);
        free(stream->place);
        free(stream->stage);
        free(stream->error);
        free(stream);
        return NULL;
}
DEFINE_CLEANUP(Stream, stream_close)

static void stream_note_failure(Stream *stream, int failure, const char *doing, const char *why) {
        stream->failure = failure;
        (void) string_printf(&stream->error, "%s %s: %s", doing, stream_place(stream), why);
}

/* Later, so that stream_open() never calls back. Out of memory, the owner's deadline ends it. */
static void stream_report_failure(Stream *stream) {
        stream->failed = true;
        (void) timer_arm_after(&stream->timer, 0);
}

static void stream_on_connected(Stream *stream) {
        timer_disarm(&stream->timer);
        stream->connected = true;
        io_source_set_needs(&stream->io, stream->needs);
        stream->doing = "waiting for";
        stream->on_event(stream, STREAM_CONNECTED, stream->userdata);
}

static void stream_on_attempt_failed(Stream *stream, int failure, const char *why) {
        stream_note_failure(stream, failure, "connecting to", why);
        stream_drop_connection(stream);
        stream_try_addresses(stream);
}

/*
 * Whether the kernel chose the port where nobody listens for our end, too, and TCP's simultaneous
 * open connected the socket to itself. It shall not keep the port from whom is waited for: no
 * TIME_WAIT.
 */
static bool stream_met_itself(const Stream *stream) {
        const struct linger no_wait = { .l_onoff = 1 };
        ResolvedAddress ours = { .length = sizeof(ours.in6) }, theirs = ours;

        if (stream->target.path || getsockname(stream->fd, &ours.sa, &ours.length) < 0 ||
            ntohs(ours.in.sin_port) != stream->target.port ||
            getpeername(stream->fd, &theirs.sa, &theirs.length) < 0 ||
            ours.length != theirs.length || memcmp(&ours.sa, &theirs.sa, ours.length) != 0)
                return false;
        (void) setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &no_wait, sizeof(no_wait));
        return true;
}

static void stream_on_io(IoSource *source, uint32_t revents, void *userdata) {
        Stream *stream = userdata;
        int error = 0;
        socklen_t size = sizeof(error);

        if (!stream->connected) {
                if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                        error = errno;
                if (error == 0 && stream_met_itself(stream))
                        error = ECONNREFUSED;
                if (error == 0)
                        error = -io_source_modify(source, EPOLLIN);
                if (error == 0)
                        stream_on_connected(stream);
                else
                        stream_on_attempt_failed(stream, error, strerrordesc_np(error));
                return;
        }
        if ((revents & EPOLLOUT) && io_source_modify(source, EPOLLIN) == 0)
                /* What there is to read is announced in the next round. */
                stream->on_event(stream, STREAM_WRITABLE, stream->userdata);
        else
                stream->on_event(stream, STREAM_READABLE, stream->userdata);
}

static int stream_connect_plain(Stream *stream, const struct sockaddr *address, socklen_t length) {
        const int one = 1;
        int r;

        stream->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (stream->fd < 0)
                return -errno;
        if (address->sa_family != AF_UNIX)
                (void) setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (connect(stream->fd, address, length) < 0 && errno != EINPROGRESS)
                r = -errno;
        else
                r = io_source_add(&stream->io, stream->runtime->reactor, stream->fd, EPOLLOUT,
                                  stream_on_io, stream);
        if (r < 0)
                stream_drop_connection(stream);
        return r;
}

static int stream_connect_unix(Stream *stream) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t length = strlen(stream->target.path);

        if (length >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, stream->target.path, length + 1);
        return stream_connect_plain(stream, (struct sockaddr *) &address, sizeof(address));
}

static void stream_on_tls_done(CurlTransfer *transfer, CURLcode result, void *userdata) {
        Stream *stream = userdata;
        curl_socket_t fd = CURL_SOCKET_BAD;
        int r;

        if (result != CURLE_OK) {
                stream_on_attempt_failed(stream,
                                         curl_transfer_failed_internally(transfer, result) ? ENOMEM
                                                                                           : 0,
                                         curl_transfer_strerror(transfer, result));
                return;
        }
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_ACTIVESOCKET, &fd);
        r = io_source_add(&stream->io, stream->runtime->reactor, fd, EPOLLIN, stream_on_io, stream);
        if (r < 0) {
                stream_on_attempt_failed(stream, -r, strerrordesc_np(-r));
                return;
        }
        stream->fd = fd;
        stream_on_connected(stream);
}

/* Changes nothing: it is how libcurl tells that the connection is there and TLS begins. */
static CURLcode stream_on_tls_begin(CURL *easy, void *context, void *userdata) {
        Stream *stream = userdata;

        (void) easy;
        (void) context;
        stream->doing = "setting up TLS with";
        return CURLE_OK;
}

static int stream_set_tls_options(Stream *stream, const ResolvedAddress *address) {
        const StreamTarget *target = &stream->target;
        CurlTransfer *transfer = &stream->transfer;
        _cleanup_free_ char *url = NULL;
        const char *name = target->server_name;
        int r;

        if (!name)
                name = target->host ? target->host : "localhost";
        r = string_printf(&url, strchr(name, ':') ? "https://[%s]:%u" : "https://%s:%u", name,
                          target->port ? target->port : 443U);
        if (r < 0)
                return r;
        r = curl_transfer_prepare(transfer);
        if (r < 0)
                return r;
        transfer->keep_connection = true;
        if (curl_easy_setopt(transfer->easy, CURLOPT_URL, url) != CURLE_OK)
                return -ENOMEM;
        if (target->ca_file) {
                r = curl_transfer_set_ca_file(transfer, target->ca_file);
                if (r < 0)
                        return r;
        }
        curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_ONLY, 1L);
        curl_easy_setopt(transfer->easy, CURLOPT_CERTINFO, (long) target->wants_certificates);
        curl_easy_setopt(transfer->easy, CURLOPT_SSL_CTX_FUNCTION, stream_on_tls_begin);
        curl_easy_setopt(transfer->easy, CURLOPT_SSL_CTX_DATA, stream);
        /* It is not HTTP that will be spoken. */
        curl_easy_setopt(transfer->easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
        return target->path ? curl_transfer_set_unix_path(transfer, target->path)
                            : curl_transfer_set_address(transfer, address, target->port);
}

static int stream_connect_tls(Stream *stream, const ResolvedAddress *address) {
        int r;

        if (!stream->glue) {
                r = curl_glue_new(stream->runtime->reactor, stream->runtime->scheduler,
                                  &stream->glue);
                if (r < 0)
                        return r;
        }
        r = stream_set_tls_options(stream, address);
        if (r < 0)
                return r;
        return curl_transfer_start(&stream->transfer, stream->glue, stream_on_tls_done, stream);
}

static int stream_try_address(Stream *stream, ResolvedAddress *address) {
        int r;

        stream->address = address;
        stream->doing = "connecting to";
        (void) string_replace(&stream->place, NULL);
        if (stream->next_address < stream->answer.n_addresses) {
                r = timer_arm_after(&stream->timer, ADDRESS_USEC);
                if (r < 0)
                        return r;
        }
        if (stream->target.tls)
                return stream_connect_tls(stream, address);
        if (stream->target.path)
                return stream_connect_unix(stream);
        resolved_address_set_port(address, stream->target.port);
        return stream_connect_plain(stream, &address->sa, address->length);
}

/* Starts with the next address that can be started with; reports the failure if there is none. */
static void stream_try_addresses(Stream *stream) {
        int r;

        timer_disarm(&stream->timer);
        while (stream->next_address < stream->answer.n_addresses) {
                r = stream_try_address(stream, &stream->answer.addresses[stream->next_address++]);
                if (r == 0)
                        return;
                if (r == -EAGAIN && stream->target.path) {
                        stream->next_address--;
                        r = timer_arm_after(&stream->timer, RETRY_USEC);
                        if (r == 0)
                                return;
                }
                stream_note_failure(stream, -r, "connecting to", strerrordesc_np(-r));
        }
        stream_report_failure(stream);
}

static void stream_on_timer(Timer *timer, void *userdata) {
        Stream *stream = userdata;

        (void) timer;
        if (stream->failed) {
                stream->on_event(stream, STREAM_FAILED, stream->userdata);
                return;
        }
        stream_drop_connection(stream);
        stream_try_addresses(stream);
}

static void stream_on_resolved(const ResolverAnswer *answer, void *userdata) {
        Stream *stream = userdata;

        stream->query = NULL;
        if (answer->error) {
                stream_note_failure(stream, 0, "resolving", answer->error);
                stream_report_failure(stream);
                return;
        }
        stream->answer = *answer;
        stream_try_addresses(stream);
}

int stream_open(Runtime *runtime, const StreamTarget *target, StreamHandler on_event,
                void *userdata, Stream **ret) {
        _cleanup_(stream_closep) Stream *stream = calloc(1, sizeof(Stream));
        int r;

        if (!stream)
                return -ENOMEM;
        stream->runtime = runtime;
        stream->target = *target;
        stream->on_event = on_event;
        stream->userdata = userdata;
        stream->fd = -1;
        timer_init(&stream->timer, runtime->scheduler, stream_on_timer, stream);
        if (target->path || resolver_parse_numeric(target->host, &stream->answer.addresses[0])) {
                stream->answer.n_addresses = 1;
                stream_try_addresses(stream);
        } else {
                stream->doing = "resolving";
                r = resolver_query(runtime->resolver, target->host, stream_on_resolved, stream,
                                   &stream->query);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(stream);
        return 0;
}

void stream_set_needs(Stream *stream, const Needs *needs) {
        stream->needs = needs;
}

void stream_add_needs(const Stream *stream, Needs *needs) {
        needs_add(needs, stream, offsetof(Stream, runtime));
}

/* The end of the stream and errors stay readable for ever: say them once. */
static ssize_t stream_read_ended(Stream *stream, int failure, const char *why) {
        io_source_remove(&stream->io);
        if (failure == 0)
                (void) string_printf(&stream->error, "%s closed the connection",
                                     stream_place(stream));
        else
                stream_note_failure(stream, failure, "reading from", why);
        return -failure;
}

static ssize_t stream_read_tls(Stream *stream, void *buffer, size_t size) {
        size_t n = 0;
        CURLcode result = curl_easy_recv(stream->transfer.easy, buffer, size, &n);

        if (result == CURLE_AGAIN)
                return -EAGAIN;
        if (result != CURLE_OK)
                return stream_read_ended(stream, EIO,
                                         curl_transfer_strerror(&stream->transfer, result));
        return n > 0 ? (ssize_t) n : stream_read_ended(stream, 0, NULL);
}

ssize_t stream_read(Stream *stream, void *buffer, size_t size) {
        ssize_t n;

        if (stream->target.tls)
                return stream_read_tls(stream, buffer, size);
        n = recv(stream->fd, buffer, size, 0);
        if (n > 0)
                return n;
        if (n == 0)
                return stream_read_ended(stream, 0, NULL);
        if (errno == EAGAIN || errno == EINTR)
                return -EAGAIN;
        return stream_read_ended(stream, errno, strerrordesc_np(errno));
}

static ssize_t stream_write_some(Stream *stream, const void *data, size_t size) {
        CURLcode result;
        size_t taken = 0;
        ssize_t n;
        int error;

        if (stream->target.tls) {
                result = curl_easy_send(stream->transfer.easy, data, size, &taken);
                if (result == CURLE_OK || result == CURLE_AGAIN)
                        return (ssize_t) taken;
                stream_note_failure(stream, EPIPE, "writing to",
                                    curl_transfer_strerror(&stream->transfer, result));
                return -EPIPE;
        }
        n = send(stream->fd, data, size, MSG_NOSIGNAL);
        if (n >= 0)
                return n;
        error = errno;
        if (error == EAGAIN || error == EINTR)
                return 0;
        stream_note_failure(stream, error, "writing to", strerrordesc_np(error));
        return -error;
}

ssize_t stream_write(Stream *stream, const void *data, size_t size) {
        ssize_t n;
        int r;

        n = stream_write_some(stream, data, size);
        if (n < 0 || (size_t) n == size || !stream->io.reactor)
                return n;
        r = io_source_modify(&stream->io, EPOLLIN | EPOLLOUT);
        if (r < 0) {
                stream_note_failure(stream, -r, "writing to", strerrordesc_np(-r));
                return r;
        }
        return n;
}

void stream_get_certificates(const Stream *stream, CertificateChain *ret) {
        *ret = (CertificateChain){};
        if (stream->target.tls && stream->connected)
                certificate_chain_read(stream->transfer.easy, ret);
}

bool stream_failed_internally(const Stream *stream) {
        return error_is_shortage(stream->failure);
}

static int stream_format_place(const Stream *stream, char **ret) {
        char text[INET6_ADDRSTRLEN], numeric[INET6_ADDRSTRLEN + 16];
        const StreamTarget *target = &stream->target;
        const ResolvedAddress *address = stream->address;
        ResolvedAddress ignored;

        if (target->path || !address)
                return string_replace(ret, target->path ? target->path : target->host);
        (void) snprintf(numeric, sizeof(numeric),
                        address->sa.sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u",
                        resolved_address_format(address, text, sizeof(text)), target->port);
        return resolver_parse_numeric(target->host, &ignored)
                               ? string_replace(ret, numeric)
                               : string_printf(ret, "%s (%s)", target->host, numeric);
}

const char *stream_place(Stream *stream) {
        if (!stream->place)
                (void) stream_format_place(stream, &stream->place);
        return stream->place ? stream->place : "";
}

const char *stream_error(const Stream *stream) {
        return stream->error ? stream->error : "out of memory";
}

const char *stream_stage(Stream *stream) {
        (void) string_printf(&stream->stage, "%s %s", stream->doing, stream_place(stream));
        return stream->stage ? stream->stage : "";
}
