/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* URLs of http and https by libcurl's parser, and what of them is secret. */

#include <stdbool.h>
#include <stdint.h>

#include "base/string-util.h"
#include "io/libcurl.h"

/**
 * http_url_parse() - Reads a URL of http or https; a fragment is dropped.
 * @text: what is written in the configuration or in a Location header
 * @why: replaced, with -EINVAL, by what is wrong with the key URL=, for people and without what
 *       may be secret; may be NULL
 * @ret: the URL, to be freed with curl_url_cleanup()
 *
 * Return: 0, -EINVAL or -ENOMEM.
 */
int http_url_parse(const char *text, char **why, CURLU **ret);

/**
 * http_url_take_login() - Moves "user:password@" out of a URL.
 * @url: is without user information afterwards
 * @secrets: given what must never be shown: the password, as it is and as it was written; the user
 *           if there is no password, because a lone "user@" is often a token; may be NULL
 * @ret_username: owned by the caller; NULL if the URL had no user information, else at least ""
 * @ret_password: owned by the caller; NULL if there was none
 *
 * Return: 0 or -ENOMEM.
 */
int http_url_take_login(CURLU *url, StringList *secrets, char **ret_username, char **ret_password);

/**
 * http_url_format_shown() - The URL for people, without user information and query.
 *
 * Return: 0 and a string owned by the caller, or -ENOMEM.
 */
int http_url_format_shown(CURLU *url, char **ret);

/**
 * http_url_get_server() - The server a URL speaks of.
 * @ret_host: owned by the caller; an IPv6 address is in brackets
 * @ret_port: written in the URL, or the scheme's
 * @ret_tls: whether it is https
 *
 * Return: 0 or -ENOMEM.
 */
int http_url_get_server(CURLU *url, char **ret_host, uint16_t *ret_port, bool *ret_tls);

/* The same scheme, host and port: what is secret for one may go to the other. */
bool http_urls_share_origin(CURLU *a, CURLU *b);
