/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a probe hands back: named details, how long it took, and an error if it failed. It says
 * what was measured, never whether that is good.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/prefetch.h"

typedef enum DetailType {
        DETAIL_NUMBER,
        DETAIL_STRING,
        DETAIL_BOOLEAN,
} DetailType;

typedef struct Detail {
        DetailType type;
        uint32_t name; /* of check/detail-names */
        union {
                double number;
                uint32_t string; /* offset into the sample's text */
                bool boolean;
        };
} Detail;

typedef enum SampleResult {
        SAMPLE_MEASURED,       /* the conditions decide */
        SAMPLE_FAILED,         /* the dependency failed: unhealthy */
        SAMPLE_DEGRADED,       /* the dependency itself says it is degraded (a plug-in's exit 1) */
        SAMPLE_UNHEALTHY,      /* it says it is unhealthy (exit 2): no matter for the breaker */
        SAMPLE_INTERNAL_ERROR, /* healthd itself could not carry the probe out: error */
} SampleResult;

/*
 * A sample that is used again has the same details in the same order nearly always. So it keeps
 * their names: the details from n_details up to n_names are no more than the names that were there
 * the time before.
 */
typedef struct Sample {
        SampleResult result;
        char *error; /* unless measured */
        Detail *details;
        size_t n_details, n_names, details_allocated;
        char *text; /* all strings, so that a sample is two allocations */
        size_t text_size, text_allocated;
        bool truncated; /* something did not fit: out of memory or over a limit */
        uint64_t duration_usec;
} Sample;

#define SAMPLE_DETAILS_MAX 256
#define SAMPLE_STRING_MAX  512

/* Empties it, keeps the memory and the names. */
void sample_reset(Sample *sample);
/* Adds what filling an empty one touches. */
void sample_add_needs(const Sample *sample, Needs *needs);
void sample_done(Sample *sample);

/*
 * Add a detail; one of the same name is replaced. Past SAMPLE_DETAILS_MAX or out of memory the
 * detail is left out and the sample marked truncated; strings are cut at SAMPLE_STRING_MAX bytes.
 */
void sample_add_number(Sample *sample, const char *name, double value);
void sample_add_string(Sample *sample, const char *name, const char *value);
void sample_add_boolean(Sample *sample, const char *name, bool value);

/* The dependency failed. The text names what was tried and the cause: "connecting to ...: ...". */
void sample_fail(Sample *sample, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* healthd itself could not probe: no memory, no descriptors, a missing plug-in. */
void sample_fail_internal(Sample *sample, const char *format, ...)
                __attribute__((format(printf, 2, 3)));
/* Any result but SAMPLE_MEASURED, with its reason. */
void sample_set_result(Sample *sample, SampleResult result, const char *format, ...)
                __attribute__((format(printf, 3, 4)));

const Detail *sample_find(const Sample *sample, const char *name);
const char *detail_name(const Detail *detail);
const char *detail_string(const Sample *sample, const Detail *detail);
