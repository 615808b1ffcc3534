/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * start-program PROGRAM [ARGUMENT...]: becomes a program of the user's, if it may be trusted. Apart
 * because the program may be on a file system that hangs: neither a look at it nor its exec() would
 * return then. What it says if it does not become it is for io/child.c.
 */

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "io/trusted-program.h"

int main(int argc, char **argv) {
        _cleanup_free_ char *why = NULL;
        int r;

        if (argc < 2) {
                (void) fputs("Write: start-program PROGRAM [ARGUMENT...]\n", stderr);
                return EXIT_FAILURE;
        }
        r = trusted_program_check(argv[1], &why);
        if (r >= 0) {
                (void) execv(argv[1], argv + 1);
                r = -errno;
        }
        (void) printf(PROGRAM_NOT_STARTED "%d %s", -r, why ? why : "");
        return PROGRAM_NOT_STARTED_STATUS;
}
