/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=dns: what a name stands for. Without Server= it is looked up as any program of this host
 * does it (hosts file, search domains and all); with Server= that name server is asked.
 */

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file-util.h"
#include "base/time-util.h"
#include "check/probe.h"
#include "io/address.h"
#include "io/dns-query.h"
#include "io/resolver.h"

#define DEFAULT_PORT 53

/* In the order of DnsType, behind "any". */
static const char *const record_types[] = {
        "any", "A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", NULL,
};

typedef enum RecordType {
        RECORD_ANY, /* of A and AAAA */
        RECORD_A,
        RECORD_AAAA,
        RECORD_TEXT, /* this one and all that follow have no addresses */
} RecordType;

typedef struct DnsProbe {
        char *name;
        int record_type; /* an index into record_types */
        StringList expect;
        char *server_text;

        /* Made by prepare(). */
        StringList expected; /* in the form of DnsAnswer's records */
        ResolvedAddress server;
        char *shown; /* for people: "MX of example.com from 127.0.0.1:53" */

        /* The probe under way. */
        Check *check;
        ResolverQuery *look_up;
        DnsQuery *queries[2]; /* any: A and AAAA */
        unsigned n_under_way;
        StringList records;
        uint32_t ttl;
        bool has_ttl;
        const char *error;  /* of an answer that has no records */
        const char *broken; /* any: "A" or "AAAA", which has that error and should not */
        uint64_t started_usec;
} DnsProbe;

static const ConfigKey dns_keys[] = {
        { "Name", config_parse_string, offsetof(DnsProbe, name) },
        { "RecordType", config_parse_word_of, offsetof(DnsProbe, record_type),
          .data = record_types },
        { "Expect", config_parse_lines, offsetof(DnsProbe, expect) },
        { "Server", config_parse_string, offsetof(DnsProbe, server_text) },
        {},
};

static const ProbeKeyCondition dns_unhealthy_when_set[] = {
        { "Expect", "missing != none" },
        { "Expect", "unexpected != none" },
        {},
};

/* ---- the end ---- */

static void dns_stop(DnsProbe *probe) {
        probe->look_up = resolver_query_cancel(probe->look_up);
        for (size_t i = 0; i < ELEMENTS(probe->queries); i++)
                probe->queries[i] = dns_query_cancel(probe->queries[i]);
        probe->n_under_way = 0;
        probe->records = string_list_free(probe->records);
}

static int compare_records(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Those of list that other has not: "10.0.0.1, 10.0.0.2", or "none". */
static void add_difference(Sample *sample, const char *name, char *const *list,
                           char *const *other) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        _cleanup_free_ char *line = NULL;

        for (; list && *list; list++)
                if (!string_list_contains(other, *list))
                        text_buffer_printf(&text, "%s%s", text.length > 0 ? ", " : "", *list);
        if (text.length == 0)
                text_buffer_add_string(&text, "none");
        if (text_buffer_finish(&text, &line, NULL) == 0)
                sample_add_string(sample, name, line);
}

static void dns_add_records(const DnsProbe *probe, Sample *sample) {
        size_t n = string_list_length(probe->records);
        const char *name = probe->record_type < RECORD_TEXT ? "addresses" : "records";

        /* Servers shuffle them: sorted, the same set is the same text. */
        if (n > 0)
                qsort(probe->records, n, sizeof(char *), compare_records);
        add_difference(sample, name, probe->records, NULL);
        sample_add_number(sample, "count", (double) n);
        if (probe->has_ttl)
                sample_add_number(sample, "ttl", probe->ttl);
        if (!probe->expected)
                return;
        add_difference(sample, "missing", probe->expected, probe->records);
        add_difference(sample, "unexpected", probe->records, probe->expected);
}

/* Whoever looks the name up asks for both, and waits for the one that does not come. */
static void dns_fail_half(const DnsProbe *probe, const char *type, const char *error,
                          Sample *sample) {
        sample_fail(sample, "asking %s for %s of %s: %s; it answered for %s", probe->server_text,
                    type, probe->name, error, string_equal(type, "A") ? "AAAA" : "A");
}

static void dns_report(DnsProbe *probe) {
        _cleanup_(sample_done) Sample sample = {};

        sample_add_number(&sample, "resolve_ms", time_since_ms(probe->started_usec));
        if (probe->records)
                dns_add_records(probe, &sample);
        else {
                sample_add_number(&sample, "count", 0);
                sample_fail(&sample, "%s: %s", probe->shown, probe->error);
        }
        if (probe->records && probe->broken)
                dns_fail_half(probe, probe->broken, probe->error, &sample);
        dns_stop(probe);
        check_report(TAKE_PTR(probe->check), &sample);
}

static void dns_fail(DnsProbe *probe, int error) {
        _cleanup_(sample_done) Sample sample = {};

        if (error_is_shortage(-error))
                sample_fail_internal(&sample, "%s: %s", probe->shown, strerrordesc_np(-error));
        else
                sample_fail(&sample, "%s: %s", probe->shown, strerrordesc_np(-error));
        dns_stop(probe);
        check_report(TAKE_PTR(probe->check), &sample);
}

/* ---- by the system ---- */

static void dns_on_resolved(const ResolverAnswer *answer, void *userdata) {
        DnsProbe *probe = userdata;
        char text[INET6_ADDRSTRLEN];
        int r = 0;

        probe->look_up = NULL;
        probe->error = answer->error;
        for (size_t i = 0; !answer->error && i < answer->n_addresses && r >= 0; i++) {
                const ResolvedAddress *address = &answer->addresses[i];

                (void) resolved_address_format(address, text, sizeof(text));
                if (!string_list_contains(probe->records, text))
                        r = string_list_add(&probe->records, text);
        }
        if (r < 0)
                dns_fail(probe, r);
        else
                dns_report(probe);
}

static int dns_look_up(DnsProbe *probe) {
        static const int families[] = {
                [RECORD_ANY] = AF_UNSPEC,
                [RECORD_A] = AF_INET,
                [RECORD_AAAA] = AF_INET6,
        };

        return resolver_query_now(probe->check->runtime->resolver, probe->name,
                                  families[probe->record_type], dns_on_resolved, probe,
                                  &probe->look_up);
}

/* ---- by a name server ---- */

static int dns_take(DnsProbe *probe, const DnsAnswer *answer, const char *type) {
        int r;

        /* That there are none is the weaker reason. */
        if (answer->error && !probe->broken) {
                probe->error = answer->error;
                probe->broken = answer->absent ? NULL : type;
        }
        if (!answer->error && (!probe->has_ttl || answer->ttl < probe->ttl))
                probe->ttl = answer->ttl;
        probe->has_ttl = probe->has_ttl || !answer->error;
        for (size_t i = 0; answer->records && answer->records[i]; i++) {
                r = string_list_add(&probe->records, answer->records[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void dns_on_answer(DnsProbe *probe, int error, const DnsAnswer *answer, const char *type) {
        if (error == 0)
                error = dns_take(probe, answer, type);
        if (error < 0)
                dns_fail(probe, error);
        else if (--probe->n_under_way == 0)
                dns_report(probe);
}

static void dns_on_first(int error, const DnsAnswer *answer, void *userdata) {
        DnsProbe *probe = userdata;

        probe->queries[0] = NULL;
        dns_on_answer(probe, error, answer, "A");
}

static void dns_on_second(int error, const DnsAnswer *answer, void *userdata) {
        DnsProbe *probe = userdata;

        probe->queries[1] = NULL;
        dns_on_answer(probe, error, answer, "AAAA");
}

static int dns_ask(DnsProbe *probe) {
        Runtime *runtime = probe->check->runtime;
        DnsType type = DNS_A;
        int r;

        if (probe->record_type != RECORD_ANY)
                type = (DnsType) (probe->record_type - RECORD_A);
        r = dns_query_start(runtime, &probe->server, probe->name, type, dns_on_first, probe,
                            &probe->queries[0]);
        if (r < 0)
                return r;
        probe->n_under_way = 1;
        if (probe->record_type != RECORD_ANY)
                return 0;
        r = dns_query_start(runtime, &probe->server, probe->name, DNS_AAAA, dns_on_second, probe,
                            &probe->queries[1]);
        if (r >= 0)
                probe->n_under_way = 2;
        return r;
}

/* ---- a run ---- */

static int dns_start(void *instance, Check *check) {
        DnsProbe *probe = instance;
        int r;

        probe->check = check;
        probe->has_ttl = false;
        probe->error = NULL;
        probe->broken = NULL;
        probe->started_usec = now_monotonic_usec();
        r = probe->server_text ? dns_ask(probe) : dns_look_up(probe);
        /* That there is no way to the server is a result. */
        if (r < 0)
                dns_fail(probe, r);
        return 0;
}

static void dns_cancel(void *instance, Sample *sample) {
        DnsProbe *probe = instance;

        sample_add_number(sample, "resolve_ms", time_since_ms(probe->started_usec));
        if (probe->record_type != RECORD_ANY || !probe->server_text || probe->n_under_way != 1)
                sample_fail(sample, "%s: no answer", probe->shown);
        else
                dns_fail_half(probe, probe->queries[0] ? "A" : "AAAA", "no answer", sample);
        dns_stop(probe);
        probe->check = NULL;
}

/* ---- configuration ---- */

static int dns_prepare_server(DnsProbe *probe, ProbeSetup *setup) {
        _cleanup_(address_done) Address address = {};
        int r;

        if (!probe->server_text && probe->record_type >= RECORD_TEXT)
                return probe_setup_refuse(setup, "RecordType",
                                          "RecordType=%s needs Server=, because the system looks "
                                          "up addresses only; write the nameserver of "
                                          "/etc/resolv.conf there",
                                          record_types[probe->record_type]);
        if (!probe->server_text)
                return 0;
        r = address_parse(probe->server_text, DEFAULT_PORT, &address);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || address.path || !resolver_parse_numeric(address.host, &probe->server))
                return probe_setup_refuse(setup, "Server",
                                          "Server= is the numeric address of a name server, with "
                                          "a port unless it is 53: 10.0.0.53, [::1]:5353");
        resolved_address_set_port(&probe->server, address.port);
        return 0;
}

static int dns_expect(DnsProbe *probe, const char *text, ProbeSetup *setup) {
        _cleanup_free_ char *copy = strdup(text);
        char numeric[INET6_ADDRSTRLEN];
        ResolvedAddress address;
        size_t length;

        if (!copy)
                return -ENOMEM;
        if (probe->record_type < RECORD_TEXT) {
                int family = probe->record_type == RECORD_A      ? AF_INET
                             : probe->record_type == RECORD_AAAA ? AF_INET6
                                                                 : AF_UNSPEC;
                if (!resolver_parse_numeric(copy, &address) ||
                    (family != AF_UNSPEC && address.sa.sa_family != family))
                        return probe_setup_refuse(setup, "Expect",
                                                  "Expect= has %s, which is no address that a "
                                                  "record of this type can have",
                                                  copy);
                return string_list_add(&probe->expected,
                                       resolved_address_format(&address, numeric, sizeof(numeric)));
        }
        if (string_equal(record_types[probe->record_type], "TXT"))
                return string_list_add(&probe->expected, copy);
        for (char *c = copy; *c; c++)
                *c = (char) tolower((unsigned char) *c);
        length = strlen(copy);
        if (length > 1 && copy[length - 1] == '.')
                copy[length - 1] = '\0';
        return string_list_add(&probe->expected, copy);
}

/* Addresses may stand side by side; other records have blanks in them. */
static int dns_prepare_expect(DnsProbe *probe, ProbeSetup *setup) {
        _cleanup_(string_list_freep) StringList words = NULL;
        char *const *list = probe->expect;
        int r = 0;

        if (probe->record_type < RECORD_TEXT) {
                for (; list && *list && r >= 0; list++)
                        r = string_list_add_words(&words, *list);
                list = words;
        }
        for (; list && *list && r >= 0; list++)
                r = dns_expect(probe, *list, setup);
        return r;
}

static int dns_prepare(void *instance, ProbeSetup *setup) {
        DnsProbe *probe = instance;
        const char *type = record_types[probe->record_type];
        DnsQuestion question;
        int r;

        if (!probe->name)
                return probe_setup_refuse(setup, NULL, "Name= is missing; write Name=example.com");
        if (dns_question_make(probe->name, DNS_A, 0, &question) < 0)
                return probe_setup_refuse(setup, "Name", "Name= is no domain name");
        r = dns_prepare_server(probe, setup);
        if (r >= 0)
                r = dns_prepare_expect(probe, setup);
        if (r < 0)
                return r;
        if (!probe->server_text)
                return string_printf(&probe->shown, "looking up %s", probe->name);
        return string_printf(&probe->shown, "asking %s for %s of %s", probe->server_text,
                             probe->record_type == RECORD_ANY ? "the addresses" : type,
                             probe->name);
}

static void dns_done(void *instance) {
        DnsProbe *probe = instance;

        dns_stop(probe);
        string_list_free(probe->expect);
        string_list_free(probe->expected);
        free(probe->name);
        free(probe->server_text);
        free(probe->shown);
}

const ProbeType dns_probe = {
        .name = "dns",
        .section = "DNS",
        .instance_size = sizeof(DnsProbe),
        .keys = dns_keys,
        .unhealthy_when_set = dns_unhealthy_when_set,
        .prepare = dns_prepare,
        .start = dns_start,
        .cancel = dns_cancel,
        .done = dns_done,
};
