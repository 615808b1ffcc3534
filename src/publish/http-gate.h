/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who may come in over TCP: in the clear or by TLS, with a certificate, with a token. Nothing of it
 * is asked of a peer on a unix socket.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/string-util.h"
#include "config/config-type.h"
#include "publish/http-tls.h"

/* What the keys of [Server] hold: the contents of files and credentials, NULL where not set. */
typedef struct HttpGateKeys {
        char *certificate, *key, *client_ca, *token;
} HttpGateKeys;

void http_gate_keys_done(HttpGateKeys *keys);

typedef struct HttpGate {
        bool closed;       /* to everybody: what it is to be could not be understood */
        HttpTls *tls;      /* NULL: in the clear */
        StringList tokens; /* any of them is asked for; NULL: none */
} HttpGate;

/*
 * Understands the keys. placeholders: they may hold CREDENTIAL_PLACEHOLDER, which is let pass.
 * Returns 0, -EINVAL with setup->why and setup->key, or -ENOMEM.
 */
int http_gate_load(const HttpGateKeys *keys, bool placeholders, TypeSetup *setup, HttpGate *ret);
void http_gate_done(HttpGate *gate);

/* Whether whoever comes in has shown who it is. */
bool http_gate_authenticates(const HttpGate *gate);

/*
 * Whether the value of an Authorization header (NULL: there was none) has one of the tokens. How
 * long it takes tells nothing of them but their lengths.
 */
bool http_gate_knows_token(const HttpGate *gate, const char *authorization);
