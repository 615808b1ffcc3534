/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "report/silences-json.h"

#include "base/cleanup.h"
#include "base/json-writer.h"

static void add_silence(JsonWriter *json, const Silence *silence) {
        json_object_begin(json, NULL);
        json_add_unsigned(json, "id", silence->id);
        json_add_string(json, "check", silence->pattern);
        json_add_string(json, "reason", silence->reason);
        json_add_string(json, "author", silence->author);
        json_add_seconds(json, "since", silence->created_usec);
        json_add_seconds(json, "until", silence->until_usec);
        json_object_end(json);
}

int silences_json_render(const SilenceTable *silences, uint64_t now_realtime_usec, char **ret_text,
                         size_t *ret_length) {
        _cleanup_(json_writer_done) JsonWriter json = {};

        json_object_begin(&json, NULL);
        json_add_seconds(&json, "timestamp", now_realtime_usec);
        json_array_begin(&json, "silences");
        for (size_t i = 0; silences && i < silences->n_items; i++)
                if (silences->items[i].until_usec > now_realtime_usec)
                        add_silence(&json, &silences->items[i]);
        json_array_end(&json);
        json_object_end(&json);
        return json_writer_finish(&json, ret_text, ret_length);
}
