/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/dns-query.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "io/stream.h"

/* A datagram may be lost. */
#define AGAIN_USEC  (1 * USEC_PER_SEC)
#define MESSAGE_MAX 65535

struct DnsQuery {
        Runtime *runtime;
        ResolvedAddress server;
        DnsQuestion question;
        DnsHandler on_answer;
        void *userdata;

        int fd;
        IoSource io;
        Timer again;

        /* Over TCP, where the length stands before each message. */
        char host[INET6_ADDRSTRLEN];
        Stream *stream;
        uint8_t request[2 + DNS_QUESTION_MAX];
        size_t sent;
        TextBuffer received;
};

DnsQuery *dns_query_cancel(DnsQuery *query) {
        if (!query)
                return NULL;
        timer_disarm(&query->again);
        io_source_remove(&query->io);
        fd_close(query->fd);
        stream_close(query->stream);
        text_buffer_done(&query->received);
        free(query);
        return NULL;
}
DEFINE_CLEANUP(DnsQuery, dns_query_cancel)

/* The query is gone afterwards. */
static void query_report(DnsQuery *query, int error, const DnsAnswer *answer) {
        DnsHandler on_answer = query->on_answer;
        void *userdata = query->userdata;

        dns_query_cancel(query);
        on_answer(error, answer, userdata);
}

/* Returns false if this was no answer to our question. */
static bool query_take(DnsQuery *query, const uint8_t *data, size_t length, bool *ret_truncated) {
        _cleanup_(dns_answer_done) DnsAnswer answer = {};
        int r;

        *ret_truncated = false;
        r = dns_answer_parse(&query->question, data, length, &answer);
        if (r == -EBADMSG)
                return false;
        if (r >= 0 && answer.truncated && !query->stream)
                *ret_truncated = true;
        else
                query_report(query, r, &answer);
        return true;
}

/* ---- over TCP ---- */

static void query_write(DnsQuery *query) {
        size_t length = 2 + query->question.length;

        while (query->sent < length) {
                ssize_t n = stream_write(query->stream, query->request + query->sent,
                                         length - query->sent);
                if (n == 0)
                        return;
                query->sent = n < 0 ? length : query->sent + (size_t) n;
        }
}

static void query_read(DnsQuery *query) {
        TextBuffer *received = &query->received;
        const uint8_t *data;
        char bytes[4096];
        bool truncated;
        ssize_t n;

        do {
                n = stream_read(query->stream, bytes, sizeof(bytes));
                if (n > 0)
                        text_buffer_add(received, bytes, (size_t) n);
        } while (n > 0 && received->length < 2 + MESSAGE_MAX);
        data = (const uint8_t *) received->text;
        if (received->failed)
                query_report(query, -ENOMEM, NULL);
        else if (received->length >= 2 &&
                 received->length >= 2 + (size_t) (data[0] << 8 | data[1])) {
                if (!query_take(query, data + 2, (size_t) (data[0] << 8 | data[1]), &truncated))
                        query_report(query, -EBADMSG, NULL);
        } else if (n != -EAGAIN)
                query_report(query, n < 0 ? (int) n : -ECONNRESET, NULL);
}

static void query_on_stream(Stream *stream, StreamEvent event, void *userdata) {
        DnsQuery *query = userdata;

        (void) stream;
        switch (event) {
        case STREAM_CONNECTED:
        case STREAM_WRITABLE:
                query_write(query);
                return;
        case STREAM_READABLE:
                query_read(query);
                return;
        case STREAM_FAILED:
                query_report(query, -ECONNREFUSED, NULL);
                return;
        }
}

static int query_use_tcp(DnsQuery *query) {
        const StreamTarget target = {
                .host = resolved_address_format(&query->server, query->host, sizeof(query->host)),
                .port = ntohs(query->server.in.sin_port),
        };

        io_source_remove(&query->io);
        timer_disarm(&query->again);
        query->request[0] = (uint8_t) (query->question.length >> 8);
        query->request[1] = (uint8_t) query->question.length;
        memcpy(query->request + 2, query->question.data, query->question.length);
        return stream_open(query->runtime, &target, query_on_stream, query, &query->stream);
}

/* ---- over UDP ---- */

static void query_on_datagram(IoSource *source, uint32_t revents, void *userdata) {
        static const size_t most = 16;
        DnsQuery *query = userdata;
        uint8_t data[4096];
        bool truncated;
        int r;

        (void) revents;
        /* Whoever floods us gets no more than its share of the loop. */
        for (size_t i = 0; i < most; i++) {
                ssize_t n = recv(source->fd, data, sizeof(data), 0);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                if (n < 0) {
                        query_report(query, -errno, NULL);
                        return;
                }
                if (!query_take(query, data, (size_t) n, &truncated))
                        continue;
                r = truncated ? query_use_tcp(query) : 0;
                if (r < 0)
                        query_report(query, r, NULL);
                return;
        }
}

static void query_on_again(Timer *timer, void *userdata) {
        DnsQuery *query = userdata;

        /* What fails here is said by the socket, or by the deadline. */
        (void) send(query->fd, query->question.data, query->question.length, MSG_NOSIGNAL);
        (void) timer_arm_after(timer, AGAIN_USEC);
}

static int query_open(DnsQuery *query) {
        query->fd = socket(query->server.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                           0);
        if (query->fd < 0 || connect(query->fd, &query->server.sa, query->server.length) < 0)
                return -errno;
        if (send(query->fd, query->question.data, query->question.length, MSG_NOSIGNAL) < 0)
                return -errno;
        return io_source_add(&query->io, query->runtime->reactor, query->fd, EPOLLIN,
                             query_on_datagram, query);
}

int dns_query_start(Runtime *runtime, const ResolvedAddress *server, const char *name, DnsType type,
                    DnsHandler on_answer, void *userdata, DnsQuery **ret) {
        _cleanup_(dns_query_cancelp) DnsQuery *query = calloc(1, sizeof(DnsQuery));
        uint16_t id;
        int r;

        if (!query)
                return -ENOMEM;
        query->fd = -1;
        query->runtime = runtime;
        query->server = *server;
        query->on_answer = on_answer;
        query->userdata = userdata;
        timer_init(&query->again, runtime->scheduler, query_on_again, query);
        if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != sizeof(id))
                return -EIO;
        r = dns_question_make(name, type, id, &query->question);
        if (r >= 0)
                r = query_open(query);
        if (r >= 0)
                r = timer_arm_after(&query->again, AGAIN_USEC);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(query);
        return 0;
}
