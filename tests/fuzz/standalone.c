/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A main() for a fuzzer's LLVMFuzzerTestOneInput(), for compilers without libFuzzer: feeds it every
 * file named on the command line, and every file below a directory named there, and says so in
 * TAP. Fails if there was none.
 */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/string-util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed_file(const char *path, unsigned *n_files) {
        _cleanup_fclose_ FILE *file = fopen(path, "re");
        _cleanup_(text_buffer_done) TextBuffer buffer = {};
        _cleanup_free_ char *text = NULL;
        char chunk[4096];
        size_t length = 0;

        if (!file)
                return -errno;
        while ((length = fread(chunk, 1, sizeof(chunk), file)) > 0)
                text_buffer_add(&buffer, chunk, length);
        if (ferror(file) || text_buffer_finish(&buffer, &text, &length) < 0)
                return -EIO;
        LLVMFuzzerTestOneInput((const uint8_t *) text, length);
        printf("ok %u - %s\n", ++*n_files, path);
        return 0;
}

static int feed_path(const char *path, unsigned *n_files);

static int feed_directory(const char *path, unsigned *n_files) {
        _cleanup_(closedirp) DIR *directory = opendir(path);
        struct dirent *entry;
        int r = 0;

        if (!directory)
                return -errno;
        while (r == 0 && (entry = readdir(directory))) {
                _cleanup_free_ char *child = NULL;

                if (string_equal(entry->d_name, ".") || string_equal(entry->d_name, ".."))
                        continue;
                r = string_printf(&child, "%s/%s", path, entry->d_name);
                if (r == 0)
                        r = feed_path(child, n_files);
        }
        return r;
}

static int feed_path(const char *path, unsigned *n_files) {
        struct stat status;
        int r;

        if (stat(path, &status) < 0)
                r = -errno;
        else if (S_ISDIR(status.st_mode))
                return feed_directory(path, n_files);
        else
                r = feed_file(path, n_files);
        if (r < 0)
                printf("not ok %u - %s: %s\n", ++*n_files, path, strerror(-r));
        return r;
}

int main(int argc, char *argv[]) {
        unsigned n_files = 0;
        int r = 0;

        for (int i = 1; i < argc && r == 0; i++)
                r = feed_path(argv[i], &n_files);
        if (n_files == 0) {
                /* "1..0" would mean that the tests were skipped. */
                printf("not ok 1 - no file to feed\n1..1\n");
                return 1;
        }
        printf("# %u files\n1..%u\n", n_files, n_files);
        return r < 0;
}
