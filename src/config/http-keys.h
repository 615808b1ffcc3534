/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keys of every type of check or alert that asks an HTTP server: whom, as whom, and how. */

#include "config/config-type.h"
#include "io/http-request.h"
#include "io/libcurl.h"

/* Embedded in the instance. Everything is owned, and what is secret is overwritten at the end. */
typedef struct HttpKeys {
        char *url;
        StringList headers;
        char *username, *password, *token;
        char *socket_path;
        char *ca_file, *certificate, *key;
        unsigned follow_redirects;
        HttpVersion version;
        ConnectionMode connection;

        CURLU *target; /* prepared: URL= without user information */
} HttpKeys;

extern const ConfigRange http_redirects_range;
extern const char *const http_version_words[];

/* field: StringList of "Name: value". */
int http_parse_header(const ConfigKey *key, const char *value, void *field, char **ret_why);

/* The rows of a key table whose instance has the HttpKeys as a member. */
#define HTTP_KEYS(type, member)                                                                    \
        { "URL", config_parse_string, offsetof(type, member.url) },                                \
                        { "Header", http_parse_header, offsetof(type, member.headers),             \
                          .flags = CONFIG_LIST | CONFIG_SECRET | CONFIG_PARTLY |                   \
                                   CONFIG_CREDENTIAL },                                            \
                        { "Username", config_parse_string, offsetof(type, member.username),        \
                          .flags = CONFIG_CREDENTIAL },                                            \
                        { "Password", config_parse_string, offsetof(type, member.password),        \
                          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },                            \
                        { "Token", config_parse_string, offsetof(type, member.token),              \
                          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },                            \
                        { "FollowRedirects", config_parse_unsigned,                                \
                          offsetof(type, member.follow_redirects),                                 \
                          .data = &http_redirects_range },                                         \
                        { "Socket", config_parse_path, offsetof(type, member.socket_path) },       \
                        { "CAFile", config_parse_path, offsetof(type, member.ca_file) },           \
                        { "Certificate", config_parse_path, offsetof(type, member.certificate) },  \
                        { "Key", config_parse_path, offsetof(type, member.key) },                  \
                        { "HTTPVersion", config_parse_word_of, offsetof(type, member.version),     \
                          .data = http_version_words },                                            \
        {                                                                                          \
                "Connection", config_parse_word_of, offsetof(type, member.connection),             \
                                .data = connection_mode_words                                      \
        }

/**
 * http_keys_prepare() - Checks the keys together, and takes user information out of the URL.
 * @example: a URL to be proposed where none is given
 *
 * Return: 0, or -EINVAL or -ENOMEM as prepare() does.
 */
int http_keys_prepare(HttpKeys *keys, const char *example, TypeSetup *setup);

/* As ProbeType.get_host(). */
int http_keys_get_host(const HttpKeys *keys, char **ret);

/* Sets what the keys say about a request, borrowed from them; the rest stays as it is. */
void http_keys_apply(const HttpKeys *keys, HttpRequestSettings *settings);

/* Accepts half-prepared keys. */
void http_keys_done(HttpKeys *keys);
