/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "healthctl/host-view.h"

/* The dot, the name, the description. */
void show_print_name(const Terminal *terminal, const CheckView *check);
/* What the last probe found: the result and what it measured. Returns 0 or -ENOMEM. */
int show_print_result(const Healthctl *ctl, const CheckView *check, double now);
/* Everything on it. history: an object, empty if there is none. Returns 0 or -ENOMEM. */
int show_print(const Healthctl *ctl, const CheckView *check, const cJSON *history, double now);
