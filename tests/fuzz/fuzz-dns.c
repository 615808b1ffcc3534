/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a name server, or anybody who claims to be one, sends: the first byte is the type that was
 * asked for, the rest follows the two bytes of the id. Answers are also cut wherever that may be.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "io/dns-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const DnsQuestion *question, const uint8_t *data, size_t length) {
        _cleanup_(dns_answer_done) DnsAnswer answer = {};

        if (dns_answer_parse(question, data, length, &answer) < 0)
                return;
        if (!answer.error && !answer.records)
                abort(); /* nothing, without saying why */
        if (string_list_length(answer.records) > DNS_RECORDS_MAX)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ uint8_t *message = NULL;
        DnsQuestion question;

        if (size < 1 ||
            dns_question_make("orders.test", (DnsType) (data[0] % (DNS_TXT + 1)), 7, &question) < 0)
                return 0;
        message = malloc(size + 1);
        if (!message)
                return 0;
        memcpy(message, question.data, 2);
        memcpy(message + 2, data + 1, size - 1);
        parse(&question, message, size + 1);
        parse(&question, message, (size + 1) / 2);
        return 0;
}
