/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/http-gate.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

#define TOKEN_MIN        16
#define TOKEN_MAX        1024
#define TOKENS_MAX       8
/* What may be sent, as RFC 6750 has it. */
#define TOKEN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="
#define SCHEME           "Bearer"

void http_gate_keys_done(HttpGateKeys *keys) {
        string_free_secret(keys->certificate);
        string_free_secret(keys->key);
        string_free_secret(keys->client_ca);
        string_free_secret(keys->token);
        *keys = (HttpGateKeys){};
}

void http_gate_done(HttpGate *gate) {
        http_tls_unref(gate->tls);
        string_list_free_secret(gate->tokens);
        *gate = (HttpGate){};
}

static void cleanup_gate(HttpGate *gate) {
        http_gate_done(gate);
}

static int tokens_split(StringList *tokens, const char *text) {
        char *copy = strdup(text), *rest;
        int r = copy ? 0 : -ENOMEM;

        for (char *token = copy ? strtok_r(copy, " \t\r\n", &rest) : NULL; token && r >= 0;
             token = strtok_r(NULL, " \t\r\n", &rest))
                r = string_list_add(tokens, token);
        if (copy)
                explicit_bzero(copy, strlen(text));
        free(copy);
        return r;
}

static int gate_read_tokens(HttpGate *gate, const char *text, TypeSetup *setup) {
        _cleanup_(string_list_free_secretp) StringList tokens = NULL;
        size_t n_tokens;
        int r;

        r = tokens_split(&tokens, text);
        if (r < 0)
                return r;
        n_tokens = string_list_length(tokens);
        if (!tokens || n_tokens > TOKENS_MAX)
                return type_setup_refuse(setup, "Token",
                                         "there must be from 1 to %d tokens in Token=, one a line",
                                         TOKENS_MAX);
        for (size_t i = 0; i < n_tokens; i++) {
                size_t length = strlen(tokens[i]);

                if (length >= TOKEN_MIN && length <= TOKEN_MAX &&
                    strspn(tokens[i], TOKEN_CHARACTERS) == length)
                        continue;
                return type_setup_refuse(setup, "Token",
                                         "a token must be from %d to %d letters, digits and "
                                         "characters of \"-._~+/=\"; make one with: openssl rand "
                                         "-hex 32",
                                         TOKEN_MIN, TOKEN_MAX);
        }
        gate->tokens = TAKE_PTR(tokens);
        return 0;
}

static bool is_placeholder(const char *text, bool placeholders) {
        return placeholders && string_equal(text, CREDENTIAL_PLACEHOLDER);
}

static int gate_read_certificates(HttpGate *gate, const HttpGateKeys *keys, bool placeholders,
                                  TypeSetup *setup) {
        HttpTlsTexts texts = { keys->certificate, keys->key, keys->client_ca };

        if (!keys->certificate) {
                if (keys->key)
                        return type_setup_refuse(setup, "Key", "Key= needs Certificate=");
                if (keys->client_ca)
                        return type_setup_refuse(setup, "ClientCA",
                                                 "ClientCA= needs Certificate=: clients show their "
                                                 "certificates by TLS only");
                return 0;
        }
        if (is_placeholder(keys->certificate, placeholders) ||
            is_placeholder(keys->key, placeholders))
                return 0;
        if (is_placeholder(keys->client_ca, placeholders))
                texts.client_ca = NULL;
        return http_tls_new(&texts, setup, &gate->tls);
}

int http_gate_load(const HttpGateKeys *keys, bool placeholders, TypeSetup *setup, HttpGate *ret) {
        _cleanup_(cleanup_gate) HttpGate gate = {};
        int r;

        r = gate_read_certificates(&gate, keys, placeholders, setup);
        if (r >= 0 && keys->token && !is_placeholder(keys->token, placeholders))
                r = gate_read_tokens(&gate, keys->token, setup);
        if (r < 0)
                return r;
        *ret = gate;
        gate = (HttpGate){};
        return 0;
}

bool http_gate_authenticates(const HttpGate *gate) {
        return gate->tokens || (gate->tls && http_tls_asks_clients(gate->tls));
}

/* Looks at every character of what was given, whatever it finds. */
static bool token_equals(const char *token, const char *given, size_t given_length) {
        size_t length = strlen(token);
        volatile unsigned char difference = length != given_length;

        for (size_t i = 0; i < given_length; i++)
                difference |= (unsigned char) token[i % length] ^ (unsigned char) given[i];
        return difference == 0;
}

bool http_gate_knows_token(const HttpGate *gate, const char *authorization) {
        bool known = false;
        size_t length;

        if (!authorization || strncasecmp(authorization, SCHEME " ", strlen(SCHEME " ")) != 0)
                return false;
        authorization += strlen(SCHEME);
        authorization += strspn(authorization, " ");
        length = strcspn(authorization, " ");
        if (authorization[length + strspn(authorization + length, " ")])
                return false;
        for (size_t i = 0; gate->tokens && gate->tokens[i]; i++)
                known |= token_equals(gate->tokens[i], authorization, length);
        return known;
}
