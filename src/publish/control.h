/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What may be asked to be done over the unix socket: who may ask, and what exactly is asked.
 * Does nothing itself.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "check/probe.h"

#define CONTROL_PREFIX "/control/"
#define CONTROL_GROUP  "healthd" /* its members may ask */

typedef enum ControlVerb {
        CONTROL_SILENCE,
        CONTROL_UNSILENCE,
        CONTROL_RESET_BREAKER,
        CONTROL_RUN,
        CONTROL_RELOAD,
        CONTROL_ALERT_TEST,
        CONTROL_BEAT,
        _CONTROL_MAX,
} ControlVerb;

typedef struct ControlRequest {
        ControlVerb verb;
        char *check; /* name or glob; NULL where none is needed */
        char *alert; /* name; NULL where none is needed */
        char *reason;
        uint64_t duration_usec;
        uint32_t id; /* of a silence; 0: none given */
        BeatKind beat;
        uint8_t exit_status;
        uid_t uid;    /* who asks */
        bool trusted; /* who may ask for anything */
} ControlRequest;

/* What is answered: a JSON object. */
typedef struct ControlReply {
        unsigned status; /* of HTTP */
        char *text;      /* owned */
        size_t length;
} ControlReply;

/* Does what is asked, at once. Returns 0 or -ENOMEM, then without a reply. */
typedef int (*ControlHandler)(const ControlRequest *request, ControlReply *ret, void *userdata);

/* path: "/control/run". Returns 0 or -ENOENT. */
int control_find_verb(const char *path, ControlVerb *ret);
/* Whether everybody on the unix socket may ask, and what is asked decides who is heard. */
bool control_is_open(ControlVerb verb);

/*
 * Reads the JSON object of a request. Returns 0; -EINVAL, then *ret_why (owned by the caller
 * afterwards) says what is wrong and what to send; or -ENOMEM.
 */
int control_parse(ControlVerb verb, const char *body, size_t size, ControlRequest *ret,
                  char **ret_why);
void control_request_done(ControlRequest *request);

/* {"detail":"..."}. Returns 0 or -ENOMEM. */
int control_reply_say(ControlReply *ret, unsigned status, const char *format, ...)
                __attribute__((format(printf, 3, 4)));

/* Who may ask: root, the daemon's own user, and the members of a group. */
typedef struct ControlAccess {
        uid_t uid;
        gid_t gid;
        bool has_group;
} ControlAccess;

/* Looks the group up, which may block: for the start only. Without it nobody is let in by it. */
void control_access_init(ControlAccess *access);

/*
 * Who the peer of a connected unix socket is, and whether he may ask for anything. Returns 0 or a
 * negative errno: then he may not.
 */
int control_access_check(const ControlAccess *access, int fd, uid_t *ret_uid, bool *ret_allowed);
