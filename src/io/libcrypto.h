/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libcrypto, loaded: see io/library.h. */

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "io/library.h"

extern const Library library_libcrypto;

#define LIBCRYPTO_FUNCTIONS(X)                                                                     \
        X(EVP_sha256)                                                                              \
        X(HMAC)

LIBCRYPTO_FUNCTIONS(LIBRARY_DECLARE)

#define EVP_sha256 sym_EVP_sha256
#define HMAC       sym_HMAC
