/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/http-keys.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "io/http-url.h"

#define HEADERS_MAX   (64 * 1024)
#define REDIRECTS_MAX 20

const ConfigRange http_redirects_range = { 0, REDIRECTS_MAX };

/* In the order of HttpVersion. */
const char *const http_version_words[] = { "default", "1.1", "2", NULL };

int http_parse_header(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        size_t length = strcspn(value, ": \t");
        int r;

        if (!*value || (length > 0 && value[length] == ':'))
                return config_parse_lines(key, value, field, ret_why);
        r = string_replace(ret_why, "it must be written as Header=Name: value");
        return r < 0 ? r : -EINVAL;
}

static int http_prepare_login(HttpKeys *keys, TypeSetup *setup) {
        _cleanup_free_ char *username = NULL;
        char *password = NULL;
        int r;

        r = http_url_take_login(keys->target, setup->secrets, &username, &password);
        if (r < 0 || !username)
                return r;
        if (keys->username || keys->password || keys->token) {
                string_free_secret(password);
                return type_setup_refuse(setup, "URL",
                                         "URL= has a user name or password, and Username=, "
                                         "Password= or Token= too; give them once");
        }
        keys->username = TAKE_PTR(username);
        keys->password = password;
        return 0;
}

/* The value, and what follows a scheme word such as Bearer in it. */
static int header_add_secrets(const char *value, StringList *secrets) {
        _cleanup_free_ char *copy = strdup(value);
        char *text, *rest;
        int r;

        if (!copy)
                return -ENOMEM;
        text = string_strip(copy);
        r = *text ? string_list_add(secrets, text) : 0;
        rest = text;
        while (isalnum((unsigned char) *rest) || *rest == '-' || *rest == '_')
                rest++;
        if (r >= 0 && rest > text && isspace((unsigned char) *rest))
                r = string_list_add(secrets, string_strip(rest));
        explicit_bzero(text, strlen(text));
        return r;
}

/*
 * Authorization, Cookie, X-Api-Key and what else is called so, or what came out of a credential.
 * To hide the values of all (Host: localhost, Connection: close) would make the answers unreadable.
 */
static bool header_is_secret(const char *line, char *const *secrets) {
        static const char *const words[] = {
                "auth",   "cookie",  "credential", "key",   "pass",
                "secret", "session", "signature",  "token",
        };
        size_t length = strcspn(line, ":");

        for (size_t i = 0; i < ELEMENTS(words); i++) {
                const char *found = strcasestr(line, words[i]);
                if (found && found < line + length)
                        return true;
        }
        for (; secrets && *secrets; secrets++)
                if (strstr(*secrets, line))
                        return true;
        return false;
}

static int http_prepare_headers(const HttpKeys *keys, TypeSetup *setup) {
        int r;

        for (size_t i = 0; keys->headers && keys->headers[i]; i++) {
                const char *colon = strchr(keys->headers[i], ':');
                if (!header_is_secret(keys->headers[i], *setup->secrets))
                        continue;
                r = header_add_secrets(colon + 1, setup->secrets);
                if (r < 0)
                        return r;
        }
        return 0;
}

int http_keys_prepare(HttpKeys *keys, const char *example, TypeSetup *setup) {
        int r;

        if (!keys->url)
                return type_setup_refuse(setup, NULL, "URL= is missing; write URL=%s", example);
        setup->key = "URL";
        r = http_url_parse(keys->url, &setup->why, &keys->target);
        if (r >= 0)
                r = http_prepare_login(keys, setup);
        if (r >= 0)
                r = http_prepare_headers(keys, setup);
        if (r < 0)
                return r;
        if (keys->token && (keys->username || keys->password))
                return type_setup_refuse(setup, "Token",
                                         "Token= and Username= or Password= exclude each other");
        if (keys->password && !keys->username)
                return type_setup_refuse(setup, "Password", "Password= needs Username=");
        if (keys->key && !keys->certificate)
                return type_setup_refuse(setup, "Key", "Key= needs Certificate=");
        return 0;
}

int http_keys_get_host(const HttpKeys *keys, char **ret) {
        uint16_t port;
        bool tls;

        if (keys->socket_path || !keys->target)
                return 0;
        return http_url_get_server(keys->target, ret, &port, &tls);
}

void http_keys_apply(const HttpKeys *keys, HttpRequestSettings *settings) {
        settings->url = keys->target;
        settings->headers = keys->headers;
        settings->username = keys->username;
        settings->password = keys->password;
        settings->token = keys->token;
        settings->socket_path = keys->socket_path;
        settings->ca_file = keys->ca_file;
        settings->certificate = keys->certificate;
        settings->key = keys->key;
        settings->version = keys->version;
        settings->persistent = keys->connection == CONNECTION_PERSISTENT;
        settings->redirects_max = keys->follow_redirects;
        settings->headers_max = HEADERS_MAX;
}

void http_keys_done(HttpKeys *keys) {
        curl_url_cleanup(keys->target);
        for (size_t i = 0; keys->headers && keys->headers[i]; i++)
                explicit_bzero(keys->headers[i], strlen(keys->headers[i]));
        string_list_free(keys->headers);
        string_free_secret(keys->url);
        string_free_secret(keys->password);
        string_free_secret(keys->token);
        free(keys->username);
        free(keys->socket_path);
        free(keys->ca_file);
        free(keys->certificate);
        free(keys->key);
}
