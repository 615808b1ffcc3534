/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the types that POST JSON have in common: one request, and how it is judged. */

#include "alert/alert.h"
#include "config/http-keys.h"

/* Embedded in its owner, zeroed before first use. */
typedef struct HttpPost {
        HttpRequest *request; /* while one is under way */
        char *body;
        StringList headers; /* those of the keys and our own */
        char *shown;        /* the server: the path may be as good as a password */
        AlertHandler on_done;
        void *userdata;
} HttpPost;

/*
 * Begins. The body is taken over, on success only. header: one more than the keys say, or NULL.
 * 2xx is delivered. Ends as AlertType.start does.
 */
int http_post_start(HttpPost *post, const HttpKeys *keys, Runtime *runtime, char *body,
                    const char *header, AlertHandler on_done, void *userdata);
/* As AlertType.cancel. */
char *http_post_cancel(HttpPost *post);
