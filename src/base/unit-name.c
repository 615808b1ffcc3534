/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/unit-name.h"

#include <string.h>

#include "base/string-util.h"

static const char letters[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@";

bool service_name_is_valid(const char *name) {
        size_t length = strlen(name), ending = strlen(".service");

        return length > ending && length <= UNIT_NAME_MAX && *name != '.' &&
               string_equal(name + length - ending, ".service") && !name[strspn(name, letters)] &&
               !strstr(name, "..");
}
