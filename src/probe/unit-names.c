/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/unit-names.h"

#include <string.h>

#include "base/cleanup.h"

#define UNIT_NAME_MAX 255

bool unit_name_is_glob(const char *text) {
        return strpbrk(text, "*?[");
}

bool unit_name_has_suffix(const char *name, const char *suffix) {
        size_t length = strlen(name), suffix_length = strlen(suffix);

        return length > suffix_length && string_equal(name + length - suffix_length, suffix);
}

int unit_name_add(ProbeSetup *setup, const char *key, const char *text, const char *suffix,
                  StringList *list) {
        static const char *const suffixes[] = {
                ".service", ".socket", ".timer", ".target", ".mount",  ".automount",
                ".path",    ".swap",   ".slice", ".scope",  ".device",
        };
        _cleanup_free_ char *name = NULL;
        bool has_one = unit_name_is_glob(text);
        int r;

        for (size_t i = 0; i < ELEMENTS(suffixes) && !has_one; i++)
                has_one = unit_name_has_suffix(text, suffixes[i]);
        r = string_printf(&name, "%s%s", text, has_one ? "" : suffix);
        if (r < 0)
                return r;
        if (name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              ":-_.\\@*?[]^!")])
                return probe_setup_refuse(setup, key,
                                          "%s=%s: not the name of a unit; write it as systemctl "
                                          "list-units shows it (a mount is srv-data.mount)",
                                          key, text);
        if (strlen(name) > UNIT_NAME_MAX)
                return probe_setup_refuse(setup, key, "%s=: longer than the name of a unit may be",
                                          key);
        if (!unit_name_is_glob(name) && strstr(name, "@."))
                return probe_setup_refuse(setup, key,
                                          "%s=%s: a template; name an instance of it, or all that "
                                          "are loaded by a glob with @*",
                                          key, text);
        return string_list_add(list, name);
}
