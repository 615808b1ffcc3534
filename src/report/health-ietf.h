/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The current state as application/health+json, for readers who ask for it. Only reads. */

#include "report/health-json.h"

#define HEALTH_IETF_MEDIA_TYPE "application/health+json"

/*
 * The shape of draft-inadarei-api-health-check-06:
 *
 * {"status","releaseId","description","output",
 *  "checks":{"CHECK:MEASUREMENT":[
 *    {"componentId","componentType","observedValue","observedUnit","status","time","output"}]}}
 *
 * Without details, {"status"} alone. Every check has a "CHECK:responseTime" in ms, and one
 * measurement for each number it measured. A key has one colon, so a number that has one in its
 * name is one component of several: "disk_percent:/var" stands in the array of
 * "CHECK:disk_percent", with "/var" as its componentId; elsewhere that is the name of the check.
 * observedUnit is guessed from the name's ending, and left out where that says nothing.
 *
 * A status is that of the whole check, as are time (RFC 3339, UTC) and output (why it does not
 * pass; else left out): conditions judge checks, not numbers. What was not measured since the
 * start has neither observedValue nor time.
 *
 * healthy is pass, degraded is warn, all else is fail; but an optional check among others only
 * warns, so that the whole is the worst of what it shows, and fail always goes with a 503.
 *
 * The arguments are those of health_json_overall() and health_json_check(). Each returns 0 or
 * -ENOMEM.
 */
int health_ietf_overall(const HealthView *view, const char *group, bool details, uint64_t now_usec,
                        char **ret_text, size_t *ret_length);
int health_ietf_check(const HealthView *view, const Check *check, bool details, uint64_t now_usec,
                      char **ret_text, size_t *ret_length);
