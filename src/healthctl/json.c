/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "healthctl/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json-writer.h"

const char *json_text(const cJSON *object, const char *name) {
        const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

        return cJSON_IsString(member) ? member->valuestring : NULL;
}

double json_number(const cJSON *object, const char *name, double otherwise) {
        const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

        return cJSON_IsNumber(member) ? member->valuedouble : otherwise;
}

bool json_is_true(const cJSON *object, const char *name) {
        return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

Status json_status(const cJSON *object, const char *name) {
        const char *text = json_text(object, name);

        for (unsigned i = 0; i < _STATUS_MAX; i++)
                if (string_equal(text, status_to_string((Status) i)))
                        return (Status) i;
        return STATUS_UNKNOWN;
}

void json_make_printable(cJSON *item, const Terminal *terminal) {
        for (; item; item = item->next) {
                terminal_make_printable(terminal, item->string);
                terminal_make_printable(terminal, item->valuestring);
                json_make_printable(item->child, terminal);
        }
}

/* The shortest text that reads as the same number again. */
static void json_write_number(JsonWriter *json, const char *name, double number) {
        char text[32];

        for (int digits = 15; digits <= 17; digits++) {
                (void) snprintf(text, sizeof(text), "%.*g", digits, number);
                if (strtod(text, NULL) == number)
                        break;
        }
        json_add_literal(json, name, text);
}

static void json_write(JsonWriter *json, const char *name, const cJSON *item) {
        const cJSON *child;

        if (cJSON_IsObject(item)) {
                json_object_begin(json, name);
                cJSON_ArrayForEach(child, item) {
                        json_write(json, child->string, child);
                }
                json_object_end(json);
        } else if (cJSON_IsArray(item)) {
                json_array_begin(json, name);
                cJSON_ArrayForEach(child, item) {
                        json_write(json, NULL, child);
                }
                json_array_end(json);
        } else if (cJSON_IsString(item))
                json_add_string(json, name, item->valuestring);
        else if (cJSON_IsNumber(item))
                json_write_number(json, name, item->valuedouble);
        else if (cJSON_IsBool(item))
                json_add_boolean(json, name, cJSON_IsTrue(item));
        else
                json_add_null(json, name);
}

static void indent(FILE *out, unsigned depth) {
        (void) fprintf(out, "\n%*s", (int) depth * 4, "");
}

/* Lays JSON without white space out for people. */
static void print_pretty(FILE *out, const char *text) {
        bool quoted = false;
        unsigned depth = 0;

        for (const char *p = text; *p; p++) {
                bool opens = !quoted && (*p == '{' || *p == '[');
                bool closes = !quoted && (*p == '}' || *p == ']');

                if (*p == '"')
                        quoted = !quoted;
                if (closes && p[-1] != '{' && p[-1] != '[')
                        indent(out, depth - 1);
                (void) fputc(*p, out);
                if (quoted && *p == '\\')
                        (void) fputc(*++p, out);
                depth = depth + opens - closes;
                if (opens && p[1] != '}' && p[1] != ']')
                        indent(out, depth);
                if (!quoted && *p == ',')
                        indent(out, depth);
                if (!quoted && *p == ':')
                        (void) fputc(' ', out);
        }
}

int json_print(Healthctl *ctl, const cJSON *item) {
        _cleanup_(json_writer_done) JsonWriter json = {};
        _cleanup_free_ char *text = NULL;
        int r;

        json_write(&json, NULL, item);
        r = json_writer_finish(&json, &text, NULL);
        if (r < 0)
                return r;
        /* Its control characters are escaped; what is left are those that JSON lets through. */
        string_make_printable(text);
        if (ctl->json == JSON_PRETTY)
                print_pretty(ctl->terminal.out, text);
        else
                (void) fputs(text, ctl->terminal.out);
        (void) fputc('\n', ctl->terminal.out);
        return 0;
}
