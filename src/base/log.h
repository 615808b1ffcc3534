/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Diagnostics on stderr: what main says before the loop runs and after it ended. While the loop
 * runs, everything goes through publish/journal, which never blocks.
 */

#include <stdbool.h>
#include <syslog.h>

/* Whether systemd connected stderr to the journal: JOURNAL_STREAM names its device and inode. */
bool stderr_is_journal(void);

void log_message(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_message(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_message(LOG_INFO, __VA_ARGS__)
