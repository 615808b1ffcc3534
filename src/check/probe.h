/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A check type. Each lives in one file of src/probe/ and exports one const ProbeType. It measures
 * and never judges; it knows its own library and nothing that publishes.
 */

#include <sys/types.h>

#include "check/check.h"
#include "config/config-type.h"

typedef struct ProbeType ProbeType;

/* What prepare() may use and fill in. */
typedef TypeSetup ProbeSetup;
#define probe_setup_refuse type_setup_refuse

/* { "BodyMatch", "body_match == no" } */
typedef struct ProbeKeyCondition {
        const char *key, *condition;
} ProbeKeyCondition;

/* So many numbers of each check survive restarts and boots. */
#define PROBE_KEPT_MAX 6

/* What an application or a job says when it calls in. */
typedef enum BeatKind {
        BEAT_CALL,   /* it lives */
        BEAT_START,  /* a run begins */
        BEAT_FINISH, /* ... and has ended */
        _BEAT_MAX,
} BeatKind;

typedef struct Beat {
        BeatKind kind;
        uint8_t exit_status; /* of a run that has ended */
        uid_t uid;           /* who calls */
        bool trusted;        /* that one may call in for any check */
} Beat;

struct ProbeType {
        const char *name;    /* of Type= */
        const char *section; /* that holds its keys */
        size_t instance_size;
        const ConfigKey *keys;
        /* The conditions it starts with: "status_code != 200"; NULL-terminated, may be NULL. */
        const char *const *unhealthy_when;
        /* Those it starts with if a key is set; ends with {}, may be NULL. */
        const ProbeKeyCondition *unhealthy_when_set;

        bool serverless; /* it asks nobody whom a breaker would spare, so there is none */

        /* The instance is zeroed; sets the defaults of its keys. May be NULL. */
        int (*init)(void *instance);
        /* After the keys: checks them together. 0, or -EINVAL with setup->why, or -ENOMEM. */
        int (*prepare)(void *instance, ProbeSetup *setup);
        /*
         * Whom it asks: a name or an address, owned by the caller; NULL for nobody, and for a
         * socket of this host; of several servers the first. Returns 0 or -ENOMEM. May be NULL.
         */
        int (*get_host)(const void *instance, char **ret);
        /* For types of which there may be thousands: adds what a run touches. May be NULL. */
        void (*add_needs)(const void *instance, Needs *needs);
        /*
         * Begins one probe. Ends, now or later, in exactly one check_report(), unless cancel()
         * comes first. A negative return is a failed sample of ours and nothing is under way.
         */
        int (*start)(void *instance, Check *check);
        /*
         * Somebody calls in. NULL: nobody can. A result is asked for afterwards. Returns 0, or
         * -EACCES if this user may not.
         */
        int (*beat)(void *instance, const Beat *beat);
        /*
         * What survives restarts and boots: save() fills in zeroed numbers, restore() takes them
         * over before the first run; -EBADMSG, and nothing is changed, for what save() never
         * wrote. Times are of CLOCK_REALTIME. Both NULL: nothing does.
         */
        void (*save)(const void *instance, uint64_t kept[PROBE_KEPT_MAX]);
        int (*restore)(void *instance, const uint64_t kept[PROBE_KEPT_MAX]);
        /*
         * The deadline passed: stop everything at once. May say on the sample what it was waiting
         * for (sample_fail(sample, "no answer from 127.0.0.1:6379 to PING")) and which details it
         * knows already; it does not report.
         */
        void (*cancel)(void *instance, Sample *sample);
        /* Frees what the instance holds; called when idle; accepts a half-prepared instance. */
        void (*done)(void *instance);
};
