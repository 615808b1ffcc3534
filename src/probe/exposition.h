/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a /metrics endpoint answers: the Prometheus text format 0.0.4 and OpenMetrics 1.0, read as
 * it comes. Only what somebody wants is read in full; of every other line only the name is looked
 * at. Knows no network and keeps nothing but the line it is in.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/string-util.h"

#define EXPOSITION_LINE_MAX   ((size_t) 64 * 1024)
#define EXPOSITION_LABELS_MAX 64

/* Nothing in it ends with NUL, and a value may be any bytes. */
typedef struct ExpositionLabel {
        const char *name, *value;
        size_t name_length, value_length;
} ExpositionLabel;

typedef struct ExpositionSample {
        const char *series; /* as it was sent: "http_requests_total{code=\"500\"}" */
        size_t series_length, name_length;
        const ExpositionLabel *labels;
        size_t n_labels;
        double value; /* NaN and infinities too */
} ExpositionSample;

/* Both are called while a body is read; what they are given is valid during the call only. */
typedef struct ExpositionHandler {
        /* Called with the name of every sample: whether on_sample() is to be called for it. */
        bool (*wants)(const char *name, size_t length, void *userdata);
        void (*on_sample)(const ExpositionSample *sample, void *userdata);
} ExpositionHandler;

/* Embedded in its owner, zeroed before first use. */
typedef struct Exposition {
        const ExpositionHandler *handler;
        void *userdata;
        TextBuffer partial; /* the beginning of a line whose end has not come */
        uint64_t n_lines, n_samples;
        char *error; /* what is wrong, with the number of the line; the rest is not read then */
        int result;  /* 0, -EBADMSG with error, or -ENOMEM */

        /* Of the line being read. */
        ExpositionLabel labels[EXPOSITION_LABELS_MAX];
        size_t n_labels;
        char *unescaped; /* label values without their backslashes */
        size_t unescaped_length;
} Exposition;

/* Begins a body; forgets the one before, whether or not it was read to its end. */
void exposition_begin(Exposition *exposition, const ExpositionHandler *handler, void *userdata);
/* Reads a piece of any length; what is wrong with it is said by exposition_end(). */
void exposition_read(Exposition *exposition, const char *data, size_t length);
/* The body is over. Returns 0, -EBADMSG and the error is set, or -ENOMEM. */
int exposition_end(Exposition *exposition);
void exposition_done(Exposition *exposition);

/*
 * A name of a metric (label false: may have ":") or of a label at text, of which size bytes may be
 * read; returns its length, 0 if there is none.
 */
size_t exposition_name_length(const char *text, size_t size, bool label);
