/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One question to one name server, on the loop: over UDP, asked again every second, and over TCP
 * if the answer does not fit. Has no time-out: its owner's deadline calls dns_query_cancel().
 */

#include "io/dns-message.h"
#include "io/resolved-address.h"
#include "io/runtime.h"

typedef struct DnsQuery DnsQuery;

/*
 * Called once, from the loop, never from inside dns_query_start(). error: a negative errno if
 * there is no answer, 0 otherwise. The answer is valid during the call only. The query is gone
 * when this is called.
 */
typedef void (*DnsHandler)(int error, const DnsAnswer *answer, void *userdata);

/* server: with its port. Returns 0; -EINVAL if name is none; or a negative errno. */
int dns_query_start(Runtime *runtime, const ResolvedAddress *server, const char *name, DnsType type,
                    DnsHandler on_answer, void *userdata, DnsQuery **ret);
/* Accepts NULL, returns NULL; on_answer is not called. */
DnsQuery *dns_query_cancel(DnsQuery *query);
