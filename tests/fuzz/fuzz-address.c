/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Addresses and URLs, as they stand in files and in the Location of a server's answer. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "io/address.h"
#include "io/http-url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void address_check(const char *text, uint16_t default_port) {
        _cleanup_(address_done) Address address = {};

        if (address_parse(text, default_port, &address) < 0)
                return;
        if (!address.path == !address.host)
                abort(); /* one of them */
        if (address.host && (address.port == 0 || !*address.host || strpbrk(address.host, " /@[]")))
                abort();
        if (address.host)
                (void) host_is_here(address.host);
}

static void url_check(CURLU *url) {
        _cleanup_free_ char *user = NULL, *password = NULL, *shown = NULL, *host = NULL;
        _cleanup_(string_list_freep) StringList secrets = NULL;
        uint16_t port;
        bool tls;

        if (!http_urls_share_origin(url, url))
                abort();
        if (http_url_take_login(url, &secrets, &user, &password) < 0)
                return;
        if (password && !secrets)
                abort(); /* it would be shown */
        if (http_url_format_shown(url, &shown) < 0 || strchr(shown, '?') || strchr(shown, '#'))
                abort();
        if (http_url_get_server(url, &host, &port, &tls) < 0 || !*host)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size), *why = NULL;
        CURLU *url = NULL;
        int r;

        if (!text || library_load(&library_libcurl, &why) < 0)
                abort();
        address_check(text, 0);
        address_check(text, 80);
        r = http_url_parse(text, &why, &url);
        if (r >= 0)
                url_check(url);
        else if (!why)
                abort(); /* refused without saying why */
        curl_url_cleanup(url);
        return 0;
}
