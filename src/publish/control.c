/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/control.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json-writer.h"
#include "base/string-util.h"
#include "base/time-util.h"

#define GROUP_BUFFER_SIZE ((size_t) 64 * 1024)
#define GROUP_BUFFER_MAX  ((size_t) 16 * 1024 * 1024)
#define PEER_GROUPS       64 /* a first guess */
#define MEMBERS_MAX       4

DEFINE_CLEANUP(cJSON, cJSON_Delete)

typedef struct VerbInfo {
        const char *name;
        const char *members[MEMBERS_MAX]; /* what its object may have, ended by NULL */
        const char *example;
} VerbInfo;

static const VerbInfo verbs[_CONTROL_MAX] = {
        [CONTROL_SILENCE] = { "silence",
                              { "check", "duration", "reason" },
                              "{\"check\":\"redis-*\",\"duration\":\"2h\","
                              "\"reason\":\"moving the cache, ticket 42\"}" },
        [CONTROL_UNSILENCE] = { "unsilence",
                                { "check", "id" },
                                "{\"check\":\"redis-*\"} or {\"id\":3}" },
        [CONTROL_RESET_BREAKER] = { "reset-breaker", { "check" }, "{\"check\":\"redis\"}" },
        [CONTROL_RUN] = { "run", { "check" }, "{\"check\":\"redis\"}" },
        [CONTROL_RELOAD] = { "reload", {}, "{} or nothing" },
        [CONTROL_ALERT_TEST] = { "alert-test", { "alert" }, "{\"alert\":\"ops\"}" },
        [CONTROL_BEAT] = { "beat",
                           { "check", "status", "exit_status" },
                           "{\"check\":\"backup\"}, or with \"status\":\"start\", or with "
                           "\"status\":\"finish\",\"exit_status\":0" },
};

int control_find_verb(const char *path, ControlVerb *ret) {
        const char *name = string_after_prefix(path, CONTROL_PREFIX);

        for (unsigned i = 0; name && i < _CONTROL_MAX; i++)
                if (string_equal(verbs[i].name, name)) {
                        *ret = (ControlVerb) i;
                        return 0;
                }
        return -ENOENT;
}

bool control_is_open(ControlVerb verb) {
        return verb == CONTROL_BEAT;
}

/* Refuses a request, with an example of a good one. */
static int refuse(ControlVerb verb, char **ret_why, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
static int refuse(ControlVerb verb, char **ret_why, const char *format, ...) {
        _cleanup_free_ char *what = NULL;
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = string_vprintf(&what, format, arguments);
        va_end(arguments);
        if (r < 0)
                return r;
        *ret_why = NULL;
        r = string_printf(ret_why, "%s; send for example %s", what, verbs[verb].example);
        return r < 0 ? r : -EINVAL;
}

static bool is_blank(const char *text, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (!memchr(" \t\r\n", text[i], 4))
                        return false;
        return true;
}

static int parse_object(ControlVerb verb, const char *body, size_t size, cJSON **ret,
                        char **ret_why) {
        _cleanup_(cJSON_Deletep) cJSON *object = NULL;
        const char *end = NULL;

        if (is_blank(body, size)) {
                *ret = cJSON_CreateObject();
                return *ret ? 0 : -ENOMEM;
        }
        object = cJSON_ParseWithLengthOpts(body, size, &end, false);
        if (!cJSON_IsObject(object) || !end || !is_blank(end, size - (size_t) (end - body)))
                return refuse(verb, ret_why, "the body is no JSON object");
        *ret = TAKE_PTR(object);
        return 0;
}

static int refuse_unknown_members(ControlVerb verb, const cJSON *object, char **ret_why) {
        const char *const *known = verbs[verb].members;
        const cJSON *member;

        cJSON_ArrayForEach(member, object) {
                const char *nearest = string_nearest(member->string, known);
                bool found = false;

                for (size_t i = 0; known[i]; i++)
                        found = found || string_equal(known[i], member->string);
                if (!found)
                        return refuse(verb, ret_why, "\"%s\" is not known here%s%s%s",
                                      member->string, nearest ? "; did you mean \"" : "",
                                      nearest ? nearest : "", nearest ? "\"?" : "");
        }
        return 0;
}

/* A text that is not empty, or nothing if it is absent. */
static int read_text(ControlVerb verb, const cJSON *object, const char *name, char **ret,
                     char **ret_why) {
        const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

        if (!member)
                return 0;
        if (!cJSON_IsString(member) || string_is_empty(member->valuestring))
                return refuse(verb, ret_why, "\"%s\" is no text, or an empty one", name);
        return string_replace(ret, member->valuestring);
}

static int read_duration(ControlVerb verb, const cJSON *object, uint64_t *ret, char **ret_why) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = read_text(verb, object, "duration", &text, ret_why);
        if (r < 0 || !text)
                return r;
        if (time_span_parse(text, ret) < 0)
                return refuse(verb, ret_why,
                              "\"%s\" is no time span; write for example 90s, 2h or 3d", text);
        return 0;
}

static int read_id(ControlVerb verb, const cJSON *object, uint32_t *ret, char **ret_why) {
        const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, "id");
        double number = cJSON_IsNumber(member) ? member->valuedouble : 0;

        if (!member)
                return 0;
        if (!(number >= 1 && number <= UINT32_MAX) || number != (double) (uint32_t) number)
                return refuse(verb, ret_why, "\"id\" is not the number of a silence");
        *ret = (uint32_t) number;
        return 0;
}

/* "exit_status" alone says that a run has ended, too. */
static int read_beat(ControlVerb verb, const cJSON *object, ControlRequest *request,
                     char **ret_why) {
        const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, "exit_status");
        double number = cJSON_IsNumber(member) ? member->valuedouble : -1;
        _cleanup_free_ char *status = NULL;
        int r;

        r = read_text(verb, object, "status", &status, ret_why);
        if (r < 0)
                return r;
        if (member &&
            (!(number >= 0 && number <= UINT8_MAX) || number != (double) (uint8_t) number))
                return refuse(verb, ret_why, "\"exit_status\" is no number from 0 to 255");
        request->exit_status = member ? (uint8_t) number : 0;
        request->beat = member ? BEAT_FINISH : BEAT_CALL;
        if (string_equal(status, "finish"))
                request->beat = BEAT_FINISH;
        else if (string_equal(status, "start") && !member)
                request->beat = BEAT_START;
        else if (string_equal(status, "start"))
                return refuse(verb, ret_why, "what starts has no \"exit_status\" yet");
        else if (status)
                return refuse(verb, ret_why, "\"status\" is neither start nor finish");
        return 0;
}

/* What a verb cannot do without. */
static int require_members(const ControlRequest *request, char **ret_why) {
        ControlVerb verb = request->verb;

        switch (verb) {
        case CONTROL_SILENCE:
                if (!request->check || !request->reason || request->duration_usec == 0)
                        return refuse(verb, ret_why,
                                      "\"check\", \"duration\" and \"reason\" are all needed");
                return 0;
        case CONTROL_UNSILENCE:
                if (!request->check == (request->id == 0))
                        return refuse(verb, ret_why, "either \"check\" or \"id\" is needed");
                return 0;
        case CONTROL_RESET_BREAKER:
        case CONTROL_RUN:
        case CONTROL_BEAT:
                if (!request->check)
                        return refuse(verb, ret_why, "\"check\" is missing");
                return 0;
        case CONTROL_ALERT_TEST:
                if (!request->alert)
                        return refuse(verb, ret_why, "\"alert\" is missing");
                return 0;
        case CONTROL_RELOAD:
        case _CONTROL_MAX:
                return 0;
        }
        return 0;
}

int control_parse(ControlVerb verb, const char *body, size_t size, ControlRequest *ret,
                  char **ret_why) {
        _cleanup_(control_request_done) ControlRequest request = { .verb = verb };
        _cleanup_(cJSON_Deletep) cJSON *object = NULL;
        int r;

        r = parse_object(verb, body, size, &object, ret_why);
        if (r < 0)
                return r;
        r = refuse_unknown_members(verb, object, ret_why);
        if (r < 0)
                return r;
        r = read_text(verb, object, "check", &request.check, ret_why);
        if (r < 0)
                return r;
        r = read_text(verb, object, "alert", &request.alert, ret_why);
        if (r < 0)
                return r;
        r = read_text(verb, object, "reason", &request.reason, ret_why);
        if (r < 0)
                return r;
        r = read_duration(verb, object, &request.duration_usec, ret_why);
        if (r < 0)
                return r;
        r = read_id(verb, object, &request.id, ret_why);
        if (r < 0)
                return r;
        r = read_beat(verb, object, &request, ret_why);
        if (r < 0)
                return r;
        r = require_members(&request, ret_why);
        if (r < 0)
                return r;
        *ret = request;
        request = (ControlRequest){};
        return 0;
}

void control_request_done(ControlRequest *request) {
        free(request->check);
        free(request->alert);
        free(request->reason);
        *request = (ControlRequest){};
}

int control_reply_say(ControlReply *ret, unsigned status, const char *format, ...) {
        _cleanup_(json_writer_done) JsonWriter json = {};
        _cleanup_free_ char *detail = NULL;
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = string_vprintf(&detail, format, arguments);
        va_end(arguments);
        if (r < 0)
                return r;
        json_object_begin(&json, NULL);
        json_add_string(&json, "detail", detail);
        json_object_end(&json);
        ret->status = status;
        return json_writer_finish(&json, &ret->text, &ret->length);
}

void control_access_init(ControlAccess *access) {
        *access = (ControlAccess){ .uid = geteuid() };
        for (size_t size = GROUP_BUFFER_SIZE; size <= GROUP_BUFFER_MAX; size *= 4) {
                _cleanup_free_ char *buffer = malloc(size);
                struct group group, *found = NULL;
                int error;

                if (!buffer)
                        return;
                error = getgrnam_r(CONTROL_GROUP, &group, buffer, size, &found);
                if (error == ERANGE)
                        continue;
                access->has_group = error == 0 && found;
                access->gid = access->has_group ? group.gr_gid : 0;
                return;
        }
}

static bool list_has_group(const gid_t *groups, size_t n, gid_t gid) {
        for (size_t i = 0; i < n; i++)
                if (groups[i] == gid)
                        return true;
        return false;
}

/* The supplementary groups it had when it connected. */
static bool peer_is_in_group(int fd, gid_t gid) {
        socklen_t size = PEER_GROUPS * sizeof(gid_t);

        /* Twice at most: the kernel says how much it is, and that does not change any more. */
        for (int i = 0; i < 2; i++) {
                _cleanup_free_ gid_t *groups = malloc(size);

                if (!groups)
                        return false;
                if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) >= 0)
                        return list_has_group(groups, size / sizeof(gid_t), gid);
                if (errno != ERANGE)
                        return false;
        }
        return false;
}

int control_access_check(const ControlAccess *access, int fd, uid_t *ret_uid, bool *ret_allowed) {
        socklen_t size = sizeof(struct ucred);
        struct ucred peer;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return -errno;
        *ret_uid = peer.uid;
        *ret_allowed = peer.uid == 0 || peer.uid == access->uid ||
                       (access->has_group &&
                        (peer.gid == access->gid || peer_is_in_group(fd, access->gid)));
        return 0;
}
