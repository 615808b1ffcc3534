/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Type=email: by SMTP with libcurl. A message goes out encrypted unless the server is local. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "alert/alert.h"
#include "alert/email-text.h"
#include "base/cleanup.h"
#include "io/curl-glue.h"

typedef enum StartTls {
        START_TLS_AUTO, /* required, unless the server is on this host */
        START_TLS_REQUIRED,
        START_TLS_NO,
} StartTls;

static const char *const start_tls_words[] = { "auto", "required", "no", NULL };

typedef struct EmailAlert {
        char *url;
        char *from;
        StringList to;
        char *username, *password;
        char *ca_file;
        StartTls start_tls;

        char *host; /* prepared, without brackets */
        uint16_t port;
        bool implicit_tls;
        bool uses_tls;

        Runtime *runtime;
        CurlTransfer transfer;
        ResolverQuery *query;
        ResolverAnswer answer;
        size_t next_address;
        char *text; /* headers and body */
        size_t length, sent;
        struct curl_slist *recipients;
        AlertHandler on_done;
        void *userdata;
} EmailAlert;

static const ConfigKey email_keys[] = {
        { "URL", config_parse_string, offsetof(EmailAlert, url) },
        { "From", config_parse_string, offsetof(EmailAlert, from) },
        { "To", config_parse_words, offsetof(EmailAlert, to) },
        { "Username", config_parse_string, offsetof(EmailAlert, username),
          .flags = CONFIG_CREDENTIAL },
        { "Password", config_parse_string, offsetof(EmailAlert, password),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "CAFile", config_parse_path, offsetof(EmailAlert, ca_file) },
        { "StartTLS", config_parse_word_of, offsetof(EmailAlert, start_tls), start_tls_words },
        {},
};

/* ---- configuration ---- */

static bool host_is_local(const char *host) {
        return string_equal(host, "localhost") || string_after_prefix(host, "127.") ||
               string_equal(host, "::1");
}

static int email_read_url(EmailAlert *email, CURLU *url) {
        _cleanup_free_ char *copy = NULL;
        char *host = NULL, *port = NULL;
        CURLUcode code;
        size_t length;
        int r = 0;

        code = curl_url_set(url, CURLUPART_URL, email->url, CURLU_NON_SUPPORT_SCHEME);
        if (code == CURLUE_OK)
                code = curl_url_get(url, CURLUPART_HOST, &host, 0);
        if (code != CURLUE_OK)
                return code == CURLUE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
        length = strlen(host);
        email->host = *host == '[' ? strndup(host + 1, length - 2) : strdup(host);
        curl_free(host);
        if (!email->host)
                return -ENOMEM;
        if (curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_OK)
                email->port = (uint16_t) strtoul(port, NULL, 10);
        else
                email->port = email->implicit_tls ? 465 : 587;
        curl_free(port);
        if (!curl_url_get(url, CURLUPART_USER, &copy, 0)) {
                curl_free(TAKE_PTR(copy));
                r = -EINVAL;
        }
        return r;
}

static int email_prepare_url(EmailAlert *email, TypeSetup *setup) {
        CURLU *url;
        int r = -EINVAL;

        if (!email->url)
                return type_setup_refuse(setup, NULL,
                                         "URL= is missing in [Email]; write for example "
                                         "URL=smtp://mail.example.com:587");
        email->implicit_tls = string_after_prefix(email->url, "smtps://") != NULL;
        url = curl_url();
        if (!url)
                return -ENOMEM;
        if (email->implicit_tls || string_after_prefix(email->url, "smtp://"))
                r = email_read_url(email, url);
        curl_url_cleanup(url);
        if (r == -EINVAL)
                return type_setup_refuse(setup, "URL",
                                         "URL= must be smtp://HOST:PORT or smtps://HOST:PORT; user "
                                         "and password are said by Username= and Password=");
        return r;
}

static int email_prepare_addresses(const EmailAlert *email, TypeSetup *setup) {
        if (!email->from || !email_address_is_valid(email->from))
                return type_setup_refuse(setup, "From",
                                         "From= must be the address that sends, such as "
                                         "healthd@example.com");
        if (!email->to)
                return type_setup_refuse(setup, "To",
                                         "To= is missing in [Email]; write one address or more, "
                                         "separated by blanks");
        for (size_t i = 0; email->to[i]; i++)
                if (!email_address_is_valid(email->to[i]))
                        return type_setup_refuse(setup, "To",
                                                 "To= has \"%s\", which is no plain address such "
                                                 "as ops@example.com",
                                                 email->to[i]);
        return 0;
}

static int email_prepare(void *instance, TypeSetup *setup) {
        EmailAlert *email = instance;
        int r;

        r = email_prepare_url(email, setup);
        if (r >= 0)
                r = email_prepare_addresses(email, setup);
        if (r < 0)
                return r;
        if (email->start_tls == START_TLS_AUTO)
                email->start_tls = host_is_local(email->host) ? START_TLS_NO : START_TLS_REQUIRED;
        email->uses_tls = email->implicit_tls || email->start_tls == START_TLS_REQUIRED;
        if (!email->username != !email->password)
                return type_setup_refuse(setup, email->username ? "Username" : "Password",
                                         "Username= and Password= need each other");
        if (email->password && !email->uses_tls)
                return type_setup_refuse(setup, "Password",
                                         "Password= would be sent for all to read; set "
                                         "StartTLS=required, or use smtps://");
        return 0;
}

/* ---- sending ---- */

static void email_clear(EmailAlert *email) {
        email->query = resolver_query_cancel(email->query);
        curl_transfer_done(&email->transfer);
        curl_slist_free_all(email->recipients);
        email->recipients = NULL;
        free(TAKE_PTR(email->text));
}

static void email_finish(EmailAlert *email, bool delivered, const char *detail) {
        _cleanup_free_ char *text = NULL;

        (void) string_printf(&text, "%s:%u: %s", email->host, email->port, detail);
        email_clear(email);
        email->on_done(delivered, text ? text : "out of memory", email->userdata);
}

static size_t email_read(char *buffer, size_t size, size_t n, void *userdata) {
        EmailAlert *email = userdata;
        size_t left = email->length - email->sent, taken = size * n < left ? size * n : left;

        memcpy(buffer, email->text + email->sent, taken);
        email->sent += taken;
        return taken;
}

static int email_try_address(EmailAlert *email);

static void email_on_sent(CurlTransfer *transfer, CURLcode result, void *userdata) {
        _cleanup_free_ char *why = NULL;
        EmailAlert *email = userdata;

        if (result == CURLE_OK) {
                email_finish(email, true, "the server took the message");
                return;
        }
        if (result == CURLE_COULDNT_CONNECT && email->next_address < email->answer.n_addresses &&
            email_try_address(email) >= 0)
                return;
        (void) string_printf(&why, "%s%s", curl_transfer_strerror(transfer, result),
                             result == CURLE_USE_SSL_FAILED
                                             ? " (the server offers no STARTTLS: StartTLS=no would "
                                               "send the message for all to read)"
                                             : "");
        email_finish(email, false, why ? why : "out of memory");
}

static int email_set_options(EmailAlert *email) {
        CURL *easy = email->transfer.easy;
        const CurlTextOption texts[] = {
                { CURLOPT_URL, email->url },
                { CURLOPT_MAIL_FROM, email->from },
                { CURLOPT_USERNAME, email->username },
                { CURLOPT_PASSWORD, email->password },
        };
        int r;

        if (curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps") != CURLE_OK)
                return -ENOMEM;
        r = curl_transfer_set_texts(&email->transfer, texts, ELEMENTS(texts));
        if (r >= 0 && email->ca_file)
                r = curl_transfer_set_ca_file(&email->transfer, email->ca_file);
        if (r < 0)
                return r;
        if (email->start_tls == START_TLS_REQUIRED && !email->implicit_tls)
                curl_easy_setopt(easy, CURLOPT_USE_SSL, (long) CURLUSESSL_ALL);
        curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, email->recipients);
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, email_read);
        curl_easy_setopt(easy, CURLOPT_READDATA, email);
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
        return 0;
}

static int email_try_address(EmailAlert *email) {
        const ResolvedAddress *address = &email->answer.addresses[email->next_address++];
        CurlGlue *glue;
        int r;

        email->sent = 0;
        r = runtime_curl(email->runtime, &glue);
        if (r >= 0)
                r = curl_transfer_prepare(&email->transfer);
        if (r >= 0)
                r = email_set_options(email);
        if (r >= 0)
                r = curl_transfer_set_address(&email->transfer, address, email->port);
        return r < 0 ? r : curl_transfer_start(&email->transfer, glue, email_on_sent, email);
}

static void email_on_resolved(const ResolverAnswer *answer, void *userdata) {
        EmailAlert *email = userdata;
        int r;

        email->query = NULL;
        if (answer->error) {
                email_finish(email, false, answer->error);
                return;
        }
        email->answer = *answer;
        r = email_try_address(email);
        if (r < 0)
                email_finish(email, false, strerrordesc_np(-r));
}

static int email_begin(EmailAlert *email, const AlertMessage *message) {
        int r;

        r = email_text_render(message, email->from, email->to, &email->text, &email->length);
        if (r < 0)
                return r;
        for (size_t i = 0; email->to[i]; i++) {
                struct curl_slist *grown = curl_slist_append(email->recipients, email->to[i]);

                if (!grown)
                        return -ENOMEM;
                email->recipients = grown;
        }
        email->next_address = 0;
        return resolver_query(email->runtime->resolver, email->host, email_on_resolved, email,
                              &email->query);
}

static int email_start(void *instance, Runtime *runtime, const AlertMessage *message,
                       AlertHandler on_done, void *userdata, char **ret_why) {
        EmailAlert *email = instance;
        int r;

        (void) ret_why;
        email->runtime = runtime;
        email->on_done = on_done;
        email->userdata = userdata;
        r = email_begin(email, message);
        if (r < 0)
                email_clear(email);
        return r;
}

static char *email_cancel(void *instance) {
        EmailAlert *email = instance;
        char *text = NULL;

        (void) string_printf(&text, "%s:%u: %s", email->host, email->port,
                             email->query      ? "no answer of the name server"
                             : email->sent > 0 ? "the message was sent and not confirmed"
                                               : "no answer of the mail server");
        email_clear(email);
        return text;
}

static void email_done(void *instance) {
        EmailAlert *email = instance;

        free(email->url);
        free(email->from);
        string_list_free(email->to);
        free(email->username);
        string_free_secret(email->password);
        free(email->ca_file);
        free(email->host);
}

const AlertType email_alert = {
        .name = "email",
        .section = "Email",
        .instance_size = sizeof(EmailAlert),
        .keys = email_keys,
        .prepare = email_prepare,
        .start = email_start,
        .cancel = email_cancel,
        .done = email_done,
};
