/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/dns-message.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>

#include "base/cleanup.h"

const char *const dns_type_names[] = {
        "A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", NULL,
};

/* How the data of a record is laid out: numbers of two bytes, names, numbers of four bytes. */
static const struct {
        uint16_t number;
        size_t n_shorts, n_names, n_longs;
} types[] = {
        [DNS_A] = { ns_t_a },
        [DNS_AAAA] = { ns_t_aaaa },
        [DNS_CNAME] = { ns_t_cname, .n_names = 1 },
        [DNS_MX] = { ns_t_mx, .n_shorts = 1, .n_names = 1 },
        [DNS_NS] = { ns_t_ns, .n_names = 1 },
        [DNS_PTR] = { ns_t_ptr, .n_names = 1 },
        [DNS_SOA] = { ns_t_soa, .n_names = 2, .n_longs = 5 },
        [DNS_SRV] = { ns_t_srv, .n_shorts = 3, .n_names = 1 },
        [DNS_TXT] = { ns_t_txt },
};

static uint8_t *put_number(uint8_t *end, uint16_t number) {
        number = htobe16(number);
        memcpy(end, &number, sizeof(number));
        return end + sizeof(number);
}

int dns_question_make(const char *name, DnsType type, uint16_t id, DnsQuestion *ret) {
        DnsQuestion question = { .type = type };
        uint8_t *end = question.data;
        int r;

        end = put_number(end, id);
        end = put_number(end, 0x0100); /* recursion is desired */
        end = put_number(end, 1);      /* one question, and no records */
        memset(end, 0, 6);
        end += 6;
        r = ns_name_pton(name, end, NS_MAXCDNAME);
        if (r < 0)
                return -EINVAL;
        /* The length of each label stands before it; the root's, 0, ends the name. */
        while (*end)
                end += 1 + *end;
        end++;
        end = put_number(end, types[type].number);
        end = put_number(end, ns_c_in);
        question.length = (size_t) (end - question.data);
        *ret = question;
        return 0;
}

void dns_answer_done(DnsAnswer *answer) {
        string_list_free(answer->records);
        *answer = (DnsAnswer){};
}

/* The same id, and the same name, type and class, whatever the case: servers repeat the question.
 */
static bool answers_question(const DnsQuestion *question, const uint8_t *data, size_t length) {
        if (length < question->length || memcmp(data, question->data, 2) != 0 ||
            !(data[2] & 0x80) || data[4] != 0 || data[5] != 1)
                return false;
        for (size_t i = NS_HFIXEDSZ; i < question->length; i++)
                if (tolower(data[i]) != tolower(question->data[i]))
                        return false;
        return true;
}

static bool text_add_name(TextBuffer *text, const ns_msg *message, const uint8_t **data,
                          const uint8_t *end) {
        char name[NS_MAXDNAME];
        int n = dn_expand(ns_msg_base(*message), ns_msg_end(*message), *data, name, sizeof(name));

        if (n < 0 || n > end - *data)
                return false;
        *data += n;
        for (char *c = name; *c; c++)
                *c = (char) tolower((unsigned char) *c);
        text_buffer_printf(text, "%s%s", text->length > 0 ? " " : "", *name ? name : ".");
        return true;
}

static bool text_add_number(TextBuffer *text, const uint8_t **data, const uint8_t *end,
                            size_t size) {
        unsigned long number;

        if (end - *data < (ptrdiff_t) size)
                return false;
        number = size == 2 ? ns_get16(*data) : ns_get32(*data);
        *data += size;
        text_buffer_printf(text, "%s%lu", text->length > 0 ? " " : "", number);
        return true;
}

static bool text_add_strings(TextBuffer *text, const uint8_t *data, const uint8_t *end) {
        while (data < end) {
                size_t length = *data++;

                if (end - data < (ptrdiff_t) length)
                        return false;
                text_buffer_add(text, (const char *) data, length);
                data += length;
        }
        return true;
}

static bool text_add_address(TextBuffer *text, int family, const uint8_t *data, size_t length) {
        char address[INET6_ADDRSTRLEN];

        if (length != (family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr)) ||
            !inet_ntop(family, data, address, sizeof(address)))
                return false;
        text_buffer_add_string(text, address);
        return true;
}

/* Returns false if the record is broken. */
static bool text_add_record(TextBuffer *text, DnsType type, const ns_msg *message,
                            const ns_rr *record) {
        const uint8_t *data = ns_rr_rdata(*record), *end = data + ns_rr_rdlen(*record);
        bool good = true;

        if (type == DNS_A || type == DNS_AAAA)
                return text_add_address(text, type == DNS_A ? AF_INET : AF_INET6, data,
                                        ns_rr_rdlen(*record));
        if (type == DNS_TXT)
                return text_add_strings(text, data, end);
        for (size_t i = 0; good && i < types[type].n_shorts; i++)
                good = text_add_number(text, &data, end, 2);
        for (size_t i = 0; good && i < types[type].n_names; i++)
                good = text_add_name(text, message, &data, end);
        for (size_t i = 0; good && i < types[type].n_longs; i++)
                good = text_add_number(text, &data, end, 4);
        return good;
}

static int answer_add_record(DnsAnswer *answer, DnsType type, const ns_msg *message,
                             const ns_rr *record) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        _cleanup_free_ char *line = NULL;
        size_t length;
        int r;

        if (!text_add_record(&text, type, message, record)) {
                answer->error = "a record of its answer is broken";
                return 0;
        }
        r = text_buffer_finish(&text, &line, &length);
        if (r < 0)
                return r;
        /* A TXT may contain anything; NUL would hide the rest of it. */
        for (size_t i = 0; i < length; i++)
                if (!line[i])
                        line[i] = '?';
        if (!answer->records || ns_rr_ttl(*record) < answer->ttl)
                answer->ttl = ns_rr_ttl(*record);
        return string_list_add(&answer->records, line);
}

static const char *error_of_code(int code) {
        static const char *const errors[] = {
                [ns_r_formerr] = "it does not understand the question (FORMERR)",
                [ns_r_servfail] = "it could not find out (SERVFAIL): look at its log",
                [ns_r_nxdomain] = "there is no such name (NXDOMAIN)",
                [ns_r_notimpl] = "it answers no such questions (NOTIMP)",
                [ns_r_refused] = "it does not answer this host (REFUSED)",
        };
        size_t i = (size_t) code;

        return i < ELEMENTS(errors) && errors[i] ? errors[i] : "it answers with an unknown error";
}

static int answer_add_records(DnsAnswer *answer, DnsType type, ns_msg *message) {
        size_t n = 0;
        int r = 0;

        for (int i = 0; i < ns_msg_count(*message, ns_s_an) && r >= 0 && !answer->error; i++) {
                ns_rr record;

                if (ns_parserr(message, ns_s_an, i, &record) < 0)
                        answer->error = "its answer is cut off or broken";
                else if (ns_rr_type(record) == types[type].number &&
                         ns_rr_class(record) == ns_c_in && n++ < DNS_RECORDS_MAX)
                        r = answer_add_record(answer, type, message, &record);
        }
        /* Of an answer that is broken nothing is believed. */
        if (answer->error)
                answer->records = string_list_free(answer->records);
        if (r >= 0 && n == 0 && !answer->error) {
                answer->error = "the name has no record of this type";
                answer->absent = true;
        }
        return r;
}

int dns_answer_parse(const DnsQuestion *question, const uint8_t *data, size_t length,
                     DnsAnswer *ret) {
        _cleanup_(dns_answer_done) DnsAnswer answer = {};
        ns_msg message;
        int code, r;

        if (!answers_question(question, data, length))
                return -EBADMSG;
        answer.truncated = data[2] & 0x02;
        code = data[3] & 0x0f;
        if (code != ns_r_noerror)
                answer.error = error_of_code(code);
        else if (answer.truncated)
                answer.error = "its answer is cut off";
        else if (ns_initparse(data, (int) length, &message) < 0)
                answer.error = "its answer is cut off or broken";
        else {
                r = answer_add_records(&answer, question->type, &message);
                if (r < 0)
                        return r;
        }
        *ret = answer;
        answer = (DnsAnswer){};
        return 0;
}
