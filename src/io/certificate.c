/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/certificate.h"

#include <math.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"

void certificate_chain_read(CURL *easy, CertificateChain *ret) {
        struct curl_certinfo *info = NULL;
        CertificateChain chain = {};

        *ret = chain;
        if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &info) != CURLE_OK || !info)
                return;
        for (int i = 0; i < info->num_of_certs; i++)
                for (struct curl_slist *item = info->certinfo[i]; item; item = item->next) {
                        const char *date = string_after_prefix(item->data, "Expire date:");
                        time_t expiry = date ? curl_getdate(date, NULL) : -1;

                        if (expiry > 0 && (chain.expiry == 0 || expiry < chain.expiry))
                                chain.expiry = expiry;
                        if (i == 0 && !chain.subject)
                                chain.subject = string_after_prefix(item->data, "Subject:");
                        if (i == 0 && !chain.issuer)
                                chain.issuer = string_after_prefix(item->data, "Issuer:");
                }
        *ret = chain;
}

double certificate_days_left(time_t expiry) {
        double days = difftime(expiry, (time_t) (now_realtime_usec() / USEC_PER_SEC)) / 86400;

        return floor(days * 10) / 10;
}

#define ISSUED_FOR_OTHERS                                                                          \
        "it was issued for other names: connect by one of these, or have it issued for this one "  \
        "too"

/* By the numbers of OpenSSL (X509_V_ERR_...), which CURLINFO_SSL_VERIFYRESULT hands on. */
static const struct {
        long verify_result;
        const char *advice;
} refusals[] = {
        /* The name is compared before (1: nothing is known yet) or after (0) the signatures. */
        { 0, ISSUED_FOR_OTHERS },
        { 1, ISSUED_FOR_OTHERS },
        { 2, "who signed it is not known here: have the server send the certificates above its "
             "own too, or set CAFile=" },
        { 9, "it is not valid yet: compare the clocks of the two hosts" },
        { 10, "renew it; it may be one above the server's own" },
        { 18, "nobody but itself vouches for it: give it as CAFile= to trust it" },
        { 19, "its authority is not trusted here: give that as CAFile= to trust it" },
        { 20, "its authority is not trusted here, or the server does not send the certificates "
              "above its own: set CAFile=" },
        { 21, "who signed it is not known here: have the server send the certificates above its "
              "own too, or set CAFile=" },
        { 23, "it was revoked: have a new one issued" },
};

const char *certificate_advise(CURL *easy, CURLcode result) {
        long verify_result = 0;

        /* What is no TLS at all cannot be told from what is broken, so it is a question. */
        if (result == CURLE_SSL_CONNECT_ERROR)
                return "does it speak TLS there?";
        if (result != CURLE_PEER_FAILED_VERIFICATION)
                return NULL;
        (void) curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &verify_result);
        for (size_t i = 0; i < ELEMENTS(refusals); i++)
                if (refusals[i].verify_result == verify_result)
                        return refusals[i].advice;
        return NULL;
}
