/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Type=webhook: POSTs JSON, as we write it or by a template, signed if there is a secret. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "alert/http-post.h"
#include "alert/template.h"
#include "base/cleanup.h"
#include "base/file-util.h"
#include "io/libcrypto.h"

#define TEMPLATE_MAX     ((size_t) 64 * 1024)
#define SIGNATURE_HEADER "X-Healthd-Signature-256"

typedef struct WebhookAlert {
        HttpKeys http;
        char *template_path;
        char *secret;
        char *signature_header;

        char *template_text; /* prepared; NULL: our own JSON */
        HttpPost post;
} WebhookAlert;

static const ConfigKey webhook_keys[] = {
        /* Found before that of HTTP_KEYS: whoever knows the URL of a chat's webhook can post. */
        { "URL", config_parse_string, offsetof(WebhookAlert, http.url),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        HTTP_KEYS(WebhookAlert, http),
        { "Template", config_parse_path, offsetof(WebhookAlert, template_path) },
        { "Secret", config_parse_string, offsetof(WebhookAlert, secret),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "SignatureHeader", config_parse_string, offsetof(WebhookAlert, signature_header) },
        {},
};

static int webhook_read_template(WebhookAlert *webhook, TypeSetup *setup) {
        _cleanup_free_ char *text = malloc(TEMPLATE_MAX + 2), *why = NULL;
        struct stat status;
        int length, r;

        if (!text)
                return -ENOMEM;
        /* What is no file may block who opens it. */
        if (stat(webhook->template_path, &status) < 0)
                return type_setup_refuse(setup, "Template", "Template=%s cannot be read: %s",
                                         webhook->template_path, strerrordesc_np(errno));
        if (!S_ISREG(status.st_mode))
                return type_setup_refuse(setup, "Template", "Template=%s is no regular file",
                                         webhook->template_path);
        length = file_read_small(webhook->template_path, text, TEMPLATE_MAX + 2);
        if (length < 0)
                return type_setup_refuse(setup, "Template", "Template=%s cannot be read: %s",
                                         webhook->template_path, strerrordesc_np(-length));
        if ((size_t) length > TEMPLATE_MAX)
                return type_setup_refuse(setup, "Template",
                                         "Template=%s is larger than 64 KiB; messages are short",
                                         webhook->template_path);
        if (strlen(text) != (size_t) length)
                return type_setup_refuse(setup, "Template",
                                         "Template=%s contains a NUL byte; it must be text",
                                         webhook->template_path);
        r = template_check(text, &why);
        if (r == -EINVAL)
                return type_setup_refuse(setup, "Template", "Template=%s, %s",
                                         webhook->template_path, why);
        if (r >= 0)
                webhook->template_text = TAKE_PTR(text);
        return r;
}

static int webhook_prepare(void *instance, TypeSetup *setup) {
        WebhookAlert *webhook = instance;
        int r;

        r = http_keys_prepare(&webhook->http, "https://hooks.example.com/healthd", setup);
        if (r < 0)
                return r;
        if (webhook->http.connection == CONNECTION_PERSISTENT)
                return type_setup_refuse(setup, "Connection",
                                         "Connection=persistent is for checks; messages are too "
                                         "rare to keep a connection");
        if (webhook->signature_header && !webhook->secret)
                return type_setup_refuse(setup, "SignatureHeader",
                                         "SignatureHeader= needs Secret=");
        if (webhook->signature_header && strpbrk(webhook->signature_header, ": \t"))
                return type_setup_refuse(setup, "SignatureHeader",
                                         "SignatureHeader= is the name of a header alone, such "
                                         "as X-Hub-Signature-256");
        return webhook->template_path ? webhook_read_template(webhook, setup) : 0;
}

/* "X-Healthd-Signature-256: sha256=6e3b..." over exactly the bytes that are sent. */
static int webhook_sign(const WebhookAlert *webhook, const char *body, size_t length,
                        char **ret_header) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
        unsigned size = 0;

        if (!HMAC(EVP_sha256(), webhook->secret, (int) strlen(webhook->secret),
                  (const unsigned char *) body, length, digest, &size))
                return -ENOMEM;
        for (unsigned i = 0; i < size; i++)
                (void) snprintf(hex + 2 * (size_t) i, 3, "%02x", digest[i]);
        return string_printf(ret_header, "%s: sha256=%s",
                             webhook->signature_header ? webhook->signature_header
                                                       : SIGNATURE_HEADER,
                             hex);
}

static int webhook_start(void *instance, Runtime *runtime, const AlertMessage *message,
                         AlertHandler on_done, void *userdata, char **ret_why) {
        _cleanup_free_ char *body = NULL, *header = NULL;
        WebhookAlert *webhook = instance;
        size_t length;
        int r;

        (void) ret_why;
        r = webhook->template_text
                            ? template_render(webhook->template_text, message, &body, &length)
                            : alert_message_render(message, &body, &length);
        if (r >= 0 && webhook->secret)
                r = webhook_sign(webhook, body, length, &header);
        if (r >= 0)
                r = http_post_start(&webhook->post, &webhook->http, runtime, body, header, on_done,
                                    userdata);
        if (r >= 0)
                TAKE_PTR(body);
        return r;
}

static char *webhook_cancel(void *instance) {
        WebhookAlert *webhook = instance;

        return http_post_cancel(&webhook->post);
}

static void webhook_done(void *instance) {
        WebhookAlert *webhook = instance;

        http_keys_done(&webhook->http);
        free(webhook->template_path);
        free(webhook->template_text);
        free(webhook->signature_header);
        string_free_secret(webhook->secret);
}

const AlertType webhook_alert = {
        .name = "webhook",
        .section = "Webhook",
        .instance_size = sizeof(WebhookAlert),
        .keys = webhook_keys,
        .prepare = webhook_prepare,
        .start = webhook_start,
        .cancel = webhook_cancel,
        .done = webhook_done,
};
