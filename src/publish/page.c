/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "web-files.h"

#define N_FILES   ELEMENTS(sources)
#define ETAG_SIZE 32

typedef struct PageSource {
        const char *path;
        const char *media_type;
        const unsigned char *bytes;
        size_t size;
} PageSource;

static const PageSource sources[] = {
        { PAGE_PATH, "text/html; charset=utf-8", web_index_html, sizeof(web_index_html) },
        { "/status.css", "text/css; charset=utf-8", web_status_css, sizeof(web_status_css) },
        { "/status.js", "text/javascript; charset=utf-8", web_status_js, sizeof(web_status_js) },
        { "/icon.svg", "image/svg+xml", web_icon_svg, sizeof(web_icon_svg) },
};

/*
 * The names and error texts that the page shows are written by others: even if one got into the
 * page as markup, nothing of it would run or be fetched.
 */
static const char *const headers[][2] = {
        { MHD_HTTP_HEADER_CONTENT_SECURITY_POLICY,
          "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
          "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
        { MHD_HTTP_HEADER_X_FRAME_OPTIONS, "DENY" },
        { "Referrer-Policy", "no-referrer" },
        { "X-Content-Type-Options", "nosniff" },
        /* Kept, and asked for again with its ETag: an upgraded daemon never meets an old script. */
        { MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache" },
};

struct Page {
        PageFile files[N_FILES];
        char etags[N_FILES][ETAG_SIZE];
};

Page *page_free(Page *page) {
        if (!page)
                return NULL;
        for (size_t i = 0; i < N_FILES; i++)
                if (page->files[i].response)
                        MHD_destroy_response(page->files[i].response);
        free(page);
        return NULL;
}
DEFINE_CLEANUP(Page, page_free)

static int page_file_init(PageFile *file, const PageSource *source, char *etag) {
        (void) snprintf(etag, ETAG_SIZE, "W/\"%" PRIx64 "\"",
                        hash_add(HASH_START, source->bytes, source->size));
        file->path = source->path;
        file->etag = etag;
        file->response = MHD_create_response_from_buffer(source->size, (void *) source->bytes,
                                                         MHD_RESPMEM_PERSISTENT);
        if (!file->response)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTS(headers); i++)
                if (MHD_add_response_header(file->response, headers[i][0], headers[i][1]) !=
                    MHD_YES)
                        return -ENOMEM;
        if (MHD_add_response_header(file->response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                    source->media_type) != MHD_YES ||
            MHD_add_response_header(file->response, MHD_HTTP_HEADER_ETAG, etag) != MHD_YES)
                return -ENOMEM;
        return 0;
}

int page_new(Page **ret) {
        _cleanup_(page_freep) Page *page = calloc(1, sizeof(Page));
        int r;

        if (!page)
                return -ENOMEM;
        for (size_t i = 0; i < N_FILES; i++) {
                r = page_file_init(&page->files[i], &sources[i], page->etags[i]);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(page);
        return 0;
}

const PageFile *page_find(const Page *page, const char *path) {
        for (size_t i = 0; i < N_FILES; i++)
                if (string_equal(page->files[i].path, path))
                        return &page->files[i];
        return NULL;
}

void page_set_closing(Page *page) {
        for (size_t i = 0; i < N_FILES; i++)
                (void) MHD_add_response_header(page->files[i].response, MHD_HTTP_HEADER_CONNECTION,
                                               "close");
}
