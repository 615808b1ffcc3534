/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/detail-names.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"

typedef struct DetailName {
        char *text; /* NULL: free */
        uint32_t n_users;
        uint32_t hash;
        uint32_t next; /* of the same chain, or of what is free; 0 ends it */
} DetailName;

/* Ids are places in the list, counted from 1. There are as many chains as places. */
static struct {
        DetailName *list;
        uint32_t *chains;
        uint32_t n_places, n_used, free;
} names;

static DetailName *name_of(uint32_t id) {
        return &names.list[id - 1];
}

static uint32_t *chain_of(uint32_t hash) {
        return &names.chains[hash & (names.n_places - 1)];
}

/* To twice as many places. */
static bool names_grow(void) {
        uint32_t n_places = names.n_places ? 2 * names.n_places : 64, n_before = names.n_places;
        _cleanup_free_ uint32_t *chains = calloc(n_places, sizeof(uint32_t));
        DetailName *list = chains ? reallocarray(names.list, n_places, sizeof(DetailName)) : NULL;

        if (!list)
                return false;
        free(names.chains);
        names.list = list;
        names.chains = TAKE_PTR(chains);
        names.n_places = n_places;
        for (uint32_t id = n_places; id > n_before; id--) {
                *name_of(id) = (DetailName){ .next = names.free };
                names.free = id;
        }
        for (uint32_t id = 1; id <= n_before; id++) {
                name_of(id)->next = *chain_of(name_of(id)->hash);
                *chain_of(name_of(id)->hash) = id;
        }
        return true;
}

static uint32_t names_find(const char *name, size_t length, uint32_t hash) {
        if (names.n_places == 0)
                return 0;
        for (uint32_t id = *chain_of(hash); id; id = name_of(id)->next)
                if (name_of(id)->hash == hash && strncmp(name_of(id)->text, name, length) == 0 &&
                    name_of(id)->text[length] == '\0')
                        return id;
        return 0;
}

static uint32_t names_add(const char *name, size_t length, uint32_t hash) {
        _cleanup_free_ char *text = strndup(name, length);
        uint32_t id;

        if (!text || (!names.free && !names_grow()))
                return 0;
        id = names.free;
        names.free = name_of(id)->next;
        *name_of(id) = (DetailName){ TAKE_PTR(text), .hash = hash, .next = *chain_of(hash) };
        *chain_of(hash) = id;
        names.n_used++;
        return id;
}

uint32_t detail_name_take(const char *name, size_t length) {
        uint32_t hash = (uint32_t) hash_add(HASH_START, name, length);
        uint32_t id = names_find(name, length, hash);

        if (!id)
                id = names_add(name, length, hash);
        if (id)
                name_of(id)->n_users++;
        return id;
}

void detail_name_release(uint32_t id) {
        uint32_t *place = chain_of(name_of(id)->hash);

        if (--name_of(id)->n_users > 0)
                return;
        while (*place != id)
                place = &name_of(*place)->next;
        *place = name_of(id)->next;
        free(name_of(id)->text);
        *name_of(id) = (DetailName){ .next = names.free };
        names.free = id;
        if (--names.n_used > 0)
                return;
        free(names.list);
        free(names.chains);
        memset(&names, 0, sizeof(names));
}

const char *detail_name_text(uint32_t id) {
        return name_of(id)->text;
}
