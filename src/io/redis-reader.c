/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/redis-reader.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

struct RedisReader {
        redisReader *hiredis;
        redisReplyObjectFunctions functions; /* hiredis's own, but for arrays */
        const redisReplyObjectFunctions *hiredis_functions;
        size_t received;
};

/*
 * A reader grows a buffer of the size of its answers. Were it the connection's, thousands of
 * connections would have as many, and each answer be written to memory that is in no cache. An
 * answer is mostly there at once: so the reader that is free goes from one conversation to the
 * next.
 */
static RedisReader *spare;

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

/* Whether it is as a new one is: nothing was refused, and nothing is left. */
static bool reader_is_clean(const RedisReader *reader) {
        return reader->hiredis && reader->hiredis->err == 0 && reader->hiredis->ridx < 0 &&
               redis_reader_is_empty(reader);
}

RedisReader *redis_reader_free(RedisReader *reader) {
        if (!reader)
                return NULL;
        if (!spare && reader_is_clean(reader)) {
                reader->received = 0;
                spare = reader;
                return NULL;
        }
        if (reader->hiredis)
                redisReaderFree(reader->hiredis);
        free(reader);
        return NULL;
}
DEFINE_CLEANUP(RedisReader, redis_reader_free)

int redis_reader_new(RedisReader **ret) {
        _cleanup_(redis_reader_freep) RedisReader *reader = TAKE_PTR(spare);

        if (reader) {
                *ret = TAKE_PTR(reader);
                return 0;
        }
        reader = calloc(1, sizeof(RedisReader));
        if (!reader)
                return -ENOMEM;
        reader->hiredis = redisReaderCreate();
        if (!reader->hiredis)
                return -ENOMEM;
        reader->hiredis_functions = reader->hiredis->fn;
        reader->functions = *reader->hiredis->fn;
        reader->functions.createArray = reader_create_array;
        reader->hiredis->fn = &reader->functions;
        reader->hiredis->privdata = reader;
        *ret = TAKE_PTR(reader);
        return 0;
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
