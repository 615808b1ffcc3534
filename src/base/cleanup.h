/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Cleanup attributes: every owned local has one from its declaration on. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

/* Defines TYPE_freep() for a destructor that takes a pointer and accepts NULL. */
#define DEFINE_CLEANUP(type, function)                                                             \
        static inline void function##p(type **pointer) {                                           \
                if (*pointer)                                                                      \
                        function(*pointer);                                                        \
        }

/* Hands an owned value over: evaluates to it and leaves the variable empty. */
#define TAKE_PTR(pointer)                                                                          \
        ({                                                                                         \
                __auto_type taken_ = (pointer);                                                    \
                (pointer) = NULL;                                                                  \
                taken_;                                                                            \
        })
#define TAKE_FD(fd)                                                                                \
        ({                                                                                         \
                int taken_ = (fd);                                                                 \
                (fd) = -1;                                                                         \
                taken_;                                                                            \
        })

static inline void cleanup_free(void *pointer) {
        free(*(void **) pointer);
}
DEFINE_CLEANUP(FILE, fclose)
DEFINE_CLEANUP(DIR, closedir)
static inline void cleanup_close(const int *fd) {
        if (*fd >= 0)
                close(*fd);
}

#define _cleanup_free_   _cleanup_(cleanup_free)
#define _cleanup_fclose_ _cleanup_(fclosep)
#define _cleanup_close_  _cleanup_(cleanup_close)

/* Closes an fd that may be -1; returns -1, to be assigned back. */
static inline int fd_close(int fd) {
        if (fd >= 0)
                close(fd);
        return -1;
}

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
