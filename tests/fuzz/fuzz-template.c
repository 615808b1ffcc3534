/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A template, and values of outsiders in it: what passes the check renders, and stays JSON. */

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "alert/email-text.h"
#include "alert/template.h"
#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void render(const char *template, const AlertMessage *message, bool is_json) {
        _cleanup_free_ char *text = NULL;
        size_t length;
        cJSON *json;

        if (template_render(template, message, &text, &length) < 0)
                return;
        if (strlen(text) != length)
                abort();
        json = cJSON_Parse(text);
        if (is_json && !json)
                abort();
        cJSON_Delete(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size), *why = NULL, *mail = NULL;
        char *recipients[] = { (char *) "ops@example.com", NULL };
        AlertEvent event = {
                .id = "0123456789abcdef",
                .check = text,
                .type = text,
                .description = text,
                .groups = text,
                .status = text,
                .reason = text,
        };
        AlertMessage message = {
                .alert = "ops",
                .host = "host",
                .subject = text,
                .text = text,
                .events = &event,
                .n_events = 1,
        };

        if (!text)
                return 0;
        if (template_check(text, &why) >= 0)
                render(text, &message, false);
        else if (!why)
                abort();
        render("{\"a\":\"${subject}\",\"b\":[\"${text}${reason}\"],\"$$\":\"${check}\"}", &message,
               true);
        (void) email_address_is_valid(text);
        if (email_text_render(&message, "a@b", recipients, &mail, NULL) >= 0 &&
            !strstr(mail, "\r\n\r\n"))
                abort();
        return 0;
}
