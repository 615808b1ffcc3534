/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which path shows what of the current state. Renders bodies; knows nothing of headers or caches.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "report/health-json.h"

/* A body and what the headers are made from. */
typedef struct Rendering {
        unsigned status;
        char *text; /* NULL: it comes in pieces */
        size_t length;
        Body body;
        const char *media_type; /* NULL: JSON */
        uint64_t statuses;      /* hash of what time alone changes: statuses, silences, windows */
        uint64_t next_usec;     /* the first run that is due among the checks shown; 0: none */
        bool imminent;          /* a check runs now: its result may come any moment */
} Rendering;

/* What a request names besides its route. */
typedef struct Asked {
        const char *name;    /* the rest of the path, or the argument that stands for it; or NULL */
        uint64_t since_usec; /* ?since=, realtime; 0: none */
        bool exclude_quiet;  /* ?exclude=silenced */
        bool recent;         /* ?recent=yes */
        bool always_ok;      /* ?always=200 */
        bool ietf;           /* Accept: application/health+json */
        bool openmetrics;    /* Accept: application/openmetrics-text */
        bool gzip;           /* Accept-Encoding: gzip */
} Asked;

/*
 * Renders the answer. Returns 0, -ENOENT if there is nothing of that name, -EACCES if it is not
 * for readers who may not see details, or -ENOMEM.
 */
typedef int (*RouteRenderer)(const HealthView *view, const Asked *asked, bool details,
                             uint64_t now_usec, Rendering *ret);

typedef struct Route {
        const char *path;        /* the whole path, or its beginning if it ends in "/" */
        const char *placeholder; /* what stands for the rest, or the arguments: "?check=NAME" */
        RouteRenderer render;
        bool names_group;    /* and not a check: whose absence -ENOENT tells */
        uint64_t cache_usec; /* how long one rendering serves */
        bool volatile_state; /* no ETag, never kept by clients */
        bool by_encoding;    /* compressed for those who ask for it */
        bool by_accept;      /* in more than one form, chosen by the Accept header */
} Route;

/* The route of a path, and in *ret_name the part of it that stands for a name, or NULL. */
const Route *route_find(const char *path, const char **ret_name);
const Route *route_list(size_t *ret_n);
/* Whether its answers depend on arguments. */
bool route_takes_arguments(const Route *route);
