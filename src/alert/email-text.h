/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A message as a mail: headers and body (RFC 5322). */

#include "alert/alert.h"

/* "ops@example.com": nothing that could end a header or begin another command. */
bool email_address_is_valid(const char *address);

/* to: NULL-terminated. Lines end with CR LF. Returns 0 or -ENOMEM. */
int email_text_render(const AlertMessage *message, const char *from, char *const *to,
                      char **ret_text, size_t *ret_length);
