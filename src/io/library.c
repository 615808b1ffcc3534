/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"

/* The dynamic linker says it in many ways ("cannot create shared object descriptor"). */
static bool memory_was_short(int failure, const char *error) {
        return failure == ENOMEM || !error || strstr(error, "out of memory") ||
               strstr(error, strerrordesc_np(ENOMEM));
}

static int library_refuse(const Library *library, char **ret_why) {
        _cleanup_free_ char *cause = NULL;
        int failure = errno, r;
        const char *error = dlerror();

        if (memory_was_short(failure, error))
                return -ENOMEM;
        /* "libpq.so.5: cannot open shared object file: No such file or directory" */
        r = string_replace(&cause, error);
        if (r >= 0)
                r = string_printf(ret_why, "a library cannot be loaded (%s); install %s%s", cause,
                                  *library->package ? "" : "the package with ",
                                  *library->package ? library->package : library->soname);
        return r < 0 ? r : -ELIBACC;
}

/* The functions are found in the order of their rows. */
static bool library_is_loaded(const Library *library) {
        const LibrarySymbol *last = library->symbols;
        void *address;

        while (last[1].name)
                last++;
        memcpy((void *) &address, last->pointer, sizeof(address));
        return address;
}

int library_load(const Library *library, char **ret_why) {
        void *handle, *address;

        if (library_is_loaded(library))
                return 0;
        errno = 0;
        handle = dlopen(library->soname, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!handle)
                return library_refuse(library, ret_why);
        for (const LibrarySymbol *symbol = library->symbols; symbol->name; symbol++) {
                errno = 0;
                address = dlsym(handle, symbol->name);
                if (!address)
                        return library_refuse(library, ret_why);
                memcpy(symbol->pointer, (const void *) &address, sizeof(address));
        }
        return 0;
}

int library_load_all(const Library *const *libraries, char **ret_why) {
        int r = 0;

        for (; r >= 0 && libraries && *libraries; libraries++)
                r = library_load(*libraries, ret_why);
        return r;
}
