/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What healthctl makes of an answer, whoever gave it: nothing of it may steer a terminal. */

#include <cjson/cJSON.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "healthctl/json.h"
#include "healthctl/show.h"
#include "healthctl/status.h"

DEFINE_CLEANUP(cJSON, cJSON_Delete)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Renders what status and show would. Takes the answer over. */
static void render(Healthctl *ctl, cJSON *reply) {
        _cleanup_(cJSON_Deletep) cJSON *nothing = cJSON_CreateObject();
        _cleanup_(host_view_done) HostView view = {};

        json_make_printable(reply, &ctl->terminal);
        if (host_view_parse(ctl, reply, NULL, &view) < 0)
                return;
        (void) status_print(ctl, &ctl->terminal, &view, true);
        (void) status_print(ctl, &ctl->terminal, &view, false);
        for (size_t i = 0; i < view.n_checks; i++) {
                (void) show_print(ctl, &view.checks[i], nothing, view.now);
                (void) show_print(ctl, &view.checks[i], view.checks[i].json, view.now);
        }
}

static void print(const uint8_t *data, size_t size, bool utf8, unsigned width, JsonMode mode) {
        _cleanup_(healthctl_done) Healthctl ctl = { .legend = true, .json = mode };
        cJSON *reply = cJSON_ParseWithLength((const char *) data, size);
        _cleanup_free_ char *text = NULL;
        size_t length = 0;

        if (!cJSON_IsObject(reply)) {
                cJSON_Delete(reply);
                return;
        }
        ctl.terminal = (Terminal){ .utf8 = utf8, .width = width, .height = width / 4 };
        ctl.terminal.out = open_memstream(&text, &length);
        if (!ctl.terminal.out)
                abort();
        if (mode == JSON_OFF) {
                render(&ctl, reply);
        } else {
                (void) json_print(&ctl, reply);
                cJSON_Delete(reply);
        }
        (void) fclose(ctl.terminal.out);
        for (size_t i = 0; i < length; i++) {
                unsigned char c = (unsigned char) text[i];

                if ((c < 0x20 && c != '\n') || c == 0x7f || (!utf8 && mode == JSON_OFF && c > 0x7f))
                        abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        (void) setlocale(LC_CTYPE, "C.UTF-8");
        print(data, size, true, 0, JSON_OFF);
        print(data, size, true, 80, JSON_OFF);
        print(data, size, false, 40, JSON_OFF);
        print(data, size, true, 0, JSON_PRETTY);
        return 0;
}
