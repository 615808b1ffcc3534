/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Whether a program may be run unattended: whoever can change it can do whatever healthd may do,
 * with every credential it is given.
 */

/*
 * The file belongs to root and only root can write it; the directories on the way to it (as it is
 * written, and where links lead) belong to root and not everybody can write them, unless they are
 * sticky. path: absolute. Returns 0, or a negative errno and *ret_why, owned by the caller: what is
 * wrong and what to do; NULL if memory is short.
 */
int trusted_program_check(const char *path, char **ret_why);

/*
 * How start-program says on its standard output that it did not become the program: with this, the
 * errno as a number, a blank, and the text of trusted_program_check() if that was it. No plug-in
 * says so and ends with this status by accident.
 */
#define PROGRAM_NOT_STARTED        "\001start-program\001"
#define PROGRAM_NOT_STARTED_STATUS 125
