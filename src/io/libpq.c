/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/libpq.h"

LIBPQ_FUNCTIONS(LIBRARY_DEFINE)

static const LibrarySymbol symbols[] = { LIBPQ_FUNCTIONS(LIBRARY_SYMBOL){} };

const Library library_libpq = { LIBPQ_SONAME, LIBPQ_PACKAGE, symbols };

LIBRARY_NOTE("postgresql", "checks of PostgreSQL", "recommended", LIBPQ_SONAME);
