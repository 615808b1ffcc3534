/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/http-url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* A part of a URL, to be freed with curl_free(); NULL if it is not there or memory is short. */
static char *url_part(CURLU *url, CURLUPart part, unsigned flags) {
        char *text = NULL;

        return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

/* The same where that makes a difference: 0 or -ENOMEM. */
static int url_get_part(CURLU *url, CURLUPart part, unsigned flags, char **ret) {
        return curl_url_get(url, part, ret, flags) == CURLUE_OUT_OF_MEMORY ? -ENOMEM : 0;
}

static void curl_free_text(char **text) {
        curl_free(*text);
}
#define _cleanup_curl_ _cleanup_(curl_free_text)
DEFINE_CLEANUP(CURLU, curl_url_cleanup)

static void url_drop_login(CURLU *url) {
        curl_url_set(url, CURLUPART_USER, NULL, 0);
        curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
}

int http_url_parse(const char *text, char **why, CURLU **ret) {
        _cleanup_(curl_url_cleanupp) CURLU *url = curl_url();
        _cleanup_curl_ char *scheme = NULL;
        CURLUcode code;
        int r = 0;

        if (!url)
                return -ENOMEM;
        code = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
        if (code == CURLUE_OK)
                code = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
        if (code == CURLUE_OUT_OF_MEMORY)
                return -ENOMEM;
        if (string_equal(scheme, "http") || string_equal(scheme, "https")) {
                curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
                *ret = TAKE_PTR(url);
                return 0;
        }
        if (!why)
                return -EINVAL;
        if (code == CURLUE_OK || code == CURLUE_BAD_SCHEME || code == CURLUE_BAD_SLASHES)
                r = string_replace(why, "URL= must begin with http:// or https://");
        else
                r = string_printf(why, "URL= is no valid URL: %s", curl_url_strerror(code));
        return r < 0 ? r : -EINVAL;
}

int http_url_take_login(CURLU *url, StringList *secrets, char **ret_username, char **ret_password) {
        _cleanup_curl_ char *user = NULL, *password = NULL, *written = NULL;
        _cleanup_free_ char *username = NULL;
        int r;

        r = url_get_part(url, CURLUPART_USER, CURLU_URLDECODE, &user);
        if (r >= 0)
                r = url_get_part(url, CURLUPART_PASSWORD, CURLU_URLDECODE, &password);
        if (r >= 0)
                r = url_get_part(url, CURLUPART_PASSWORD, 0, &written);
        if (r >= 0 && (user || password))
                r = string_replace(&username, user ? user : "");
        if (r >= 0 && secrets && (password || user))
                r = string_list_add(secrets, password ? password : user);
        if (r >= 0 && secrets && written)
                r = string_list_add(secrets, written);
        if (r < 0)
                return r;
        *ret_password = NULL;
        r = string_replace(ret_password, password);
        if (r < 0)
                return r;
        *ret_username = TAKE_PTR(username);
        url_drop_login(url);
        return 0;
}

int http_url_format_shown(CURLU *url, char **ret) {
        _cleanup_(curl_url_cleanupp) CURLU *copy = curl_url_dup(url);
        _cleanup_curl_ char *text = NULL;
        char *shown;

        if (!copy)
                return -ENOMEM;
        url_drop_login(copy);
        curl_url_set(copy, CURLUPART_QUERY, NULL, 0);
        text = url_part(copy, CURLUPART_URL, 0);
        shown = text ? strdup(text) : NULL;
        if (!shown)
                return -ENOMEM;
        *ret = shown;
        return 0;
}

int http_url_get_server(CURLU *url, char **ret_host, uint16_t *ret_port, bool *ret_tls) {
        _cleanup_curl_ char *scheme = url_part(url, CURLUPART_SCHEME, 0);
        _cleanup_curl_ char *host = url_part(url, CURLUPART_HOST, CURLU_URLDECODE);
        _cleanup_curl_ char *port = url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
        char *copy = scheme && host && port ? strdup(host) : NULL;

        if (!copy)
                return -ENOMEM;
        *ret_host = copy;
        *ret_port = (uint16_t) strtoul(port, NULL, 10);
        *ret_tls = string_equal(scheme, "https");
        return 0;
}

bool http_urls_share_origin(CURLU *a, CURLU *b) {
        static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };

        for (size_t i = 0; i < ELEMENTS(parts); i++) {
                _cleanup_curl_ char *of_a = url_part(a, parts[i], CURLU_DEFAULT_PORT);
                _cleanup_curl_ char *of_b = url_part(b, parts[i], CURLU_DEFAULT_PORT);
                if (!of_a || !of_b || strcasecmp(of_a, of_b) != 0)
                        return false;
        }
        return true;
}
