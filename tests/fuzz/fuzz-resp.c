/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a Redis server may say: the first byte is the size of the chunks it comes in, 0 for all at
 * once, the rest the bytes. However they are cut, they are the same replies.
 */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "io/redis-reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Looks at everything a handler may look at. */
static uint64_t reply_hash(const redisReply *reply, uint64_t hash) {
        hash = hash_add(hash, &reply->type, sizeof(reply->type));
        switch (reply->type) {
        case REDIS_REPLY_STRING:
        case REDIS_REPLY_STATUS:
        case REDIS_REPLY_ERROR:
                if (reply->str[reply->len])
                        abort(); /* no text that ends */
                return hash_add(hash, reply->str, reply->len);
        case REDIS_REPLY_INTEGER:
                return hash_add(hash, &reply->integer, sizeof(reply->integer));
        case REDIS_REPLY_ARRAY:
                if (reply->elements > REDIS_ELEMENTS_MAX)
                        abort();
                for (size_t i = 0; i < reply->elements; i++)
                        hash = reply_hash(reply->element[i], hash);
                return hash;
        default:
                return hash;
        }
}

/* Adds every complete reply to the hash. Returns false when nothing more is to be read. */
static bool reader_drain(RedisReader *reader, uint64_t *hash) {
        redisReply *reply = NULL;
        int r;

        while ((r = redis_reader_next(reader, &reply)) > 0) {
                *hash = reply_hash(reply, *hash);
                freeReplyObject(reply);
        }
        if (r < 0 && string_is_empty(redis_reader_error(reader)))
                abort(); /* refused without saying why */
        return r == 0;
}

/* The replies as one number. */
static uint64_t read_all(const char *data, size_t size, size_t chunk) {
        uint64_t hash = HASH_START;
        RedisReader *reader;
        int r;

        if (redis_reader_new(&reader) < 0)
                abort();
        for (size_t done = 0, n; done < size; done += n) {
                n = size - done < chunk ? size - done : chunk;
                r = redis_reader_feed(reader, data + done, n);
                if (r == -ENOMEM || (r == -EMSGSIZE && done + n <= REDIS_ANSWER_MAX))
                        abort();
                if (r < 0 || !reader_drain(reader, &hash))
                        break;
        }
        (void) redis_reader_is_empty(reader);
        redis_reader_free(reader);
        return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *bytes = (const char *) data;
        _cleanup_free_ char *why = NULL;

        if (library_load(&library_hiredis, &why) < 0)
                abort();
        if (size < 2 || size > REDIS_ANSWER_MAX)
                return 0;
        if (read_all(bytes + 1, size - 1, *data ? *data : size) !=
            read_all(bytes + 1, size - 1, size))
                abort(); /* the same bytes, other replies */
        return 0;
}
