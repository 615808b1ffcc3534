/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config-search.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.@"

/* A file met in a directory of the search path. */
typedef struct FoundFile {
        char *name;
        char *path;
        size_t rank; /* of the directory: 0 wins */
} FoundFile;

typedef struct FoundFiles {
        FoundFile *items;
        size_t n_items;
        size_t n_allocated;
} FoundFiles;

static void found_file_done(FoundFile *file) {
        free(file->name);
        free(file->path);
        *file = (FoundFile){};
}

static void found_files_done(FoundFiles *found) {
        for (size_t i = 0; i < found->n_items; i++)
                found_file_done(&found->items[i]);
        free(found->items);
        *found = (FoundFiles){};
}

static int found_file_compare(const void *left, const void *right) {
        const FoundFile *a = left, *b = right;
        int r = strcmp(a->name, b->name);

        return r != 0 ? r : (a->rank > b->rank) - (a->rank < b->rank);
}

/* By name, and of one name only that of the earliest directory. */
static void found_files_settle(FoundFiles *found) {
        size_t kept = 0;

        if (found->n_items > 0)
                qsort(found->items, found->n_items, sizeof(FoundFile), found_file_compare);
        for (size_t i = 0; i < found->n_items; i++)
                if (kept > 0 && string_equal(found->items[kept - 1].name, found->items[i].name))
                        found_file_done(&found->items[i]);
                else
                        found->items[kept++] = found->items[i];
        found->n_items = kept;
}

static int found_files_add(FoundFiles *found, const char *directory, const char *name,
                           size_t rank) {
        _cleanup_(found_file_done) FoundFile file = { .name = strdup(name), .rank = rank };

        if (!file.name || string_printf(&file.path, "%s/%s", directory, name) < 0)
                return -ENOMEM;
        if (found->n_items == found->n_allocated) {
                size_t n_allocated = found->n_allocated * 2 + 16;
                FoundFile *grown = reallocarray(found->items, n_allocated, sizeof(FoundFile));
                if (!grown)
                        return -ENOMEM;
                found->items = grown;
                found->n_allocated = n_allocated;
        }
        found->items[found->n_items++] = file;
        file = (FoundFile){};
        return 0;
}

/* Backup copies of editors and packagers end otherwise: "x.check~", "x.check.dpkg-old". */
static bool name_is_wanted(const char *name, const char *suffix) {
        size_t length = strlen(name), suffix_length = strlen(suffix);

        return *name != '.' && length > suffix_length &&
               string_equal(name + length - suffix_length, suffix);
}

/* Whether an error is the directory's own fault: it is there, and so is what it is in. */
static bool directory_is_at_fault(int error, const char *path) {
        struct stat status;

        return error != 0 && error != ENOENT && (error != ENOTDIR || lstat(path, &status) == 0);
}

static int found_files_scan(FoundFiles *found, const char *path, const char *suffix, size_t rank,
                            ConfigProblems *problems) {
        _cleanup_(closedirp) DIR *directory = opendir(path);
        struct dirent *entry;
        int r, error = directory ? 0 : errno;

        while (directory) {
                errno = 0;
                entry = readdir(directory);
                if (!entry) {
                        error = errno;
                        break;
                }
                if (!name_is_wanted(entry->d_name, suffix))
                        continue;
                r = found_files_add(found, path, entry->d_name, rank);
                if (r < 0)
                        return r;
        }
        if (error == ENOMEM)
                return -ENOMEM;
        if (directory_is_at_fault(error, path))
                config_problems_add(problems, path, 0, "the directory cannot be read: %s",
                                    strerrordesc_np(error));
        return 0;
}

/* Every file in a subdirectory that ends in suffix, sorted, the hidden ones left out. */
static int found_files_search(FoundFiles *found, char *const *directories, const char *subdirectory,
                              const char *suffix, ConfigProblems *problems) {
        int r;

        for (size_t rank = 0; directories[rank]; rank++) {
                _cleanup_free_ char *path = NULL;

                r = string_printf(&path, "%s/%s", directories[rank], subdirectory);
                if (r < 0)
                        return r;
                r = found_files_scan(found, path, suffix, rank, problems);
                if (r < 0)
                        return r;
        }
        found_files_settle(found);
        return 0;
}

static bool path_is_mask(const char *path) {
        struct stat status;

        if (stat(path, &status) < 0)
                return false;
        if (S_ISREG(status.st_mode))
                return status.st_size == 0;
        return S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3); /* /dev/null */
}

/* "redis" of "checks/redis.check". */
static char *name_of(const char *base) {
        const char *slash = strrchr(base, '/'), *name = slash ? slash + 1 : base;
        const char *dot = strrchr(name, '.');

        return dot ? strndup(name, (size_t) (dot - name)) : strdup(name);
}

static int config_file_read_drop_ins(ConfigFile *file, char *const *directories, const char *base,
                                     ConfigProblems *problems) {
        _cleanup_(found_files_done) FoundFiles found = {};
        _cleanup_free_ char *subdirectory = NULL;
        int r;

        r = string_printf(&subdirectory, "%s.d", base);
        if (r < 0)
                return r;
        r = found_files_search(&found, directories, subdirectory, ".conf", problems);
        if (r < 0)
                return r;
        for (size_t i = 0; i < found.n_items; i++) {
                if (path_is_mask(found.items[i].path))
                        continue;
                r = config_file_read(file, found.items[i].path, problems);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The main file, if there is a path, and the drop-ins of base. */
static int config_file_load(const char *path, char *const *directories, const char *base,
                            ConfigProblems *problems, ConfigFile **ret) {
        _cleanup_(config_file_freep) ConfigFile *file = calloc(1, sizeof(ConfigFile));
        int r;

        if (!file)
                return -ENOMEM;
        file->first_problem = problems->n_items;
        file->name = name_of(base);
        if (!file->name)
                return -ENOMEM;
        if (path && path_is_mask(path))
                r = string_replace(&file->mask, path);
        else
                r = path ? config_file_read(file, path, problems) : 0;
        if (r < 0)
                return r;
        r = config_file_read_drop_ins(file, directories, base, problems);
        if (r < 0)
                return r;
        file->n_problems = problems->n_items - file->first_problem;
        *ret = TAKE_PTR(file);
        return 0;
}

int config_search_read(char *const *directories, const char *base, ConfigProblems *problems,
                       ConfigFile **ret) {
        _cleanup_free_ char *path = NULL;
        struct stat status;
        bool found = false;
        int r;

        /* Anything else than absence, a broken link above all, is for config_file_read() to say. */
        for (size_t i = 0; directories[i] && !found; i++) {
                r = string_printf(&path, "%s/%s", directories[i], base);
                if (r < 0)
                        return r;
                found = lstat(path, &status) == 0 || (errno != ENOENT && errno != ENOTDIR);
        }
        return config_file_load(found ? path : NULL, directories, base, problems, ret);
}

/* Reads a found file, unless it is masked or its name cannot be used: *ret is NULL then. */
static int config_file_load_found(const FoundFile *found, char *const *directories,
                                  const char *subdirectory, ConfigProblems *problems,
                                  ConfigFile **ret) {
        _cleanup_free_ char *base = NULL;
        int r;

        if (path_is_mask(found->path)) {
                *ret = NULL;
                return 0;
        }
        if (found->name[strspn(found->name, NAME_CHARACTERS)]) {
                config_problems_add(problems, found->path, 0,
                                    "passed over: rename it; names are made of letters, digits and "
                                    "_ - . @");
                *ret = NULL;
                return 0;
        }
        r = string_printf(&base, "%s/%s", subdirectory, found->name);
        if (r < 0)
                return r;
        return config_file_load(found->path, directories, base, problems, ret);
}

static int config_file_compare(const void *left, const void *right) {
        const ConfigFile *const *a = left, *const *b = right;

        return strcmp((*a)->name, (*b)->name);
}

int config_search_read_all(char *const *directories, const char *subdirectory, const char *suffix,
                           ConfigProblems *problems, ConfigFileList *ret) {
        _cleanup_(config_file_list_done) ConfigFileList list = {};
        _cleanup_(found_files_done) FoundFiles found = {};
        int r;

        r = found_files_search(&found, directories, subdirectory, suffix, problems);
        if (r < 0)
                return r;
        list.items = calloc(found.n_items + 1, sizeof(ConfigFile *));
        if (!list.items)
                return -ENOMEM;
        for (size_t i = 0; i < found.n_items; i++) {
                ConfigFile *file;

                r = config_file_load_found(&found.items[i], directories, subdirectory, problems,
                                           &file);
                if (r < 0)
                        return r;
                if (file)
                        list.items[list.n_items++] = file;
        }
        /* By the bare names: "redis" before "redis-2", unlike "redis.check" and "redis-2.check". */
        qsort(list.items, list.n_items, sizeof(ConfigFile *), config_file_compare);
        *ret = list;
        list = (ConfigFileList){};
        return 0;
}

void config_file_list_done(ConfigFileList *list) {
        for (size_t i = 0; i < list->n_items; i++)
                config_file_free(list->items[i]);
        free(list->items);
        *list = (ConfigFileList){};
}
