/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/libhiredis.h"

LIBHIREDIS_FUNCTIONS(LIBRARY_DEFINE)

static const LibrarySymbol symbols[] = { LIBHIREDIS_FUNCTIONS(LIBRARY_SYMBOL){} };

const Library library_hiredis = { LIBHIREDIS_SONAME, LIBHIREDIS_PACKAGE, symbols };

LIBRARY_NOTE("redis", "checks of Redis", "recommended", LIBHIREDIS_SONAME);
