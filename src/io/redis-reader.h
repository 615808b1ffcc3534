/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bytes of a Redis server, in chunks as they come, to replies; with limits on both. */

#include <stdbool.h>
#include <stddef.h>

#include "io/libhiredis.h"

/* What one conversation may be answered: an INFO is 5 KiB. */
#define REDIS_ANSWER_MAX   (1024 * 1024)
#define REDIS_ELEMENTS_MAX 65536

typedef struct RedisReader RedisReader;

/* For one conversation. Returns 0 or -ENOMEM. */
int redis_reader_new(RedisReader **ret);
/* Accepts NULL, returns NULL. */
RedisReader *redis_reader_free(RedisReader *reader);

/* Returns 0, -EMSGSIZE if that is more than REDIS_ANSWER_MAX together, or -ENOMEM. */
int redis_reader_feed(RedisReader *reader, const char *data, size_t size);
/*
 * The next reply, to be freed with freeReplyObject(). Returns 1, 0 if none is complete, or
 * -EBADMSG if what came is no reply or too large an array: nothing is read any more then.
 */
int redis_reader_next(RedisReader *reader, redisReply **ret);
/* What was wrong, after -EBADMSG, for people. */
const char *redis_reader_error(const RedisReader *reader);

/* Whether everything that was fed has been handed out. */
bool redis_reader_is_empty(const RedisReader *reader);
