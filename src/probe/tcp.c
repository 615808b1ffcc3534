/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=tcp: connects, perhaps in TLS, says what it is told to say, and reads until the answer is
 * the one that is expected. Whatever speaks over a stream can be checked so, binary or not.
 */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/pattern.h"
#include "base/time-util.h"
#include "check/probe.h"
#include "io/address.h"
#include "io/stream.h"

/* It is searched anew whenever something comes, so it is not large. */
#define ANSWER_MAX 16384
#define BANNER_MAX 128

typedef struct TcpProbe {
        char *address_text;
        char *send;
        char *expect;
        bool tls;
        char *server_name;
        char *ca_file;

        /* Made by prepare(). */
        Address address;
        StreamTarget target;
        char *request; /* may contain NUL */
        size_t request_length;
        Pattern pattern;

        /* The probe under way. */
        Check *check;
        Stream *stream;
        Sample sample;
        bool connected;
        size_t sent;
        TextBuffer received;
        uint64_t pattern_budget_usec;
        uint64_t started_usec, connected_usec;
} TcpProbe;

static const ConfigKey tcp_keys[] = {
        { "Address", config_parse_string, offsetof(TcpProbe, address_text) },
        { "Send", config_parse_string, offsetof(TcpProbe, send), .flags = CONFIG_CREDENTIAL },
        { "Expect", config_parse_string, offsetof(TcpProbe, expect) },
        { "TLS", config_parse_bool, offsetof(TcpProbe, tls) },
        { "ServerName", config_parse_string, offsetof(TcpProbe, server_name) },
        { "CAFile", config_parse_path, offsetof(TcpProbe, ca_file) },
        {},
};

/* ---- the end ---- */

static void tcp_close(TcpProbe *probe) {
        probe->stream = stream_close(probe->stream);
        text_buffer_done(&probe->received);
        probe->connected = false;
}

/* What came so far, in one line for people; to a new string, NULL if memory is short. */
static char *tcp_first_line(const TcpProbe *probe) {
        const char *text = probe->received.text, *end = text + probe->received.length;
        char *line = calloc(1, BANNER_MAX + 1);

        while (text < end && (*text == '\r' || *text == '\n'))
                text++;
        for (size_t i = 0; line && i < BANNER_MAX && text < end; i++, text++)
                line[i] = *text ? *text : '?';
        if (line)
                line[strcspn(line, "\r\n")] = '\0';
        string_make_printable(line);
        return line;
}

/* What was waited for, and what came instead. ending: " and closed the connection" */
static void tcp_fail(TcpProbe *probe, const char *ending, const char *advice) {
        _cleanup_free_ char *line = probe->received.length > 0 ? tcp_first_line(probe) : NULL;
        const char *place = stream_place(probe->stream);

        if (line)
                sample_fail(&probe->sample,
                            "%s sent %zu bytes%s, which Expect=%s does not match: %s", place,
                            probe->received.length, ending, probe->expect, line);
        else
                sample_fail(&probe->sample, "%s sent nothing%s; waited for %s%s%s", place, ending,
                            probe->pattern.compiled ? "Expect=" : "an answer to Send=",
                            probe->pattern.compiled ? probe->expect : "", advice);
}

static void tcp_report(TcpProbe *probe) {
        _cleanup_free_ char *line = probe->received.length > 0 ? tcp_first_line(probe) : NULL;

        if (line)
                sample_add_string(&probe->sample, "banner", line);
        tcp_close(probe);
        check_report(TAKE_PTR(probe->check), &probe->sample);
}

/* ---- the conversation ---- */

static int tcp_search(TcpProbe *probe, uint64_t *budget_usec) {
        return pattern_search(&probe->pattern, probe->received.text, probe->received.length,
                              budget_usec, NULL);
}

/*
 * Returns 1, 0, or a negative errno: -ETIME if the expression takes too long, -EPROTO if it does
 * not, but all that came was searched anew for too many pieces.
 */
static int tcp_is_answered(TcpProbe *probe) {
        uint64_t once_usec = PATTERN_BUDGET_USEC;
        int r;

        if (!probe->pattern.compiled)
                return 1;
        r = tcp_search(probe, &probe->pattern_budget_usec);
        if (r != -ETIME)
                return r;
        r = tcp_search(probe, &once_usec);
        return r == 0 ? -EPROTO : r;
}

static void tcp_write(TcpProbe *probe) {
        while (probe->sent < probe->request_length) {
                ssize_t n = stream_write(probe->stream, probe->request + probe->sent,
                                         probe->request_length - probe->sent);
                if (n == 0)
                        return;
                /* What the server said before it closed is the better reason: reading tells. */
                probe->sent = n < 0 ? probe->request_length : probe->sent + (size_t) n;
        }
}

static void tcp_fail_internal(TcpProbe *probe, int error) {
        if (error == -ETIME)
                sample_fail_internal(&probe->sample,
                                     "it takes too long to look for Expect=%s in the %zu bytes "
                                     "that came; begin it with fixed text or ^, not with .* or a "
                                     "repeated class",
                                     probe->expect, probe->received.length);
        else
                sample_fail_internal(&probe->sample, "%s", strerrordesc_np(-error));
        tcp_report(probe);
}

/* Returns what stream_read() said last: -EAGAIN if there may be more. */
static ssize_t tcp_take(TcpProbe *probe) {
        char bytes[4096];
        ssize_t n;

        do {
                n = stream_read(probe->stream, bytes, sizeof(bytes));
                if (n > 0)
                        text_buffer_add(&probe->received, bytes, (size_t) n);
        } while (n > 0 && probe->received.length < ANSWER_MAX);
        return n;
}

static void tcp_read(TcpProbe *probe) {
        size_t before = probe->received.length;
        ssize_t n = tcp_take(probe);
        int r = probe->received.failed ? -ENOMEM : 0;

        if (r == 0 && probe->received.length > before)
                r = tcp_is_answered(probe);
        if (r == -EPROTO) {
                tcp_fail(probe, " in so many pieces that it takes too long to look at each", "");
                tcp_report(probe);
                return;
        }
        if (r < 0) {
                tcp_fail_internal(probe, r);
                return;
        }
        if (r > 0) {
                sample_add_number(&probe->sample, "response_ms",
                                  time_since_ms(probe->connected_usec));
                tcp_report(probe);
                return;
        }
        if (n == -EAGAIN)
                return;
        if (n > 0)
                tcp_fail(probe, " and more", "");
        else
                tcp_fail(probe, " and closed the connection",
                         probe->tls || probe->address.path
                                         ? ""
                                         : " (if it speaks TLS there, set TLS=yes)");
        tcp_report(probe);
}

static void tcp_add_certificates(TcpProbe *probe) {
        CertificateChain chain;

        stream_get_certificates(probe->stream, &chain);
        if (chain.expiry != 0)
                sample_add_number(&probe->sample, "certificate_days_left",
                                  certificate_days_left(chain.expiry));
        if (chain.subject)
                sample_add_string(&probe->sample, "certificate_subject", chain.subject);
        if (chain.issuer)
                sample_add_string(&probe->sample, "certificate_issuer", chain.issuer);
}

static void tcp_on_connected(TcpProbe *probe) {
        probe->connected = true;
        probe->connected_usec = now_monotonic_usec();
        sample_add_boolean(&probe->sample, "connected", true);
        sample_add_number(&probe->sample, "connect_ms", time_since_ms(probe->started_usec));
        tcp_add_certificates(probe);
        if (!probe->request && !probe->pattern.compiled) {
                tcp_report(probe);
                return;
        }
        tcp_write(probe);
        /* What came along with the end of the handshake is not announced. */
        if (probe->tls)
                tcp_read(probe);
}

static void tcp_on_event(Stream *stream, StreamEvent event, void *userdata) {
        TcpProbe *probe = userdata;

        switch (event) {
        case STREAM_CONNECTED:
                tcp_on_connected(probe);
                return;
        case STREAM_READABLE:
                tcp_read(probe);
                return;
        case STREAM_WRITABLE:
                tcp_write(probe);
                return;
        case STREAM_FAILED:
                sample_add_boolean(&probe->sample, "connected", false);
                if (stream_failed_internally(stream))
                        sample_fail_internal(&probe->sample, "%s", stream_error(stream));
                else
                        sample_fail(&probe->sample, "%s", stream_error(stream));
                tcp_report(probe);
                return;
        }
}

static int tcp_start(void *instance, Check *check) {
        TcpProbe *probe = instance;
        int r;

        sample_reset(&probe->sample);
        probe->sent = 0;
        probe->pattern_budget_usec = PATTERN_BUDGET_USEC;
        probe->started_usec = now_monotonic_usec();
        r = stream_open(check->runtime, &probe->target, tcp_on_event, probe, &probe->stream);
        if (r >= 0)
                probe->check = check;
        return r;
}

static void tcp_cancel(void *instance, Sample *sample) {
        _cleanup_free_ char *line = NULL;
        TcpProbe *probe = instance;
        Sample known;

        if (probe->connected)
                tcp_fail(probe, "", "");
        else {
                sample_add_boolean(&probe->sample, "connected", false);
                sample_fail(&probe->sample, "%s", stream_stage(probe->stream));
        }
        line = probe->received.length > 0 ? tcp_first_line(probe) : NULL;
        if (line)
                sample_add_string(&probe->sample, "banner", line);
        known = probe->sample;
        probe->sample = *sample;
        *sample = known;
        tcp_close(probe);
        probe->check = NULL;
}

/* ---- configuration ---- */

static int tcp_prepare_target(TcpProbe *probe, ProbeSetup *setup) {
        int r;

        if (!probe->address_text)
                return probe_setup_refuse(setup, NULL,
                                          "Address= is missing; write Address=127.0.0.1:25, or "
                                          "the absolute path of a unix socket");
        r = address_parse(probe->address_text, 0, &probe->address);
        if (r == -EINVAL)
                return probe_setup_refuse(setup, "Address",
                                          "Address= must be host:port, or the absolute path of a "
                                          "unix socket: 127.0.0.1:25, [::1]:25, /run/x.sock");
        if (r < 0)
                return r;
        if (probe->tls && probe->address.path)
                return probe_setup_refuse(setup, "TLS",
                                          "TLS= does not work over a unix socket: remove it");
        if (!probe->tls && (probe->ca_file || probe->server_name))
                return probe_setup_refuse(setup, probe->ca_file ? "CAFile" : "ServerName",
                                          "CAFile= and ServerName= need TLS=yes");
        probe->target = (StreamTarget){
                .path = probe->address.path,
                .host = probe->address.host,
                .port = probe->address.port,
                .tls = probe->tls,
                .server_name = probe->server_name,
                .ca_file = probe->ca_file,
                .wants_certificates = probe->tls,
        };
        return 0;
}

static int tcp_prepare_send(TcpProbe *probe, ProbeSetup *setup) {
        int r;

        if (!probe->send)
                return 0;
        r = string_unescape(probe->send, &probe->request, &probe->request_length);
        if (r == -EINVAL)
                return probe_setup_refuse(setup, "Send",
                                          "Send= takes the escapes of C, such as \\r \\n \\t \\s "
                                          "\\x00 (two digits); write a backslash as \\\\");
        return r;
}

/*
 * Expect= is a regular expression in which a byte can be written as in Send=. What stands for a
 * byte that means something to regular expressions is escaped again.
 */
static void pattern_add_byte(TextBuffer *pattern, char byte) {
        if (byte && strchr("^.[]$()|*+?{}\\", byte))
                text_buffer_add(pattern, "\\", 1);
        text_buffer_add(pattern, &byte, 1);
}

static int pattern_unescape(const char *text, TextBuffer *ret) {
        while (*text) {
                _cleanup_free_ char *byte = NULL;
                char escape[] = { text[0], text[1], 0, 0, 0 };
                size_t length;
                int r;

                if (*text != '\\' || !text[1] || !strchr("xrnt", text[1])) {
                        /* "\\n" is a backslash and an n. */
                        length = *text == '\\' && text[1] ? 2 : 1;
                        text_buffer_add(ret, text, length);
                        text += length;
                        continue;
                }
                if (text[1] == 'x')
                        strncpy(escape + 2, text + 2, 2);
                r = string_unescape(escape, &byte, &length);
                if (r < 0)
                        return r;
                pattern_add_byte(ret, *byte);
                text += strlen(escape);
        }
        return ret->failed ? -ENOMEM : 0;
}

static int tcp_prepare_expect(TcpProbe *probe, ProbeSetup *setup) {
        _cleanup_(text_buffer_done) TextBuffer bytes = {};
        const char *why;
        int r;

        if (!probe->expect)
                return 0;
        r = pattern_unescape(probe->expect, &bytes);
        if (r == -EINVAL)
                return probe_setup_refuse(setup, "Expect",
                                          "\\x in Expect= needs two hexadecimal digits, as in "
                                          "\\x00");
        if (r < 0)
                return r;
        r = pattern_compile(&probe->pattern, bytes.text, bytes.length, &why);
        if (r == -EINVAL)
                return probe_setup_refuse(setup, "Expect",
                                          "Expect= is no POSIX extended regular expression: %s",
                                          why);
        return r;
}

static int tcp_prepare(void *instance, ProbeSetup *setup) {
        int r;

        r = tcp_prepare_target(instance, setup);
        if (r >= 0)
                r = tcp_prepare_send(instance, setup);
        return r < 0 ? r : tcp_prepare_expect(instance, setup);
}

static void tcp_done(void *instance) {
        TcpProbe *probe = instance;

        tcp_close(probe);
        sample_done(&probe->sample);
        address_done(&probe->address);
        if (probe->request)
                explicit_bzero(probe->request, probe->request_length);
        free(probe->request);
        string_free_secret(probe->send);
        pattern_done(&probe->pattern);
        free(probe->expect);
        free(probe->address_text);
        free(probe->server_name);
        free(probe->ca_file);
}

static int tcp_get_host(const void *instance, char **ret) {
        const TcpProbe *probe = instance;

        return string_replace(ret, probe->address.host);
}

const ProbeType tcp_probe = {
        .name = "tcp",
        .section = "TCP",
        .instance_size = sizeof(TcpProbe),
        .keys = tcp_keys,
        .prepare = tcp_prepare,
        .get_host = tcp_get_host,
        .start = tcp_start,
        .cancel = tcp_cancel,
        .done = tcp_done,
};
