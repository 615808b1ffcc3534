/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names of systemd's services, as they may come from anybody. */

#include <stdbool.h>

#define UNIT_NAME_MAX 255

/* Whether it is the full name of a service, "orders.service", and safe in a path. */
bool service_name_is_valid(const char *name);
