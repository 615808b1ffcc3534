/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A question to a name server and what is in its answer (RFC 1035), as bytes. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/string-util.h"

/* The largest question there can be. */
#define DNS_QUESTION_MAX (12 + 255 + 4)
/* More records than that are not looked at. */
#define DNS_RECORDS_MAX  256

typedef enum DnsType {
        DNS_A,
        DNS_AAAA,
        DNS_CNAME,
        DNS_MX,
        DNS_NS,
        DNS_PTR,
        DNS_SOA,
        DNS_SRV,
        DNS_TXT,
} DnsType;

typedef struct DnsQuestion {
        uint8_t data[DNS_QUESTION_MAX];
        size_t length;
        DnsType type;
} DnsQuestion;

/**
 * struct DnsAnswer - What a name server said.
 * @truncated: it has more to say than fits; ask again over TCP
 * @error: why there are no records, for people; NULL if there are some
 * @absent: because the name has none of this type, which is no failure of the server
 * @records: those of the type that was asked for, as in a zone file, in lower case (but for TXT)
 * and without the dot at the end of names: "10.0.0.1", "10 mail.example"
 * @ttl: the shortest of them, in seconds
 */
typedef struct DnsAnswer {
        bool truncated;
        const char *error;
        bool absent;
        StringList records;
        uint32_t ttl;
} DnsAnswer;

/* "A" and so on, in the order of DnsType; ends with NULL. */
extern const char *const dns_type_names[];

/* Returns 0, or -EINVAL if it is no name. */
int dns_question_make(const char *name, DnsType type, uint16_t id, DnsQuestion *ret);

/*
 * Reads what came. Returns 0 and the answer, to be given to dns_answer_done(); -EBADMSG if it
 * is no answer to this question, which anybody may send and is best ignored; or -ENOMEM.
 */
int dns_answer_parse(const DnsQuestion *question, const uint8_t *data, size_t length,
                     DnsAnswer *ret);
void dns_answer_done(DnsAnswer *answer);
