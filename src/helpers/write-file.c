/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * write-file PATH: puts its standard input in the place of a file, in one step: whoever reads PATH
 * sees the old content or all of the new one. Apart because a disk may be slow, or gone.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/string-util.h"

static int copy(int from, int to) {
        char buffer[16384];
        ssize_t n;

        while ((n = read(from, buffer, sizeof(buffer))) > 0)
                for (ssize_t done = 0; done < n;) {
                        ssize_t written = write(to, buffer + done, (size_t) (n - done));

                        if (written < 0)
                                return -errno;
                        done += written;
                }
        return n < 0 ? -errno : 0;
}

static int replace(const char *path) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        /* The collector reads *.prom only. */
        r = string_printf(&temporary, "%s.new", path);
        if (r < 0)
                return r;
        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return -errno;
        r = copy(STDIN_FILENO, fd);
        /* Whoever reads it is another user. */
        if (r >= 0 && fchmod(fd, 0644) < 0)
                r = -errno;
        if (r >= 0 && rename(temporary, path) < 0)
                r = -errno;
        if (r < 0)
                (void) unlink(temporary);
        return r;
}

int main(int argc, char **argv) {
        int r;

        if (argc != 2) {
                (void) fputs("Write: write-file PATH\n", stderr);
                return EXIT_FAILURE;
        }
        r = replace(argv[1]);
        if (r < 0)
                (void) fputs(strerror(-r), stderr);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
