/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/redis-info.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"

#define REPLICA "slave" /* and a number */

/* What is shown of INFO unasked, in the order of INFO; conditions and Info= add to it. */
static const char default_fields[] =
                "redis_version uptime_in_seconds connected_clients blocked_clients used_memory "
                "used_memory_rss maxmemory rdb_last_bgsave_status rejected_connections "
                "evicted_keys role master_link_status";

typedef struct InfoField {
        uint32_t pattern; /* offset into texts: what its line begins with, "\nNAME:" */
        uint32_t name;    /* the same: NAME */
        bool shown;       /* becomes a detail */
        bool replicates;  /* is for replication_take() */
} InfoField;

/* In few pieces, and small: with thousands of checks it is hardly ever in a cache. */
struct RedisInfo {
        InfoField *fields;
        size_t n_fields, allocated;
        TextBuffer texts;
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
        lag = string_equal(name, REPLICA) ? strstr(value, ",lag=") : NULL;
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

static void sample_add_field(Sample *sample, const char *name, char *value) {
        size_t length = strlen(value);
        bool percent = length > 1 && value[length - 1] == '%', is_number;
        double number;

        if (percent)
                value[length - 1] = '\0';
        /* "7.0" is a version, not a number to compare with. */
        is_number = string_parse_number(value, &number, NULL) && !strstr(name, "version");
        if (percent)
                value[length - 1] = '%';
        if (is_number)
                sample_add_number(sample, name, number);
        else
                sample_add_string(sample, name, value);
}

/*
 * The line that begins so, in what is left of the text or else in all of it; NULL: there is none.
 * strstr() passes over the rest ten times as fast as one can look at two hundred lines.
 */
static char *find_line(char *text, char *rest, const char *pattern) {
        char *found = strstr(rest, pattern);

        if (!found && rest > text)
                found = strstr(text, pattern);
        if (found)
                return found + 1;
        return string_after_prefix(text, pattern + 1) ? text : NULL;
}

/* Makes a text of what a line says from there on. Returns where the line ends. */
static char *value_cut(char *value) {
        char *end = strchrnul(value, '\n');

        return end > value && end[-1] == '\r' ? end - 1 : end;
}

static char *info_take_value(const InfoField *field, const char *name, char *value,
                             Replication *replication, Sample *sample) {
        char *end = value_cut(value), after = *end;

        *end = '\0';
        if (field->replicates)
                replication_take(replication, name, value);
        if (field->shown)
                sample_add_field(sample, name, value);
        *end = after;
        return end;
}

/* slave0, slave1, ... */
static void info_take_replicas(char *text, Replication *replication) {
        static const InfoField replica = { .replicates = true };
        static const char pattern[] = "\n" REPLICA;

        for (char *line = text; (line = strstr(line, pattern));) {
                line += strlen(pattern);
                line += strspn(line, "0123456789");
                if (*line == ':')
                        line = info_take_value(&replica, REPLICA, line + 1, replication, NULL);
        }
}

/* What is not there yet. */
static void info_take_rest(char *text, Sample *sample) {
        for (char *line = text, *end; *line; line = end) {
                char *value = line + strcspn(line, ":\n"), after;

                end = value_cut(value);
                if (*value == ':' && *line != '#') {
                        after = *end;
                        *value = *end = '\0';
                        if (!sample_find(sample, line))
                                sample_add_field(sample, line, value + 1);
                        *value = ':';
                        *end = after;
                }
                end += strspn(end, "\r\n");
        }
}

void redis_info_add(const RedisInfo *info, char *text, Sample *sample) {
        Replication replication = { .last_io = -1, .down_since = -1 };
        char *rest = text;

        for (size_t i = 0; i < info->n_fields; i++) {
                const InfoField *field = &info->fields[i];
                const char *name = info->texts.text + field->name;
                char *line = find_line(text, rest, info->texts.text + field->pattern);

                if (line)
                        rest = info_take_value(field, name, line + strlen(name) + 1, &replication,
                                               sample);
        }
        info_take_replicas(text, &replication);
        if (info->shows_all)
                info_take_rest(text, sample);
        sample_add_number(sample, "replication_lag", replication_lag(&replication));
}

static InfoField *info_add_field(RedisInfo *info, const char *name) {
        if (info->n_fields == info->allocated) {
                size_t allocated = info->allocated ? 2 * info->allocated : 16;
                InfoField *grown = reallocarray(info->fields, allocated, sizeof(InfoField));
                if (!grown)
                        return NULL;
                info->fields = grown;
                info->allocated = allocated;
        }
        info->fields[info->n_fields].pattern = (uint32_t) info->texts.length;
        text_buffer_printf(&info->texts, "\n%s:", name);
        text_buffer_add(&info->texts, "", 1);
        info->fields[info->n_fields].name = (uint32_t) info->texts.length;
        text_buffer_add(&info->texts, name, strlen(name) + 1);
        info->fields[info->n_fields].shown = false;
        return info->texts.failed ? NULL : &info->fields[info->n_fields++];
}

static int info_want(RedisInfo *info, const char *name, bool shown) {
        InfoField *field = NULL;

        for (size_t i = 0; !field && i < info->n_fields; i++)
                if (string_equal(info->texts.text + info->fields[i].name, name))
                        field = &info->fields[i];
        if (!field)
                field = info_add_field(info, name);
        if (!field)
                return -ENOMEM;
        field->shown = field->shown || shown;
        field->replicates = string_equal(name, "role");
        for (size_t i = 0; i < ELEMENTS(replication_numbers); i++)
                if (string_equal(name, replication_numbers[i].name))
                        field->replicates = true;
        return 0;
}

static int info_want_all(RedisInfo *info, char *const *names) {
        int r = 0;

        for (char *const *name = names; name && *name && r >= 0; name++)
                r = info_want(info, *name, true);
        return r;
}

RedisInfo *redis_info_free(RedisInfo *info) {
        if (!info)
                return NULL;
        free(info->fields);
        text_buffer_done(&info->texts);
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
        if (r >= 0)
                r = info_want_all(info, defaults);
        for (size_t i = 0; i < ELEMENTS(replication_numbers) && r >= 0; i++)
                r = info_want(info, replication_numbers[i].name, false);
        if (r >= 0)
                r = info_want_all(info, more);
        if (r >= 0)
                r = info_want_all(info, names);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(info);
        return 0;
}
