/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/response.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/time-util.h"

#define PIECES_BLOCK_SIZE ((size_t) 16 * 1024)

int response_add_header(struct MHD_Response *response, const char *name, const char *value) {
        return MHD_add_response_header(response, name, value) == MHD_YES ? 0 : -ENOMEM;
}

/* Takes the response over. */
static struct MHD_Response *response_describe(struct MHD_Response *response,
                                              const char *content_type, const char *cache_control) {
        if (response_add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type) < 0 ||
            response_add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, cache_control) < 0 ||
            response_add_header(response, "X-Content-Type-Options", "nosniff") < 0) {
                MHD_destroy_response(response);
                return NULL;
        }
        return response;
}

struct MHD_Response *response_new(const char *text, size_t length, enum MHD_ResponseMemoryMode mode,
                                  const char *content_type, const char *cache_control) {
        struct MHD_Response *response = MHD_create_response_from_buffer(length, (void *) text,
                                                                        mode);

        if (!response && mode == MHD_RESPMEM_MUST_FREE)
                free((void *) text);
        return response ? response_describe(response, content_type, cache_control) : NULL;
}

/* A body in pieces, and what of it libmicrohttpd has not taken yet. */
typedef struct Pieces {
        Body body;
        TextBuffer out;
        size_t taken;
        bool ended;
} Pieces;

static void pieces_free(void *userdata) {
        Pieces *pieces = userdata;

        body_done(&pieces->body);
        text_buffer_done(&pieces->out);
        free(pieces);
}

static ssize_t pieces_read(void *userdata, uint64_t position, char *buffer, size_t size) {
        Pieces *pieces = userdata;
        size_t left;
        int r;

        (void) position;
        if (pieces->taken == pieces->out.length) {
                if (pieces->ended)
                        return MHD_CONTENT_READER_END_OF_STREAM;
                pieces->taken = pieces->out.length = 0;
                r = pieces->body.type->write(pieces->body.body, now_monotonic_usec(), &pieces->out);
                if (r < 0)
                        return MHD_CONTENT_READER_END_WITH_ERROR;
                pieces->ended = r == 0;
        }
        left = pieces->out.length - pieces->taken;
        if (size > left)
                size = left;
        memcpy(buffer, pieces->out.text + pieces->taken, size);
        pieces->taken += size;
        return (ssize_t) size;
}

struct MHD_Response *response_new_in_pieces(Body *body, const char *content_type,
                                            const char *cache_control) {
        struct MHD_Response *response = NULL;
        Pieces *pieces = calloc(1, sizeof(Pieces));

        if (!pieces) {
                body_done(body);
                return NULL;
        }
        pieces->body = *body;
        *body = (Body){};
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECES_BLOCK_SIZE,
                                                     pieces_read, pieces, pieces_free);
        if (!response)
                pieces_free(pieces);
        return response ? response_describe(response, content_type, cache_control) : NULL;
}

void response_free(struct MHD_Response *response) {
        if (response)
                MHD_destroy_response(response);
}

void response_set_closing(struct MHD_Response *response) {
        if (response)
                (void) response_add_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}
