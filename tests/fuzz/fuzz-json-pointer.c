/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A JSON pointer in the first line, and a document behind it. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "io/json-pointer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether an item is part of a document. */
static bool is_within(const cJSON *item, const cJSON *root) {
        const cJSON *child;

        if (item == root)
                return true;
        cJSON_ArrayForEach(child, root) if (is_within(item, child)) return true;
        return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *) data, *line_end = memchr(text, '\n', size);
        _cleanup_free_ char *pointer = NULL;
        const cJSON *found;
        cJSON *root;

        if (!line_end)
                return 0;
        pointer = strndup(text, (size_t) (line_end - text));
        root = cJSON_ParseWithLength(line_end + 1, size - (size_t) (line_end + 1 - text));
        if (pointer && root) {
                found = json_pointer_find(root, pointer);
                if (found && (!json_pointer_is_valid(pointer) || !is_within(found, root)))
                        abort();
                if (!*pointer && found != root)
                        abort();
        }
        cJSON_Delete(root);
        return 0;
}
