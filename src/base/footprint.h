/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The memory that only the start needs. */

/*
 * Gives back to the kernel what reading the configuration left on the heap, and takes the pages of
 * libraries out of our address space: their constructors and the dynamic loader have been through
 * most of them, and nearly none is needed again. What is needed comes back from the page cache.
 * To be called when everything is set up. Of the program itself every page stays.
 */
void footprint_trim(void);
