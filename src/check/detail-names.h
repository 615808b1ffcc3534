/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The names of details, each kept once however many samples have it: thousands of checks of a type
 * share their dozen names, which stay in the cache then. Only the thread of the loop has samples.
 */

#include <stddef.h>
#include <stdint.h>

/* Given back by detail_name_release(). Returns 0 if there is no memory. */
uint32_t detail_name_take(const char *name, size_t length);
void detail_name_release(uint32_t id);
/* The text behind an id that is taken; valid for as long. */
const char *detail_name_text(uint32_t id);
