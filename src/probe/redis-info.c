/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/redis-info.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"

#define SLOTS 256

/* What is shown of INFO unasked; conditions and Info= add to it. */
static const char default_fields[] =
                "role connected_clients used_memory used_memory_rss maxmemory blocked_clients "
                "uptime_in_seconds redis_version master_link_status evicted_keys "
                "rejected_connections rdb_last_bgsave_status";

typedef struct InfoField {
        uint32_t name; /* offset into names */
        uint32_t length;
        bool numbered;   /* any number follows the name */
        bool shown;      /* becomes a detail */
        bool replicates; /* is for replication_take() */
} InfoField;

/* In few pieces, and small: with thousands of checks it is hardly ever in a cache. */
struct RedisInfo {
        uint64_t slots[SLOTS / 64]; /* a bit is set where a field has this slot */
        InfoField *fields;          /* ordered by their slots */
        uint8_t *field_slots;
        size_t n_fields;
        TextBuffer names;
        bool shows_all;
};

/* What is needed to tell how far replication is behind. */
typedef struct Replication {
        double last_io, down_since, uptime, replica_lag;
        bool is_replica;
} Replication;

static const struct {
        const char *name;
        size_t offset;
} replication_numbers[] = {
        { "master_last_io_seconds_ago", offsetof(Replication, last_io) },
        { "master_link_down_since_seconds", offsetof(Replication, down_since) },
        { "uptime_in_seconds", offsetof(Replication, uptime) },
};

static void replication_take(Replication *replication, const char *name, const char *value) {
        const char *lag;
        double number;

        for (size_t i = 0; i < ELEMENTS(replication_numbers); i++)
                if (string_equal(name, replication_numbers[i].name) &&
                    string_parse_number(value, &number, NULL))
                        *(double *) (void *) ((char *) replication +
                                              replication_numbers[i].offset) = number;
        if (string_equal(name, "role"))
                replication->is_replica = string_equal(value, "slave");
        /* slave0:ip=127.0.0.1,port=6380,state=online,offset=42,lag=1 */
        lag = string_after_prefix(name, "slave") ? strstr(value, ",lag=") : NULL;
        number = lag ? strtod(lag + strlen(",lag="), NULL) : 0;
        if (number > replication->replica_lag)
                replication->replica_lag = number;
}

/*
 * replication_lag is in seconds on either side, so that one condition fits both: on a master, how
 * long ago its slowest replica acknowledged (0 without replicas); on a replica, how long ago it
 * last heard from its master, and since it started if it never did.
 */
static double replication_lag(const Replication *replication) {
        if (!replication->is_replica)
                return replication->replica_lag;
        if (replication->last_io >= 0)
                return replication->last_io;
        return replication->down_since >= 0 ? replication->down_since : replication->uptime;
}

/* By the first two bytes, so that most lines are passed over without looking for their colon. */
static uint8_t slot_of(const char *name) {
        return (uint8_t) (((unsigned char) name[0] * 31U + (unsigned char) name[1]) % SLOTS);
}

static bool slot_is_used(const RedisInfo *info, uint8_t slot) {
        return info->slots[slot / 64] >> (slot % 64) & 1;
}

static const char *field_name(const RedisInfo *info, const InfoField *field) {
        return info->names.text + field->name;
}

/* The value in a line that bears the field, or NULL. The line ends before end. */
static char *field_match(const RedisInfo *info, const InfoField *field, char *line,
                         const char *end) {
        char *after = line + field->length;

        if (after >= end || (!field->numbered && *after != ':') ||
            memcmp(line, field_name(info, field), field->length) != 0)
                return NULL;
        if (field->numbered)
                after += strspn(after, "0123456789");
        return *after == ':' ? after + 1 : NULL;
}

static void sample_add_field(Sample *sample, const char *name, char *value) {
        size_t length = strlen(value);
        double number;

        if (length > 1 && value[length - 1] == '%')
                value[length - 1] = '\0';
        /* "7.0" is a version, not a number to compare with. */
        if (string_parse_number(value, &number, NULL) && !strstr(name, "version")) {
                sample_add_number(sample, name, number);
                return;
        }
        if (length > 1 && !value[length - 1])
                value[length - 1] = '%';
        sample_add_string(sample, name, value);
}

/* The field that a line bears, with its value; NULL if it is none that is wanted. */
static const InfoField *info_find(const RedisInfo *info, char *line, const char *end,
                                  char **ret_value) {
        uint8_t slot = slot_of(line);
        const uint8_t *first = slot_is_used(info, slot)
                                               ? memchr(info->field_slots, slot, info->n_fields)
                                               : NULL;

        if (!first)
                return NULL;
        for (size_t i = (size_t) (first - info->field_slots);
             i < info->n_fields && info->field_slots[i] == slot; i++) {
                *ret_value = field_match(info, &info->fields[i], line, end);
                if (*ret_value)
                        return &info->fields[i];
        }
        return NULL;
}

static void info_take_line(const RedisInfo *info, char *line, char *end, Replication *replication,
                           Sample *sample) {
        char *value;
        const InfoField *field = info_find(info, line, end, &value);

        if (!field) {
                value = info->shows_all && *line != '#' ? memchr(line, ':', (size_t) (end - line))
                                                        : NULL;
                if (!value++)
                        return;
        }
        if (end[-1] == '\r')
                end--;
        value[-1] = *end = '\0';
        if (field && field->replicates)
                replication_take(replication, line, value);
        if (info->shows_all || field->shown)
                sample_add_field(sample, line, value);
}

void redis_info_add(const RedisInfo *info, char *text, Sample *sample) {
        Replication replication = { .last_io = -1, .down_since = -1 };
        char *line, *next, *end;

        for (line = text; *line; line = next) {
                end = strchrnul(line, '\n');
                next = *end ? end + 1 : end;
                if (info->shows_all || slot_is_used(info, slot_of(line)))
                        info_take_line(info, line, end, &replication, sample);
        }
        sample_add_number(sample, "replication_lag", replication_lag(&replication));
}

/* Behind those of the same slot. */
static InfoField *info_add_field(RedisInfo *info, const char *name, bool numbered) {
        InfoField *fields = reallocarray(info->fields, info->n_fields + 1, sizeof(InfoField));
        uint8_t slot = slot_of(name), *slots = NULL;
        size_t i = info->n_fields;

        if (fields) {
                info->fields = fields;
                slots = realloc(info->field_slots, info->n_fields + 1);
        }
        if (!slots)
                return NULL;
        info->field_slots = slots;
        for (; i > 0 && slots[i - 1] > slot; i--) {
                slots[i] = slots[i - 1];
                fields[i] = fields[i - 1];
        }
        slots[i] = slot;
        fields[i] = (InfoField){
                .name = (uint32_t) info->names.length,
                .length = (uint32_t) strlen(name),
                .numbered = numbered,
        };
        info->n_fields++;
        text_buffer_add(&info->names, name, strlen(name) + 1);
        info->slots[slot / 64] |= UINT64_C(1) << (slot % 64);
        return info->names.failed ? NULL : &fields[i];
}

static int info_want(RedisInfo *info, const char *name, bool numbered, bool shown) {
        InfoField *field = NULL;

        for (size_t i = 0; !field && i < info->n_fields; i++)
                if (info->fields[i].numbered == numbered &&
                    string_equal(field_name(info, &info->fields[i]), name))
                        field = &info->fields[i];
        if (!field)
                field = info_add_field(info, name, numbered);
        if (!field)
                return -ENOMEM;
        field->shown = field->shown || shown;
        field->replicates = string_equal(name, "role") || string_after_prefix(name, "slave");
        for (size_t i = 0; i < ELEMENTS(replication_numbers); i++)
                if (string_equal(name, replication_numbers[i].name))
                        field->replicates = true;
        return 0;
}

static int info_want_all(RedisInfo *info, char *const *names) {
        int r = 0;

        for (char *const *name = names; name && *name && r >= 0; name++)
                r = info_want(info, *name, false, true);
        return r;
}

RedisInfo *redis_info_free(RedisInfo *info) {
        if (!info)
                return NULL;
        free(info->fields);
        free(info->field_slots);
        text_buffer_done(&info->names);
        free(info);
        return NULL;
}
DEFINE_CLEANUP(RedisInfo, redis_info_free)

int redis_info_new(char *const *more, char *const *names, RedisInfo **ret) {
        _cleanup_(redis_info_freep) RedisInfo *info = calloc(1, sizeof(RedisInfo));
        _cleanup_(string_list_freep) StringList defaults = NULL;
        int r;

        if (!info)
                return -ENOMEM;
        info->shows_all = string_list_contains(more, "all");
        r = string_list_add_words(&defaults, default_fields);
        for (size_t i = 0; i < ELEMENTS(replication_numbers) && r >= 0; i++)
                r = info_want(info, replication_numbers[i].name, false, false);
        if (r >= 0)
                r = info_want_all(info, defaults);
        if (r >= 0)
                r = info_want_all(info, more);
        if (r >= 0)
                r = info_want_all(info, names);
        /* The last to be looked at: "slave0" may also be wanted by itself. */
        if (r >= 0)
                r = info_want(info, "slave", true, false);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(info);
        return 0;
}
