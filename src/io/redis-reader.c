/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/redis-reader.h"

#include <errno.h>

/* hiredis changed its mind between 0.14 and 1.0. */
#if HIREDIS_MAJOR < 1
typedef int ElementCount;
#else
typedef size_t ElementCount;
#endif

/* hiredis allocates what a header announces, and clearing "*2147483647" away takes seconds. */
static void *reader_create_array(const redisReadTask *task, ElementCount n_elements) {
        const RedisReader *reader = task->privdata;

        if (n_elements > REDIS_ELEMENTS_MAX)
                return NULL;
        return reader->hiredis_functions->createArray(task, n_elements);
}

int redis_reader_init(RedisReader *reader) {
        *reader = (RedisReader){ .hiredis = redisReaderCreate() };
        if (!reader->hiredis)
                return -ENOMEM;
        reader->hiredis_functions = reader->hiredis->fn;
        reader->functions = *reader->hiredis->fn;
        reader->functions.createArray = reader_create_array;
        reader->hiredis->fn = &reader->functions;
        reader->hiredis->privdata = reader;
        return 0;
}

void redis_reader_done(RedisReader *reader) {
        if (reader->hiredis)
                redisReaderFree(reader->hiredis);
        *reader = (RedisReader){};
}

void redis_reader_restart(RedisReader *reader) {
        reader->received = 0;
}

int redis_reader_feed(RedisReader *reader, const char *data, size_t size) {
        if (size > REDIS_ANSWER_MAX - reader->received)
                return -EMSGSIZE;
        reader->received += size;
        return redisReaderFeed(reader->hiredis, data, size) == REDIS_OK ? 0 : -ENOMEM;
}

int redis_reader_next(RedisReader *reader, redisReply **ret) {
        void *reply = NULL;

        if (redisReaderGetReply(reader->hiredis, &reply) != REDIS_OK)
                return -EBADMSG;
        if (!reply)
                return 0;
        *ret = reply;
        return 1;
}

const char *redis_reader_error(const RedisReader *reader) {
        return reader->hiredis->err == REDIS_ERR_OOM ? "a reply is too large"
                                                     : reader->hiredis->errstr;
}

bool redis_reader_is_empty(const RedisReader *reader) {
        return reader->hiredis->pos == reader->hiredis->len;
}
