/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/trusted-program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/string-util.h"

/* As many as the kernel follows. */
#define LINKS_MAX 40

static int refuse(char **ret_why, int error, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
static int refuse(char **ret_why, int error, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void) string_vprintf(ret_why, format, arguments);
        va_end(arguments);
        return error;
}

static int refuse_missing(const char *path, int error, char **ret_why) {
        if (error == -ENOENT)
                return refuse(ret_why, error,
                              "%s is not there; install the package it comes from, or mend the "
                              "path in Command=",
                              path);
        return refuse(ret_why, error, "%s cannot be looked at: %s", path, strerrordesc_np(-error));
}

static int file_check(const char *path, const struct stat *st, char **ret_why) {
        if (!S_ISREG(st->st_mode))
                return refuse(ret_why, -EACCES, "%s is not a file that could be run", path);
        if (st->st_uid != 0)
                return refuse(ret_why, -EPERM,
                              "%s is not run: it belongs to the user %u, who could change what "
                              "healthd does; \"chown root:root %s\" if you trust its contents",
                              path, st->st_uid, path);
        if (st->st_mode & S_IWOTH || (st->st_mode & S_IWGRP && st->st_gid != 0))
                return refuse(ret_why, -EPERM,
                              "%s is not run: others than root can write it; \"chmod go-w %s\" if "
                              "you trust its contents",
                              path, path);
        return 0;
}

/* A directory on the way, or a link in its place. */
static int step_check(const char *path, const struct stat *st, char **ret_why) {
        bool is_open = S_ISDIR(st->st_mode) && st->st_mode & S_IWOTH && !(st->st_mode & S_ISVTX);

        if (st->st_uid == 0 && !is_open)
                return 0;
        return refuse(ret_why, -EPERM,
                      "nothing below %s is run: %s, so others than root can put another program "
                      "there; move the plug-in to a directory of root's, such as "
                      "/usr/local/lib/healthd",
                      path, is_open ? "everybody can write it" : "it does not belong to root");
}

/* Where the way goes on: behind a link, with what comes after it. */
static int link_follow(const char *link, const char *rest, char next[PATH_MAX]) {
        int directory_length = (int) (strrchr(link, '/') + 1 - link), length;
        char target[PATH_MAX];
        ssize_t n = readlink(link, target, sizeof(target) - 1);

        if (n < 0)
                return -errno;
        target[n] = '\0';
        length = snprintf(next, PATH_MAX, "%.*s%s%s", *target == '/' ? 0 : directory_length, link,
                          target, rest);
        return length < PATH_MAX ? 1 : -ENAMETOOLONG;
}

/*
 * Every step of the way, from the root to the last directory, or to the first link. Returns 1 if
 * there is one, and how the way goes on from there.
 */
static int way_check(const char *path, char next[PATH_MAX], char **ret_why) {
        char step[PATH_MAX];
        struct stat st;
        int r;

        for (const char *end = path;; end = strchrnul(end + 1, '/')) {
                size_t length = end == path ? 1 : (size_t) (end - path);

                memcpy(step, path, length);
                step[length] = '\0';
                if (lstat(step, &st) < 0)
                        return refuse_missing(path, -errno, ret_why);
                if (!*end && !S_ISLNK(st.st_mode))
                        return 0;
                r = step_check(step, &st, ret_why);
                if (r < 0)
                        return r;
                if (!S_ISLNK(st.st_mode))
                        continue;
                r = link_follow(step, end, next);
                return r < 0 ? refuse_missing(path, r, ret_why) : r;
        }
}

/* Link by link: whoever owns one of them, or the directory it is in, can lead elsewhere. */
static int ways_check(const char *path, char **ret_why) {
        char way[PATH_MAX], next[PATH_MAX];
        int r;

        (void) stpcpy(way, path);
        for (unsigned n = 0; n <= LINKS_MAX; n++) {
                r = way_check(way, next, ret_why);
                if (r <= 0)
                        return r;
                memcpy(way, next, sizeof(way));
        }
        return refuse_missing(path, -ELOOP, ret_why);
}

int trusted_program_check(const char *path, char **ret_why) {
        _cleanup_close_ int fd = -1;
        struct stat st;
        int r;

        *ret_why = NULL;
        if (strlen(path) >= PATH_MAX)
                return refuse_missing(path, -ENAMETOOLONG, ret_why);
        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return refuse_missing(path, -errno, ret_why);
        r = file_check(path, &st, ret_why);
        if (r == 0)
                r = ways_check(path, ret_why);
        if (r < 0)
                return r;
        if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
                return refuse(ret_why, -errno,
                              "%s cannot be run by healthd's user: %s; \"chmod 755 %s\"", path,
                              strerrordesc_np(errno), path);
        return 0;
}
