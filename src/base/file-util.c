/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/file-util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"

int file_read_small(const char *path, char *buffer, size_t size) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        size_t length = 0;
        ssize_t n;

        if (fd < 0)
                return -errno;
        while (length < size - 1) {
                n = read(fd, buffer + length, size - 1 - length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                length += (size_t) n;
        }
        buffer[length] = '\0';
        return (int) length;
}

int directory_count_numbers(const char *path, unsigned *ret_count) {
        _cleanup_(closedirp) DIR *directory = opendir(path);
        struct dirent *entry;
        unsigned count = 0;

        if (!directory)
                return -errno;
        while ((entry = readdir(directory)))
                if (isdigit((unsigned char) entry->d_name[0]))
                        count++;
        *ret_count = count;
        return 0;
}

bool error_is_shortage(int error) {
        return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
               error == ENOSPC;
}
