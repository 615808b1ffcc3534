/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What healthd.conf says of who may come in over TCP, and what follows from a mistake in it. */

#include "config/config-file.h"
#include "config/config-table.h"
#include "publish/http-gate.h"

/*
 * Whether a line that could not be read or applied (the problems from first on) may have been meant
 * to keep somebody out: then it is better that nobody comes in. Mistakes in the values of the other
 * server_keys, those of [Server], and in sections that are known cost what they stand in.
 */
bool gate_settings_are_unclear(const ConfigFile *file, const ConfigKey *server_keys, size_t first,
                               const ConfigProblems *problems);
/* Whether a problem from first on is about a line of [Server] with this key. */
bool gate_settings_have_problem(const ConfigFile *file, const char *key, size_t first,
                                const ConfigProblems *problems);

/* A mistake is reported, and the gate is closed. Returns 0 or -ENOMEM. */
int gate_settings_load(const ConfigFile *file, const HttpGateKeys *keys, ConfigContext *context,
                       HttpGate *ret);

/*
 * What is probably not meant: a certificate that has expired, a key that everybody can read.
 * wants_authentication: Details=authenticated. Returns 0 or -ENOMEM.
 */
int gate_settings_advise(const ConfigFile *file, const HttpGate *gate, bool wants_authentication,
                         ConfigProblems *advice);
