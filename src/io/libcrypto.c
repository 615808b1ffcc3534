/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/libcrypto.h"

LIBCRYPTO_FUNCTIONS(LIBRARY_DEFINE)

static const LibrarySymbol symbols[] = { LIBCRYPTO_FUNCTIONS(LIBRARY_SYMBOL){} };

const Library library_libcrypto = { LIBCRYPTO_SONAME, LIBCRYPTO_PACKAGE, symbols };

LIBRARY_NOTE("signature", "signatures of webhook alerts", "recommended", LIBCRYPTO_SONAME);
