/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/refusals.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "publish/control.h"

typedef struct RefusalText {
        unsigned status;
        const char *text;
} RefusalText;

#define DETAIL(text) "{\"detail\":\"" text "\"}"

static const RefusalText refusal_texts[_REFUSAL_MAX] = {
        [REFUSAL_BODY_TOO_LARGE] = { MHD_HTTP_CONTENT_TOO_LARGE,
                                     DETAIL("the request body is too large; "
                                            "at most 64 KiB are read") },
        [REFUSAL_URI_TOO_LONG] = { MHD_HTTP_URI_TOO_LONG, DETAIL("the address is too long: "
                                                                 "at most 1 KiB is read") },
        [REFUSAL_HEADERS_TOO_LARGE] = { MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
                                        DETAIL("the request headers are too large: "
                                               "at most 8 KiB are read") },
        [REFUSAL_METHOD] = { MHD_HTTP_METHOD_NOT_ALLOWED,
                             DETAIL("only GET and HEAD are answered here") },
        [REFUSAL_CONTROL_METHOD] = { MHD_HTTP_METHOD_NOT_ALLOWED,
                                     DETAIL("only POST is answered here") },
        [REFUSAL_CONTROL_PEER] = { MHD_HTTP_FORBIDDEN,
                                   DETAIL("only root, healthd's own user and members of "
                                          "the group " CONTROL_GROUP
                                          " may ask for this, and only over "
                                          "the unix socket") },
        [REFUSAL_NO_SUCH_CONTROL] = { MHD_HTTP_NOT_FOUND,
                                      DETAIL("below " CONTROL_PREFIX " there are silence, "
                                             "unsilence, reset-breaker, run, reload and beat, by "
                                             "POST") },
        [REFUSAL_EXCLUDE] = { MHD_HTTP_BAD_REQUEST, DETAIL("exclude= takes one word: silenced") },
        [REFUSAL_RECENT] = { MHD_HTTP_BAD_REQUEST, DETAIL("recent= takes one word: yes") },
        [REFUSAL_ALWAYS] = { MHD_HTTP_BAD_REQUEST, DETAIL("always= takes one number: 200") },
        [REFUSAL_DETAILS] = { MHD_HTTP_FORBIDDEN, DETAIL("this is for local readers; Details= in "
                                                         "healthd.conf says for whom") },
        [REFUSAL_NO_SUCH_CHECK] = { MHD_HTTP_NOT_FOUND, DETAIL("there is no check of this name; "
                                                               "/health lists them all") },
        [REFUSAL_NO_SUCH_GROUP] = { MHD_HTTP_NOT_FOUND,
                                    DETAIL("no check is in a group of this name; "
                                           "Groups= in a check file names them") },
        [REFUSAL_IN_THE_CLEAR] = { MHD_HTTP_FORBIDDEN,
                                   DETAIL("this port speaks TLS now; connect anew") },
        [REFUSAL_NO_CERTIFICATE] = { MHD_HTTP_FORBIDDEN,
                                     DETAIL("a client certificate is asked for here") },
        [REFUSAL_CERTIFICATE_EXPIRED] = { MHD_HTTP_FORBIDDEN,
                                          DETAIL("the client certificate has expired or "
                                                 "is not valid yet") },
        [REFUSAL_CERTIFICATE_UNTRUSTED] = { MHD_HTTP_FORBIDDEN,
                                            DETAIL("the client certificate is not one of "
                                                   "those that are trusted here") },
        [REFUSAL_NO_TOKEN] = { MHD_HTTP_UNAUTHORIZED,
                               DETAIL("a token is asked for here: Authorization: "
                                      "Bearer TOKEN") },
        [REFUSAL_TOKEN] = { MHD_HTTP_UNAUTHORIZED,
                            DETAIL("the token is not one that is known here") },
};

/* What some answers need besides. */
static const struct {
        Refusal refusal;
        const char *name, *value;
} refusal_headers[] = {
        { REFUSAL_METHOD, MHD_HTTP_HEADER_ALLOW, "GET, HEAD" },
        { REFUSAL_CONTROL_METHOD, MHD_HTTP_HEADER_ALLOW, "POST" },
        { REFUSAL_NO_TOKEN, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"healthd\"" },
        { REFUSAL_TOKEN, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
          "Bearer realm=\"healthd\", error=\"invalid_token\"" },
};

int refusals_init(Refusals *refusals) {
        int r;

        for (size_t i = 0; i < _REFUSAL_MAX; i++) {
                const char *text = refusal_texts[i].text;

                refusals->responses[i] = response_new(text, strlen(text), MHD_RESPMEM_PERSISTENT,
                                                      JSON_MEDIA_TYPE, "no-cache");
                if (!refusals->responses[i])
                        return -ENOMEM;
        }
        for (size_t i = 0; i < ELEMENTS(refusal_headers); i++) {
                r = response_add_header(refusals->responses[refusal_headers[i].refusal],
                                        refusal_headers[i].name, refusal_headers[i].value);
                if (r < 0)
                        return r;
        }
        return 0;
}

void refusals_done(Refusals *refusals) {
        for (size_t i = 0; i < ELEMENTS(refusals->responses); i++)
                response_free(refusals->responses[i]);
}

void refusals_set_closing(Refusals *refusals) {
        for (size_t i = 0; i < ELEMENTS(refusals->responses); i++)
                response_set_closing(refusals->responses[i]);
}

Answer refusals_answer(const Refusals *refusals, Refusal refusal) {
        return (Answer){ refusal_texts[refusal].status, refusals->responses[refusal],
                         OTHER_ENDPOINT };
}
