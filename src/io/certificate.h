/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a TLS server shows of itself on a transfer of libcurl's. */

#include <time.h>

#include "io/libcurl.h"

/**
 * struct CertificateChain - The certificates a server sent: its own, and those above it.
 * @expiry: when the first of them expires; 0 if none was sent
 * @subject: of the server's own certificate, NULL if it is not known
 * @issuer: who signed that, NULL if it is not known
 *
 * The texts are libcurl's and valid until the transfer is set up anew.
 */
typedef struct CertificateChain {
        time_t expiry;
        const char *subject, *issuer;
} CertificateChain;

/* Of a transfer with CURLOPT_CERTINFO that has made its connection itself. */
void certificate_chain_read(CURL *easy, CertificateChain *ret);

/* Days from now, rounded down to a tenth; negative if it has expired. */
double certificate_days_left(time_t expiry);

/* What to do about a connection that TLS has refused; NULL if there is no advice. */
const char *certificate_advise(CURL *easy, CURLcode result);
