/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/*
 * Starts a thread that nobody waits for. It blocks all signals: they belong to the loop. stack_size
 * is in bytes. Returns 0 or a negative errno.
 */
int thread_start(void *(*run)(void *userdata), void *userdata, size_t stack_size);
