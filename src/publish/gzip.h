/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bodies made smaller for those who ask for it. */

#include <stdbool.h>
#include <stddef.h>

/* Whether the value of an Accept-Encoding header (NULL: there was none) wants gzip. */
bool gzip_is_accepted(const char *accept_encoding);

/*
 * Compresses at the level that costs least. What is so short that it gains nothing, or so long that
 * it would hold the loop, is not: then *ret is NULL. Returns 0 or -ENOMEM.
 */
int gzip_compress(const char *text, size_t length, char **ret, size_t *ret_length);
