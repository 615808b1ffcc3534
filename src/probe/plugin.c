/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/plugin.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"

/* The first line of what it said on standard error, with ": " before it; "" if it said nothing. */
static void complaint_format(const ChildResult *result, char *buffer, size_t size) {
        const char *text = result->errors + strspn(result->errors, " \t\r\n");
        size_t length = strcspn(text, "\n");

        (void) snprintf(buffer, size, "%s%.*s", length > 0 ? ": " : "", (int) length, text);
}

static const char *explain_start(int error) {
        switch (error) {
        case -ENOENT:
                return "the interpreter that its first line (#!) names is not there";
        case -ENOEXEC:
                return "it is neither a program of this machine nor a script whose first line "
                       "names its interpreter (#!/bin/sh)";
        case -EMFILE:
        case -ENFILE:
                return "too many files are open; raise LimitNOFILE= (systemctl edit healthd)";
        case -EAGAIN:
        case -ENOMEM:
                return "too many processes run, or memory is short; see TasksMax= and MemoryMax= "
                       "of the unit";
        default:
                return strerrordesc_np(-error);
        }
}

bool plugin_check_end(const ChildResult *result, const char *path, Sample *sample) {
        char complaint[CHILD_ERRORS_MAX + 3];

        if (result->refusal) {
                sample_fail_internal(sample, "%s", result->refusal);
                return false;
        }
        if (result->error < 0) {
                sample_fail_internal(sample, "%s could not be started: %s", path,
                                     explain_start(result->error));
                return false;
        }
        complaint_format(result, complaint, sizeof(complaint));
        if (result->output_endless)
                sample_fail_internal(sample,
                                     "%s was killed: it wrote more than %zu MiB; a plug-in writes "
                                     "some lines",
                                     path, CHILD_DROPPED_MAX / 1024 / 1024);
        else if (result->signal == SIGKILL)
                sample_fail_internal(sample,
                                     "%s was killed by somebody else (SIGKILL); if memory was "
                                     "short, \"journalctl -k\" says so%s",
                                     path, complaint);
        else if (result->signal > 0)
                sample_fail_internal(sample, "%s crashed: it was ended by SIG%s (%s)%s", path,
                                     sigabbrev_np(result->signal) ?: "?",
                                     sigdescr_np(result->signal) ?: "unknown", complaint);
        else if (result->output_truncated)
                sample_fail_internal(sample,
                                     "%s wrote more than %zu KiB, which is not read; have it say "
                                     "less (fewer -v)",
                                     path, PLUGIN_OUTPUT_MAX / 1024);
        else
                return true;
        return false;
}

void plugin_fail_exit(const ChildResult *result, const char *path, Sample *sample) {
        char complaint[CHILD_ERRORS_MAX + 3];
        const char *meaning = "";

        complaint_format(result, complaint, sizeof(complaint));
        if (result->exit_status == 127)
                meaning = " (a command or library it needs was not found; of healthd's "
                          "environment it is given nothing, PATH is the usual one)";
        else if (result->exit_status == 126)
                meaning = " (a command it needs could not be run)";
        sample_fail_internal(sample, "%s exited with status %d%s%s", path, result->exit_status,
                             meaning, complaint);
}

/* The whole output as one object, or NULL; *ret_end is where it was not understood. */
static cJSON *object_parse(const char *text, size_t length, size_t *ret_end) {
        const char *end = text;
        cJSON *root = cJSON_ParseWithLengthOpts(text, length, &end, false);

        while (root && end < text + length && isspace((unsigned char) *end))
                end++;
        *ret_end = (size_t) (end - text);
        if (cJSON_IsObject(root) && end == text + length)
                return root;
        cJSON_Delete(root);
        return NULL;
}

/* Returns false if it is nothing that a detail can be. */
static bool detail_add(const cJSON *item, Sample *sample) {
        if (cJSON_IsNumber(item) && isfinite(item->valuedouble))
                sample_add_number(sample, item->string, item->valuedouble);
        else if (cJSON_IsString(item))
                sample_add_string(sample, item->string, item->valuestring);
        else if (cJSON_IsBool(item))
                sample_add_boolean(sample, item->string, cJSON_IsTrue(item));
        else
                return cJSON_IsNull(item);
        return true;
}

static bool details_add(const cJSON *details, const char *path, Sample *sample) {
        const cJSON *item;

        if (details && !cJSON_IsObject(details)) {
                sample_fail_internal(sample, "%s: \"details\" is no object: {\"name\": 1}", path);
                return false;
        }
        cJSON_ArrayForEach(item, details) {
                if (detail_add(item, sample))
                        continue;
                sample_fail_internal(sample,
                                     "%s: the detail \"%.64s\" is none of number, string, true and "
                                     "false",
                                     path, item->string);
                return false;
        }
        return true;
}

static void verdict_apply(const cJSON *status, const char *message, const char *path,
                          Sample *sample) {
        static const struct {
                const char *word;
                SampleResult result;
        } verdicts[] = {
                { "healthy", SAMPLE_MEASURED },     { "degraded", SAMPLE_DEGRADED },
                { "unhealthy", SAMPLE_UNHEALTHY },  { "unreachable", SAMPLE_FAILED },
                { "error", SAMPLE_INTERNAL_ERROR },
        };
        const char *word = status ? cJSON_GetStringValue(status) : "healthy";

        for (size_t i = 0; word && i < ELEMENTS(verdicts); i++) {
                if (!string_equal(word, verdicts[i].word))
                        continue;
                if (verdicts[i].result != SAMPLE_MEASURED)
                        sample_set_result(sample, verdicts[i].result, "%s%s",
                                          message ? "" : "the plug-in says no more than ",
                                          message ? message : word);
                return;
        }
        sample_fail_internal(sample,
                             "%s: \"status\" is none of healthy, degraded, unhealthy, unreachable "
                             "and error",
                             path);
}

static void object_read(const cJSON *root, const char *path, Sample *sample) {
        const char *message = cJSON_GetStringValue(
                        cJSON_GetObjectItemCaseSensitive(root, "message"));

        if (!details_add(cJSON_GetObjectItemCaseSensitive(root, "details"), path, sample))
                return;
        if (message)
                sample_add_string(sample, "message", message);
        verdict_apply(cJSON_GetObjectItemCaseSensitive(root, "status"), message, path, sample);
}

void plugin_read_json(const ChildResult *result, const char *path, Sample *sample) {
        size_t end;
        cJSON *root;

        if (!plugin_check_end(result, path, sample))
                return;
        if (result->exit_status != 0) {
                plugin_fail_exit(result, path, sample);
                return;
        }
        root = object_parse(result->output, result->output_length, &end);
        if (root)
                object_read(root, path, sample);
        else if (result->output_length == 0)
                sample_fail_internal(sample, "%s wrote nothing instead of a JSON object", path);
        else
                sample_fail_internal(sample,
                                     "%s did not write one JSON object: byte %zu of %zu cannot be "
                                     "understood",
                                     path, end + 1, result->output_length);
        cJSON_Delete(root);
}
