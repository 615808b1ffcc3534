/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "alert/template.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json-writer.h"
#include "base/string-util.h"
#include "base/time-util.h"

#define NAME_MAX_SHOWN 32

typedef enum Variable {
        VARIABLE_ACTION, /* as PagerDuty calls it: trigger, resolve */
        VARIABLE_ALERT,
        VARIABLE_CHECK,
        VARIABLE_DESCRIPTION,
        VARIABLE_GROUPS,
        VARIABLE_HOST,
        VARIABLE_ID,
        VARIABLE_REASON,
        VARIABLE_SEVERITY, /* critical, warning, info */
        VARIABLE_SINCE,
        VARIABLE_STATE, /* firing, resolved */
        VARIABLE_STATUS,
        VARIABLE_SUBJECT,
        VARIABLE_TEXT,
        VARIABLE_TIME,
        VARIABLE_TYPE,
        _VARIABLE_MAX,
} Variable;

/* string_nearest() wants the NULL at the end. */
static const char *const variable_names[_VARIABLE_MAX + 1] = {
        [VARIABLE_ACTION] = "action",
        [VARIABLE_ALERT] = "alert",
        [VARIABLE_CHECK] = "check",
        [VARIABLE_DESCRIPTION] = "description",
        [VARIABLE_GROUPS] = "groups",
        [VARIABLE_HOST] = "host",
        [VARIABLE_ID] = "id",
        [VARIABLE_REASON] = "reason",
        [VARIABLE_SEVERITY] = "severity",
        [VARIABLE_SINCE] = "since",
        [VARIABLE_STATE] = "state",
        [VARIABLE_STATUS] = "status",
        [VARIABLE_SUBJECT] = "subject",
        [VARIABLE_TEXT] = "text",
        [VARIABLE_TIME] = "time",
        [VARIABLE_TYPE] = "type",
};

/* The variable of a name that is no text of its own; _VARIABLE_MAX if there is none. */
static Variable variable_find(const char *name, size_t length) {
        Variable variable = 0;

        while (variable < _VARIABLE_MAX && (strlen(variable_names[variable]) != length ||
                                            strncmp(variable_names[variable], name, length) != 0))
                variable++;
        return variable;
}

static int refuse_name(const char *name, size_t length, unsigned line, char **ret_why) {
        char shown[NAME_MAX_SHOWN + 1];
        const char *nearest;
        int r;

        (void) snprintf(shown, sizeof(shown), "%.*s",
                        (int) (length < NAME_MAX_SHOWN ? length : NAME_MAX_SHOWN), name);
        string_make_printable(shown);
        nearest = string_nearest(shown, variable_names);
        r = string_printf(ret_why,
                          "line %u: ${%s} is not known%s%s%s; write $$ for a \"$\" that stands for "
                          "itself",
                          line, shown, nearest ? "; did you mean ${" : "", nearest ? nearest : "",
                          nearest ? "}?" : "");
        return r < 0 ? r : -EINVAL;
}

int template_check(const char *text, char **ret_why) {
        unsigned line = 1;

        for (; *text; text++) {
                const char *end;
                int r;

                line += *text == '\n';
                if (*text != '$')
                        continue;
                text++;
                if (*text == '$')
                        continue;
                end = *text == '{' ? strchr(text, '}') : NULL;
                if (!end) {
                        r = string_printf(ret_why,
                                          "line %u: after \"$\" stands neither {name} nor another "
                                          "\"$\"; write $$ for one that stands for itself",
                                          line);
                        return r < 0 ? r : -EINVAL;
                }
                text++;
                if (variable_find(text, (size_t) (end - text)) == _VARIABLE_MAX)
                        return refuse_name(text, (size_t) (end - text), line, ret_why);
                text = end;
        }
        return 0;
}

/* "2026-01-02T03:04:05Z" */
static const char *time_format(uint64_t realtime_usec, char *buffer, size_t size) {
        time_t seconds = (time_t) (realtime_usec / USEC_PER_SEC);
        struct tm tm;

        if (!gmtime_r(&seconds, &tm) || strftime(buffer, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                *buffer = '\0';
        return buffer;
}

static const char *event_severity(const AlertEvent *event) {
        if (event->resolved)
                return "info";
        return event->required ? "critical" : "warning";
}

static const char *variable_value(Variable variable, const AlertMessage *message, char *buffer,
                                  size_t size) {
        const AlertEvent *event = &message->events[0];

        switch (variable) {
        case VARIABLE_ACTION:
                return event->resolved ? "resolve" : "trigger";
        case VARIABLE_ALERT:
                return message->alert;
        case VARIABLE_CHECK:
                return event->check;
        case VARIABLE_DESCRIPTION:
                return event->description;
        case VARIABLE_GROUPS:
                return event->groups;
        case VARIABLE_HOST:
                return message->host;
        case VARIABLE_ID:
                return event->id;
        case VARIABLE_REASON:
                return event->reason;
        case VARIABLE_SEVERITY:
                return event_severity(event);
        case VARIABLE_SINCE:
                return time_format(event->begin_usec, buffer, size);
        case VARIABLE_STATE:
                return event->resolved ? "resolved" : "firing";
        case VARIABLE_STATUS:
                return event->status;
        case VARIABLE_SUBJECT:
                return message->subject;
        case VARIABLE_TEXT:
                return message->text;
        case VARIABLE_TIME:
                return time_format(message->created_usec, buffer, size);
        case VARIABLE_TYPE:
                return event->type;
        case _VARIABLE_MAX:
                return "";
        }
        return "";
}

/* As the JSON writer has it, without its quotes. */
static void add_escaped(TextBuffer *out, const char *value) {
        _cleanup_(json_writer_done) JsonWriter json = {};
        _cleanup_free_ char *text = NULL;
        size_t length;

        json_add_string(&json, NULL, value);
        if (json_writer_finish(&json, &text, &length) < 0)
                out->failed = true;
        else
                text_buffer_add(out, text + 1, length - 2);
}

int template_render(const char *text, const AlertMessage *message, char **ret_text,
                    size_t *ret_length) {
        _cleanup_(text_buffer_done) TextBuffer out = {};
        char buffer[32];

        while (*text) {
                size_t plain = strcspn(text, "$"), length;

                text_buffer_add(&out, text, plain);
                text += plain;
                if (!*text)
                        break;
                if (text[1] == '$') {
                        text_buffer_add(&out, "$", 1);
                        text += 2;
                        continue;
                }
                text += 2;
                length = strcspn(text, "}");
                add_escaped(&out, variable_value(variable_find(text, length), message, buffer,
                                                 sizeof(buffer)));
                text += length + 1;
        }
        return text_buffer_finish(&out, ret_text, ret_length);
}
