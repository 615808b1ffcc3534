/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a webhook is sent, as its receiver wants it: a text in which ${name} stands for a value of
 * the message and "$$" for "$". Values are escaped to stand between the quotes of a JSON string.
 * What is said of one check speaks of the first event.
 */

#include "alert/alert.h"

/* Whether every ${name} is known. Returns 0, -EINVAL with *ret_why for people, or -ENOMEM. */
int template_check(const char *text, char **ret_why);

/* text passed template_check(). Returns 0 or -ENOMEM. */
int template_render(const char *text, const AlertMessage *message, char **ret_text,
                    size_t *ret_length);
