/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is POSTed: "/control/VERB" in the first line, the body behind it. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "publish/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a handler relies on. */
static bool is_complete(const ControlRequest *request) {
        switch (request->verb) {
        case CONTROL_SILENCE:
                return request->check && request->reason && request->duration_usec > 0;
        case CONTROL_UNSILENCE:
                return !request->check != (request->id == 0);
        case CONTROL_RESET_BREAKER:
        case CONTROL_RUN:
                return request->check;
        case CONTROL_BEAT:
                return request->check &&
                       (request->beat == BEAT_FINISH || request->exit_status == 0);
        case CONTROL_ALERT_TEST:
                return request->alert;
        case CONTROL_RELOAD:
                return true;
        case _CONTROL_MAX:
                return false;
        }
        return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *) data, *line_end = memchr(text, '\n', size);
        _cleanup_(control_request_done) ControlRequest request = {};
        _cleanup_free_ char *path = NULL, *why = NULL;
        ControlReply reply = {};
        ControlVerb verb;

        if (!line_end)
                return 0;
        path = strndup(text, (size_t) (line_end - text));
        if (!path || control_find_verb(path, &verb) < 0)
                return 0;
        if (control_parse(verb, line_end + 1, size - (size_t) (line_end + 1 - text), &request,
                          &why) >= 0) {
                if (request.verb != verb || !is_complete(&request))
                        abort();
                return 0;
        }
        /* It is answered with the reason. */
        if (!why || control_reply_say(&reply, 400, "%s", why) < 0)
                abort();
        free(reply.text);
        return 0;
}
