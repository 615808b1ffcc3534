/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/redis-info.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"

#define REPLICA "slave" /* and a number */

/* What replication_lag is made of. */
typedef enum ReplicationPart {
        REPLICATION_NONE,
        REPLICATION_ROLE,
        REPLICATION_LAST_IO,
        REPLICATION_DOWN_SINCE,
        REPLICATION_UPTIME,
        _REPLICATION_MAX,
} ReplicationPart;

typedef struct InfoField {
        const char *line; /* what its line begins with: "\nNAME:" */
        const char *name;
        bool shown;   /* becomes a detail */
        bool is_text; /* "7.0" is a version, not a number to compare with */
        ReplicationPart part;
} InfoField;

#define FIELD(field) .line = "\n" field ":", .name = field

/*
 * What is looked for in every INFO, in its order, and what of it is shown; conditions and Info= add
 * to it. The first list ends where the section on replication begins.
 */
static const InfoField default_fields[] = {
        { FIELD("redis_version"), .shown = true, .is_text = true },
        { FIELD("uptime_in_seconds"), .shown = true, .part = REPLICATION_UPTIME },
        { FIELD("connected_clients"), .shown = true },
        { FIELD("blocked_clients"), .shown = true },
        { FIELD("used_memory"), .shown = true },
        { FIELD("used_memory_rss"), .shown = true },
        { FIELD("maxmemory"), .shown = true },
        { FIELD("rdb_last_bgsave_status"), .shown = true },
        { FIELD("rejected_connections"), .shown = true },
        { FIELD("evicted_keys"), .shown = true },
        { FIELD("role"), .shown = true, .part = REPLICATION_ROLE },
};
static const InfoField replication_fields[] = {
        { FIELD("master_link_status"), .shown = true },
        { FIELD("master_last_io_seconds_ago"), .part = REPLICATION_LAST_IO },
        { FIELD("master_link_down_since_seconds"), .part = REPLICATION_DOWN_SINCE },
};

struct RedisInfo {
        InfoField *more; /* "\nNAME:", NUL, "NAME" of each is one allocation, its line */
        size_t n_more;
        bool shows_all;
};

/* The text that is read: forwards, for the fields are mostly asked for in its order. */
typedef struct InfoText {
        char *text, *rest;
        Sample *sample;
        double parts[_REPLICATION_MAX]; /* below 0: it does not say */
        double replica_lag;
        bool has_role, is_replica;
} InfoText;

/*
 * replication_lag is in seconds on either side, so that one condition fits both: on a master, how
 * long ago its slowest replica acknowledged (0 without replicas); on a replica, how long ago it
 * last heard from its master, and since it started if it never did.
 */
static double replication_lag(const InfoText *info) {
        static const ReplicationPart in_turn[] = { REPLICATION_LAST_IO, REPLICATION_DOWN_SINCE };

        if (!info->is_replica)
                return info->replica_lag;
        for (size_t i = 0; i < ELEMENTS(in_turn); i++)
                if (info->parts[in_turn[i]] >= 0)
                        return info->parts[in_turn[i]];
        return info->parts[REPLICATION_UPTIME] > 0 ? info->parts[REPLICATION_UPTIME] : 0;
}

static void replication_take(InfoText *info, ReplicationPart part, const char *value) {
        double number;

        if (part == REPLICATION_ROLE) {
                info->has_role = true;
                info->is_replica = string_equal(value, "slave");
        } else if (string_parse_number(value, &number, NULL)) {
                info->parts[part] = number;
        }
}

/* Of the value of slave0: ip=127.0.0.1,port=6380,state=online,offset=42,lag=1 */
static void replication_take_replica(InfoText *info, const char *value) {
        const char *lag = strstr(value, ",lag=");
        double number = lag ? strtod(lag + strlen(",lag="), NULL) : 0;

        if (number > info->replica_lag)
                info->replica_lag = number;
}

static void sample_add_field(Sample *sample, const char *name, bool is_text, char *value,
                             char *end) {
        bool percent = end - value > 1 && end[-1] == '%', is_number;
        double number;

        if (percent)
                end[-1] = '\0';
        is_number = !is_text && string_parse_number(value, &number, NULL);
        if (percent)
                end[-1] = '%';
        if (is_number)
                sample_add_number(sample, name, number);
        else
                sample_add_string(sample, name, value);
}

/*
 * The line that begins so, in what is left of the text or else in all of it; NULL: there is none.
 * strstr() passes over the rest ten times as fast as one can look at two hundred lines.
 */
static char *find_line(const InfoText *info, const char *line) {
        char *found = strstr(info->rest, line);

        if (!found && info->rest > info->text)
                found = strstr(info->text, line);
        if (found)
                return found + 1;
        return string_after_prefix(info->text, line + 1) ? info->text : NULL;
}

/* Where what a line says from there on ends, without the line end of either kind. */
static char *value_end(char *value) {
        char *end = strchrnul(value, '\n');

        return end > value && end[-1] == '\r' ? end - 1 : end;
}

static void info_take_field(InfoText *info, const InfoField *field) {
        char *value = find_line(info, field->line), *end, after;

        if (!value)
                return;
        value += strlen(field->line) - 1;
        end = value_end(value);
        after = *end;
        *end = '\0';
        if (field->part != REPLICATION_NONE)
                replication_take(info, field->part, value);
        if (field->shown)
                sample_add_field(info->sample, field->name, field->is_text, value, end);
        *end = after;
        info->rest = end;
}

/* slave0, slave1, ... */
static void info_take_replicas(InfoText *info) {
        static const char pattern[] = "\n" REPLICA;

        for (char *line = info->text, *end; (line = strstr(line, pattern)); line = end) {
                char after;

                end = line + strlen(pattern);
                end += strspn(end, "0123456789");
                if (*end != ':')
                        continue;
                line = end + 1;
                end = value_end(line);
                after = *end;
                *end = '\0';
                replication_take_replica(info, line);
                *end = after;
        }
}

/*
 * From the role on until the next section, and nowhere else: of a master half of these fields are
 * missing, and what is missing is looked for everywhere.
 */
static void info_take_replication(InfoText *info) {
        char *text = info->text, *end = info->has_role ? strstr(info->rest, "\n#") : NULL;

        if (info->has_role)
                info->text = info->rest;
        if (end)
                *end = '\0';
        for (size_t i = 0; i < ELEMENTS(replication_fields); i++)
                info_take_field(info, &replication_fields[i]);
        info_take_replicas(info);
        if (end)
                *end = '\n';
        info->text = text;
}

/* What is not there yet. */
static void info_take_rest(char *text, Sample *sample) {
        for (char *line = text, *end; *line; line = end) {
                char *value = line + strcspn(line, ":\n"), after;

                end = value_end(value);
                if (*value == ':' && *line != '#') {
                        after = *end;
                        *value = *end = '\0';
                        if (!sample_find(sample, line))
                                sample_add_field(sample, line, strstr(line, "version"), value + 1,
                                                 end);
                        *value = ':';
                        *end = after;
                }
                end += strspn(end, "\r\n");
        }
}

void redis_info_add(const RedisInfo *info, char *text, Sample *sample) {
        InfoText reading = { .text = text, .rest = text, .sample = sample };

        for (size_t i = 0; i < ELEMENTS(reading.parts); i++)
                reading.parts[i] = -1;
        for (size_t i = 0; i < ELEMENTS(default_fields); i++)
                info_take_field(&reading, &default_fields[i]);
        info_take_replication(&reading);
        for (size_t i = 0; i < info->n_more; i++)
                info_take_field(&reading, &info->more[i]);
        if (info->shows_all)
                info_take_rest(text, sample);
        sample_add_number(sample, "replication_lag", replication_lag(&reading));
}

static bool fields_show(const InfoField *fields, size_t n_fields, const char *name) {
        for (size_t i = 0; i < n_fields; i++)
                if (fields[i].shown && string_equal(fields[i].name, name))
                        return true;
        return false;
}

static int info_want(RedisInfo *info, const char *name) {
        InfoField *more;
        char *line = NULL;
        int r;

        if (fields_show(default_fields, ELEMENTS(default_fields), name) ||
            fields_show(replication_fields, ELEMENTS(replication_fields), name) ||
            fields_show(info->more, info->n_more, name))
                return 0;
        more = reallocarray(info->more, info->n_more + 1, sizeof(InfoField));
        if (!more)
                return -ENOMEM;
        info->more = more;
        r = string_printf(&line, "\n%s:%c%s", name, '\0', name);
        if (r < 0)
                return r;
        more[info->n_more++] = (InfoField){
                .line = line,
                .name = line + strlen(line) + 1,
                .shown = true,
                .is_text = strstr(name, "version"),
        };
        return 0;
}

static int info_want_all(RedisInfo *info, char *const *names) {
        int r = 0;

        for (char *const *name = names; name && *name && r >= 0; name++)
                r = info_want(info, *name);
        return r;
}

RedisInfo *redis_info_free(RedisInfo *info) {
        if (!info)
                return NULL;
        for (size_t i = 0; i < info->n_more; i++)
                free((char *) info->more[i].line);
        free(info->more);
        free(info);
        return NULL;
}
DEFINE_CLEANUP(RedisInfo, redis_info_free)

int redis_info_new(char *const *more, char *const *names, RedisInfo **ret) {
        _cleanup_(redis_info_freep) RedisInfo *info = calloc(1, sizeof(RedisInfo));
        int r;

        if (!info)
                return -ENOMEM;
        info->shows_all = string_list_contains(more, "all");
        r = info_want_all(info, more);
        if (r >= 0)
                r = info_want_all(info, names);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(info);
        return 0;
}
