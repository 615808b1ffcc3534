/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Token= up to a NUL, and an Authorization header behind it: only who has a token comes in. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "publish/http-gate.h"

#define SCHEME "Bearer "

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Said in another way than it is done there. */
static bool is_one_of(char *const *tokens, const char *header) {
        _cleanup_(string_list_freep) StringList words = NULL;

        if (strncasecmp(header, SCHEME, strlen(SCHEME)) != 0 || strpbrk(header, "\t\r\n\v\f"))
                return false;
        if (string_list_add_words(&words, header + strlen(SCHEME)) < 0)
                abort();
        return string_list_length(words) == 1 && string_list_contains(tokens, words[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *end = memchr(data, 0, size), *text = (const char *) data;
        _cleanup_free_ char *token = NULL, *header = NULL;
        TypeSetup setup = {};
        HttpGate gate = {};
        bool knows;

        if (!end)
                return 0;
        token = strdup(text);
        header = strndup(end + 1, size - (size_t) (end + 1 - text));
        if (!token || !header)
                return 0;
        if (http_gate_load(&(HttpGateKeys){ .token = token }, false, &setup, &gate) < 0) {
                if (!setup.why)
                        abort(); /* refused without saying why */
                free(setup.why);
                return 0;
        }
        if (http_gate_knows_token(&gate, NULL))
                abort();
        knows = http_gate_knows_token(&gate, header);
        if (strpbrk(header, "\t\r\n\v\f") ? knows : knows != is_one_of(gate.tokens, header))
                abort();
        http_gate_done(&gate);
        return 0;
}
