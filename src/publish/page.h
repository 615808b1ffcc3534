/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The status page for people and the files it is made of, built into the daemon. The same for
 * everybody: what it shows it asks of the other endpoints.
 */

#include <microhttpd.h>

#define PAGE_PATH "/"

typedef struct Page Page;

/* Borrowed from the page. */
typedef struct PageFile {
        const char *path;
        const char *etag; /* weak, as all here */
        struct MHD_Response *response;
} PageFile;

/* Returns 0 or a negative errno. */
int page_new(Page **ret);
Page *page_free(Page *page);

/* The file served under a path, or NULL. */
const PageFile *page_find(const Page *page, const char *path);

/* Every answer from now on asks the client to close its connection. */
void page_set_closing(Page *page);
