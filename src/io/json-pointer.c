/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/json-pointer.h"

#include <ctype.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

bool json_pointer_is_valid(const char *pointer) {
        if (*pointer && *pointer != '/')
                return false;
        while ((pointer = strchr(pointer, '~'))) {
                pointer++;
                if (*pointer != '0' && *pointer != '1')
                        return false;
        }
        return true;
}

/* Compares an escaped name of a pointer with a plain name. */
static bool token_equal(const char *token, size_t length, const char *name) {
        for (size_t i = 0; i < length; i++, name++) {
                char c = token[i];
                if (c == '~' && i + 1 < length)
                        c = token[++i] == '1' ? '/' : '~';
                if (*name == '\0' || *name != c)
                        return false;
        }
        return *name == '\0';
}

static const cJSON *array_find(const cJSON *array, const char *token, size_t length) {
        int index = 0;

        /* "01" is no index, and "-" is the element after the last, which never exists. */
        if (length == 0 || (length > 1 && *token == '0'))
                return NULL;
        for (size_t i = 0; i < length; i++) {
                if (!isdigit((unsigned char) token[i]) || index > (INT_MAX - 9) / 10)
                        return NULL;
                index = index * 10 + (token[i] - '0');
        }
        return cJSON_GetArrayItem(array, index);
}

static const cJSON *object_find(const cJSON *object, const char *token, size_t length) {
        const cJSON *item;

        cJSON_ArrayForEach(item, object) if (token_equal(token, length, item->string)) return item;
        return NULL;
}

const cJSON *json_pointer_find(const cJSON *root, const char *pointer) {
        const cJSON *item = root;
        size_t length;

        if (!json_pointer_is_valid(pointer))
                return NULL;
        while (item && *pointer == '/') {
                pointer++;
                length = strcspn(pointer, "/");
                if (cJSON_IsObject(item))
                        item = object_find(item, pointer, length);
                else if (cJSON_IsArray(item))
                        item = array_find(item, pointer, length);
                else
                        item = NULL;
                pointer += length;
        }
        return item;
}
