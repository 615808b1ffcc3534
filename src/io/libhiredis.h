/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* hiredis, loaded: see io/library.h. */

#include <hiredis/hiredis.h>

#include "io/library.h"

extern const Library library_hiredis;

#define LIBHIREDIS_FUNCTIONS(X)                                                                    \
        X(freeReplyObject)                                                                         \
        X(redisFormatCommandArgv)                                                                  \
        X(redisFreeCommand)                                                                        \
        X(redisReaderCreate)                                                                       \
        X(redisReaderFeed)                                                                         \
        X(redisReaderFree)                                                                         \
        X(redisReaderGetReply)

LIBHIREDIS_FUNCTIONS(LIBRARY_DECLARE)

#define freeReplyObject        sym_freeReplyObject
#define redisFormatCommandArgv sym_redisFormatCommandArgv
#define redisFreeCommand       sym_redisFreeCommand
#define redisReaderCreate      sym_redisReaderCreate
#define redisReaderFeed        sym_redisReaderFeed
#define redisReaderFree        sym_redisReaderFree
#define redisReaderGetReply    sym_redisReaderGetReply
