/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/file-util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"

/* So many processes may begin and end while they are counted. */
#define LINKS_TOLERANCE     8
#define LINKS_TRUSTED_TIMES 60

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

/* Entries that begin with a digit, and other directories ("." and ".." are two). */
static int directory_count(const char *path, unsigned *ret_numbers, unsigned *ret_others) {
        _cleanup_(closedirp) DIR *directory = opendir(path);
        struct dirent *entry;
        unsigned numbers = 0, others = 0;

        if (!directory)
                return -errno;
        while ((entry = readdir(directory))) {
                if (isdigit((unsigned char) entry->d_name[0]))
                        numbers++;
                else if (entry->d_type == DT_DIR)
                        others++;
        }
        *ret_numbers = numbers;
        *ret_others = others;
        return 0;
}

int directory_count_numbers(const char *path, unsigned *ret_count) {
        unsigned others;

        return directory_count(path, ret_count, &others);
}

int process_counter_read(ProcessCounter *counter, const char *path, unsigned *ret_count) {
        struct stat st;
        unsigned others = 0;
        int r;

        if (stat(path, &st) < 0)
                return -errno;
        if (counter->times_trusted > 0 && st.st_nlink > counter->other_links) {
                counter->times_trusted--;
                *ret_count = (unsigned) st.st_nlink - counter->other_links;
                return 0;
        }
        r = directory_count(path, ret_count, &others);
        if (r < 0)
                return r;
        counter->other_links = others;
        /* Not so in a container, which sees its own only, with hidepid=, and where links mean
         * nothing. */
        if (labs((long) st.st_nlink - (long) others - (long) *ret_count) <= LINKS_TOLERANCE)
                counter->times_trusted = LINKS_TRUSTED_TIMES;
        return 0;
}

bool error_is_shortage(int error) {
        return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
               error == ENOSPC;
}
