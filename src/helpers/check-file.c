/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=file looks at files by this program: a look at one whose file system hangs, as that of an
 * NFS server that is gone, does not return, and a directory may have a million entries.
 *
 *     check-file --pick=newest|oldest|all PATTERN...
 *
 * It answers as a plug-in with JSON does (probe/plugin.h). Patterns are those of glob(7), which is
 * not used because it passes over directories that cannot be read.
 */

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/json-writer.h"
#include "base/time-util.h"

/* A reason is a line in a log, not a catalogue. */
#define ABSENT_SHOWN 3

typedef enum Pick {
        PICK_NEWEST,
        PICK_OLDEST,
        PICK_ALL,
} Pick;

static const char *const pick_words[] = { "newest", "oldest", "all" };

typedef struct FileCheck {
        Pick pick;
        uint64_t count;
        int64_t newest_usec, oldest_usec; /* CLOCK_REALTIME */
        double size_min, size_max, size_total;

        char *path; /* of the one that was picked; of the oldest with PICK_ALL */
        struct stat picked;
        bool modes_differ, owners_differ, groups_differ, types_differ; /* from those of path */

        unsigned n_absent;
        TextBuffer absent; /* the patterns that nothing matches */
        char *error;       /* what could not be looked at first */
        bool no_memory;
} FileCheck;

static void file_check_done(FileCheck *check) {
        free(check->path);
        free(check->error);
        text_buffer_done(&check->absent);
}

/* ---- looking ---- */

static void note_error(FileCheck *check, const char *path, int error) {
        int r;

        /* It is simply not there, or went away while we looked. */
        if (error == ENOENT || error == ENOTDIR || check->error)
                return;
        if (error == EACCES)
                r = string_printf(&check->error,
                                  "looking at %s: %s; \"namei -l %s\" shows what healthd's user "
                                  "may not pass or read, \"setfacl -m u:healthd:rx\" lets it",
                                  path, strerrordesc_np(error), path);
        else
                r = string_printf(&check->error, "looking at %s: %s", path, strerrordesc_np(error));
        if (r < 0)
                check->no_memory = true;
}

static int64_t modified_usec(const struct stat *st) {
        return st->st_mtim.tv_sec * (int64_t) USEC_PER_SEC + st->st_mtim.tv_nsec / 1000;
}

static void compare_kind(FileCheck *check, const struct stat *st) {
        check->modes_differ |= (st->st_mode & ALLPERMS) != (check->picked.st_mode & ALLPERMS);
        check->types_differ |= (st->st_mode & S_IFMT) != (check->picked.st_mode & S_IFMT);
        check->owners_differ |= st->st_uid != check->picked.st_uid;
        check->groups_differ |= st->st_gid != check->picked.st_gid;
}

/* Of two that are as old the name decides, so that it is the same one every time. */
static bool is_better(const FileCheck *check, const char *path, int64_t usec) {
        int64_t picked_usec = modified_usec(&check->picked);

        if (!check->path)
                return true;
        if (usec == picked_usec)
                return strcmp(path, check->path) < 0;
        return (usec > picked_usec) == (check->pick == PICK_NEWEST);
}

static void look(FileCheck *check, const char *path) {
        double size;
        struct stat st;
        int64_t usec;

        if (stat(path, &st) < 0) {
                note_error(check, path, errno);
                return;
        }
        usec = modified_usec(&st);
        size = (double) st.st_size;
        if (check->count == 0 || usec > check->newest_usec)
                check->newest_usec = usec;
        if (check->count == 0 || usec < check->oldest_usec)
                check->oldest_usec = usec;
        if (check->count == 0 || size < check->size_min)
                check->size_min = size;
        if (check->count == 0 || size > check->size_max)
                check->size_max = size;
        check->size_total += size;
        if (check->count++ > 0)
                compare_kind(check, &st);
        if (!is_better(check, path, usec))
                return;
        check->picked = st;
        if (string_replace(&check->path, path) < 0)
                check->no_memory = true;
}

static void walk(FileCheck *check, const char *directory, const char *pattern);

/* What is below the path, if the pattern goes on, or the path itself. */
static void walk_on(FileCheck *check, const char *directory, const char *name, const char *rest) {
        _cleanup_free_ char *path = NULL;

        if (string_printf(&path, "%s%s%s", directory, name, *rest ? "/" : "") < 0)
                check->no_memory = true;
        else if (*rest)
                walk(check, path, rest);
        else
                look(check, path);
}

static void walk_directory(FileCheck *check, const char *directory, const char *pattern,
                           const char *rest) {
        _cleanup_(closedirp) DIR *entries = opendir(directory);
        const struct dirent *entry;

        if (!entries) {
                note_error(check, directory, errno);
                return;
        }
        while (errno = 0, (entry = readdir(entries)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                    fnmatch(pattern, entry->d_name, FNM_PERIOD) == 0)
                        walk_on(check, directory, entry->d_name, rest);
        if (errno != 0)
                note_error(check, directory, errno);
}

static bool is_magic(const char *pattern) {
        return strpbrk(pattern, "*?[\\");
}

/* directory ends with "/"; pattern does not begin with one, and has one part for each depth. */
static void walk(FileCheck *check, const char *directory, const char *pattern) {
        size_t length = strcspn(pattern, "/");
        _cleanup_free_ char *part = strndup(pattern, length);
        const char *rest = pattern + length + strspn(pattern + length, "/");

        if (!part)
                check->no_memory = true;
        else if (is_magic(part))
                walk_directory(check, directory, part, rest);
        else
                walk_on(check, directory, part, rest);
}

/* ---- what is not there ---- */

/* The directory before the first wildcard, or of the file; NULL if it is there. */
static char *find_missing_directory(const char *pattern) {
        size_t length = strcspn(pattern, "*?[\\");
        char *path = strndup(pattern, length), *slash;
        struct stat st;

        slash = path ? strrchr(path, '/') : NULL;
        if (slash)
                *slash = '\0';
        if (slash && *path && stat(path, &st) < 0 && errno == ENOENT)
                return path;
        free(path);
        return NULL;
}

static void note_absent(FileCheck *check, const char *pattern) {
        _cleanup_free_ char *directory = NULL;
        char target[512];
        ssize_t length;

        if (++check->n_absent > ABSENT_SHOWN) {
                if (check->n_absent == ABSENT_SHOWN + 1)
                        text_buffer_add_string(&check->absent, "; ...");
                return;
        }
        if (check->n_absent > 1)
                text_buffer_add_string(&check->absent, "; ");
        length = readlink(pattern, target, sizeof(target));
        if (length > 0) {
                text_buffer_printf(&check->absent, "%s is a link to %.*s, which is not there",
                                   pattern, (int) length, target);
                return;
        }
        text_buffer_add_string(&check->absent,
                               is_magic(pattern) ? "nothing matches " : "there is no ");
        text_buffer_add_string(&check->absent, pattern);
        directory = find_missing_directory(pattern);
        if (directory)
                text_buffer_printf(&check->absent, " (there is no directory %s)", directory);
}

/* With PICK_ALL each pattern must match something, else one of them. */
static void check_patterns(FileCheck *check, char *const *patterns) {
        uint64_t before;

        for (size_t i = 0; patterns[i]; i++) {
                before = check->count;
                walk(check, "/", patterns[i] + strspn(patterns[i], "/"));
                if (check->pick == PICK_ALL && check->count == before)
                        note_absent(check, patterns[i]);
        }
        for (size_t i = 0; check->pick != PICK_ALL && check->count == 0 && patterns[i]; i++)
                note_absent(check, patterns[i]);
        if (check->n_absent == 0)
                text_buffer_add_string(&check->absent, "none");
}

/* ---- the answer ---- */

static const char *type_name(mode_t mode) {
        static const struct {
                mode_t type;
                const char *name;
        } types[] = {
                { S_IFREG, "file" },         { S_IFDIR, "directory" },
                { S_IFIFO, "fifo" },         { S_IFSOCK, "socket" },
                { S_IFBLK, "block device" }, { S_IFCHR, "character device" },
        };

        for (size_t i = 0; i < ELEMENTS(types); i++)
                if ((mode & S_IFMT) == types[i].type)
                        return types[i].name;
        return "unknown";
}

static void add_kind(const FileCheck *check, JsonWriter *json) {
        const struct passwd *user = getpwuid(check->picked.st_uid);
        const struct group *group = getgrgid(check->picked.st_gid);
        bool all = check->pick == PICK_ALL;
        char mode[16], uid[16], gid[16];

        (void) snprintf(mode, sizeof(mode), "%04o", check->picked.st_mode & ALLPERMS);
        (void) snprintf(uid, sizeof(uid), "%u", check->picked.st_uid);
        (void) snprintf(gid, sizeof(gid), "%u", check->picked.st_gid);
        json_add_string(json, "mode", all && check->modes_differ ? "various" : mode);
        json_add_string(json, "owner",
                        all && check->owners_differ ? "various"
                        : user                      ? user->pw_name
                                                    : uid);
        json_add_string(json, "group",
                        all && check->groups_differ ? "various"
                        : group                     ? group->gr_name
                                                    : gid);
        json_add_string(json, "type",
                        all && check->types_differ ? "various" : type_name(check->picked.st_mode));
}

/* Seconds, to the millisecond. What was modified in the future, by a clock that ran ahead, is new.
 */
static double age_s(int64_t modified, int64_t now_usec) {
        int64_t ms = (now_usec - modified) / (int64_t) USEC_PER_MSEC;

        return ms > 0 ? (double) ms / 1000 : 0;
}

static void add_files(const FileCheck *check, JsonWriter *json) {
        int64_t now_usec = (int64_t) now_realtime_usec();

        json_add_string(json, "path", check->path);
        if (check->pick != PICK_ALL) {
                json_add_number(json, "age_s", age_s(modified_usec(&check->picked), now_usec));
                json_add_number(json, "size", (double) check->picked.st_size);
        }
        add_kind(check, json);
        json_add_number(json, "age_min_s", age_s(check->newest_usec, now_usec));
        json_add_number(json, "age_max_s", age_s(check->oldest_usec, now_usec));
        json_add_number(json, "size_min", check->size_min);
        json_add_number(json, "size_max", check->size_max);
        json_add_number(json, "size_total", check->size_total);
}

static int answer(const FileCheck *check) {
        _cleanup_(json_writer_done) JsonWriter json = {};
        _cleanup_free_ char *text = NULL;
        int r;

        if (check->no_memory || check->absent.failed)
                return -ENOMEM;
        json_object_begin(&json, NULL);
        if (check->error) {
                json_add_string(&json, "status", "error");
                json_add_string(&json, "message", check->error);
        }
        json_object_begin(&json, "details");
        json_add_boolean(&json, "exists", check->count > 0);
        json_add_unsigned(&json, "count", check->count);
        /* What cannot be looked at may be there. */
        if (!check->error)
                json_add_string(&json, "absent", check->absent.text);
        if (check->count > 0)
                add_files(check, &json);
        json_object_end(&json);
        json_object_end(&json);
        r = json_writer_finish(&json, &text, NULL);
        if (r < 0)
                return r;
        return puts(text) >= 0 && fflush(stdout) == 0 ? 0 : -errno;
}

static int read_pick(int argc, char **argv, Pick *ret) {
        static const struct option options[] = {
                { "pick", required_argument, NULL, 'p' },
                {},
        };

        if (getopt_long(argc, argv, "", options, NULL) != 'p')
                return -EINVAL;
        for (size_t i = 0; i < ELEMENTS(pick_words); i++)
                if (strcmp(optarg, pick_words[i]) == 0) {
                        *ret = (Pick) i;
                        return getopt_long(argc, argv, "", options, NULL) < 0 && optind < argc
                                               ? 0
                                               : -EINVAL;
                }
        return -EINVAL;
}

int main(int argc, char **argv) {
        _cleanup_(file_check_done) FileCheck check = {};
        int r;

        if (read_pick(argc, argv, &check.pick) < 0) {
                (void) fprintf(stderr, "usage: %s --pick=newest|oldest|all PATTERN...\n", argv[0]);
                return EXIT_FAILURE;
        }
        check_patterns(&check, argv + optind);
        r = answer(&check);
        if (r < 0)
                (void) fprintf(stderr, "%s: %s\n", argv[0], strerrordesc_np(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
