/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Programs that check something for us: a user's plug-in, our own helper programs. They write one
 * JSON object on their standard output and exit with 0:
 *
 *     {"status": "degraded", "message": "12 jobs wait", "details": {"queue_size": 12}}
 *
 * status: healthy (also if it is missing), degraded, unhealthy, unreachable (what is checked cannot
 * be talked to: unhealthy, and the breaker counts it) or error (the program could not find out).
 * message: for people; needed unless healthy. details: numbers, strings and booleans; null is left
 * out.
 */

#include "check/sample.h"
#include "io/child.h"

/* Of standard output: more is a plug-in gone wild. */
#define PLUGIN_OUTPUT_MAX ((size_t) 256 * 1024)

/*
 * Whether the program at path ended by itself, with all of its output in the result; else the
 * sample is failed (internally) with an explanation.
 */
bool plugin_check_end(const ChildResult *result, const char *path, Sample *sample);

/* The same, for an exit status that says nothing about what is checked: 126, 127 and others. */
void plugin_fail_exit(const ChildResult *result, const char *path, Sample *sample);

/* Fills the sample from the JSON that the program at path has written, or fails it. */
void plugin_read_json(const ChildResult *result, const char *path, Sample *sample);
