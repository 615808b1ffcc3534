/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libcurl, loaded: see io/library.h. */

/*
 * These take a last argument of any type, which nobody could check through a pointer. libcurl's
 * macros do check it, and call, by the linker's name, functions of ours that hand it on.
 */
#pragma redefine_extname curl_easy_getinfo pass_curl_easy_getinfo
#pragma redefine_extname curl_easy_setopt pass_curl_easy_setopt
#pragma redefine_extname curl_multi_setopt pass_curl_multi_setopt

#include <curl/curl.h>

#include "io/library.h"

extern const Library library_libcurl;

#define LIBCURL_FUNCTIONS(X)                                                                       \
        X(curl_easy_cleanup)                                                                       \
        X(curl_easy_escape)                                                                        \
        X(curl_easy_getinfo)                                                                       \
        X(curl_easy_header)                                                                        \
        X(curl_easy_init)                                                                          \
        X(curl_easy_recv)                                                                          \
        X(curl_easy_reset)                                                                         \
        X(curl_easy_send)                                                                          \
        X(curl_easy_setopt)                                                                        \
        X(curl_easy_strerror)                                                                      \
        X(curl_free)                                                                               \
        X(curl_getdate)                                                                            \
        X(curl_global_init)                                                                        \
        X(curl_multi_add_handle)                                                                   \
        X(curl_multi_assign)                                                                       \
        X(curl_multi_cleanup)                                                                      \
        X(curl_multi_info_read)                                                                    \
        X(curl_multi_init)                                                                         \
        X(curl_multi_remove_handle)                                                                \
        X(curl_multi_setopt)                                                                       \
        X(curl_multi_socket_action)                                                                \
        X(curl_slist_append)                                                                       \
        X(curl_slist_free_all)                                                                     \
        X(curl_url)                                                                                \
        X(curl_url_cleanup)                                                                        \
        X(curl_url_dup)                                                                            \
        X(curl_url_get)                                                                            \
        X(curl_url_set)                                                                            \
        X(curl_url_strerror)                                                                       \
        X(curl_version_info)

LIBCURL_FUNCTIONS(LIBRARY_DECLARE)

#define curl_easy_cleanup        sym_curl_easy_cleanup
#define curl_easy_escape         sym_curl_easy_escape
#define curl_easy_header         sym_curl_easy_header
#define curl_easy_init           sym_curl_easy_init
#define curl_easy_recv           sym_curl_easy_recv
#define curl_easy_reset          sym_curl_easy_reset
#define curl_easy_send           sym_curl_easy_send
#define curl_easy_strerror       sym_curl_easy_strerror
#define curl_free                sym_curl_free
#define curl_getdate             sym_curl_getdate
#define curl_global_init         sym_curl_global_init
#define curl_multi_add_handle    sym_curl_multi_add_handle
#define curl_multi_assign        sym_curl_multi_assign
#define curl_multi_cleanup       sym_curl_multi_cleanup
#define curl_multi_info_read     sym_curl_multi_info_read
#define curl_multi_init          sym_curl_multi_init
#define curl_multi_remove_handle sym_curl_multi_remove_handle
#define curl_multi_socket_action sym_curl_multi_socket_action
#define curl_slist_append        sym_curl_slist_append
#define curl_slist_free_all      sym_curl_slist_free_all
#define curl_url                 sym_curl_url
#define curl_url_cleanup         sym_curl_url_cleanup
#define curl_url_dup             sym_curl_url_dup
#define curl_url_get             sym_curl_url_get
#define curl_url_set             sym_curl_url_set
#define curl_url_strerror        sym_curl_url_strerror
#define curl_version_info        sym_curl_version_info
