/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Field names and file:line of the caller are ours to choose; no macro may add its own. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "publish/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/string-util.h"
#include "publish/journal-messages.h"

#define QUEUE_MAX        1024
#define FIELDS_MAX       16
#define FLUSH_WITHIN_SEC 2

struct JournalEntry {
        JournalEntry *next;
        struct iovec fields[FIELDS_MAX]; /* "NAME=value", the message first */
        int n_fields;
};

struct Journal {
        pthread_t thread;
        pthread_mutex_t lock; /* guards everything below it */
        pthread_cond_t changed;
        JournalEntry *first, **last;
        unsigned n_queued;
        uint64_t unsaid; /* dropped since the last entry that said so */
        bool stopping;
        bool plain; /* text on stderr */
        uint64_t *dropped;
};

static JournalEntry *journal_entry_free(JournalEntry *entry) {
        if (!entry)
                return NULL;
        for (int i = 0; i < entry->n_fields; i++)
                free(entry->fields[i].iov_base);
        free(entry);
        return NULL;
}
DEFINE_CLEANUP(JournalEntry, journal_entry_free)

static void journal_entry_add_text(JournalEntry *entry, const char *field, const char *value) {
        char *text;

        if (entry->n_fields >= FIELDS_MAX || string_is_empty(value))
                return;
        if (asprintf(&text, "%s=%s", field, value) < 0)
                return;
        entry->fields[entry->n_fields++] = (struct iovec){ .iov_base = text,
                                                           .iov_len = strlen(text) };
}

void journal_entry_add(JournalEntry *entry, const char *field, const char *format, ...) {
        _cleanup_free_ char *value = NULL;
        va_list arguments;
        int r;

        if (!entry)
                return;
        va_start(arguments, format);
        r = string_vprintf(&value, format, arguments);
        va_end(arguments);
        if (r >= 0)
                journal_entry_add_text(entry, field, value);
}

JournalEntry *journal_entry_new(int priority, const char *message_id, const char *format, ...) {
        JournalEntry *entry = calloc(1, sizeof(JournalEntry));
        _cleanup_free_ char *message = NULL;
        va_list arguments;
        int r;

        if (!entry)
                return NULL;
        va_start(arguments, format);
        r = string_vprintf(&message, format, arguments);
        va_end(arguments);
        if (r < 0)
                return journal_entry_free(entry);
        journal_entry_add_text(entry, "MESSAGE", message);
        journal_entry_add(entry, "PRIORITY", "%d", priority);
        journal_entry_add(entry, "MESSAGE_ID", "%s", message_id);
        journal_entry_add(entry, "SYSLOG_IDENTIFIER", "healthd");
        return entry;
}

/* The message, then the fields that are not plumbing. */
static void journal_write_plain(const JournalEntry *entry) {
        _cleanup_(text_buffer_done) TextBuffer line = {};
        time_t now = time(NULL);
        struct tm local;
        char stamp[32];

        localtime_r(&now, &local);
        strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &local);
        for (int i = 0; i < entry->n_fields; i++) {
                const char *text = entry->fields[i].iov_base, *message;

                message = string_after_prefix(text, "MESSAGE=");
                if (message)
                        text_buffer_printf(&line, "%s %s", stamp, message);
                else if (string_after_prefix(text, "HEALTH_"))
                        text_buffer_printf(&line, " %s", text);
        }
        if (!line.failed && line.text)
                fprintf(stderr, "%s\n", line.text);
}

static void journal_write(const Journal *journal, const JournalEntry *entry) {
        if (journal->plain || sd_journal_sendv(entry->fields, entry->n_fields) < 0)
                journal_write_plain(entry);
}

static void journal_write_dropped(const Journal *journal, uint64_t dropped) {
        _cleanup_(journal_entry_freep) JournalEntry *entry = NULL;

        entry = journal_entry_new(LOG_WARNING, MESSAGE_JOURNAL_DROPPED,
                                  "%" PRIu64 " journal entries were lost: the journal did not "
                                  "take them fast enough",
                                  dropped);
        if (entry)
                journal_write(journal, entry);
}

static void *journal_thread(void *userdata) {
        Journal *journal = userdata;

        pthread_mutex_lock(&journal->lock);
        for (;;) {
                _cleanup_(journal_entry_freep) JournalEntry *entry = NULL;
                uint64_t unsaid;

                while (!journal->first && !journal->stopping)
                        pthread_cond_wait(&journal->changed, &journal->lock);
                entry = journal->first;
                if (!entry)
                        break;
                journal->first = entry->next;
                if (!journal->first)
                        journal->last = &journal->first;
                journal->n_queued--;
                unsaid = journal->unsaid;
                journal->unsaid = 0;
                pthread_mutex_unlock(&journal->lock);
                journal_write(journal, entry);
                if (unsaid > 0)
                        journal_write_dropped(journal, unsaid);
                pthread_mutex_lock(&journal->lock);
        }
        pthread_mutex_unlock(&journal->lock);
        return NULL;
}

static int journal_start_thread(Journal *journal) {
        sigset_t all, before;
        int r;

        /* Signals belong to the loop. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&journal->thread, NULL, journal_thread, journal);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return -r;
}

int journal_new(uint64_t *dropped, Journal **ret) {
        _cleanup_free_ Journal *journal = calloc(1, sizeof(Journal));
        int r;

        if (!journal)
                return -ENOMEM;
        pthread_mutex_init(&journal->lock, NULL);
        pthread_cond_init(&journal->changed, NULL);
        journal->last = &journal->first;
        journal->plain = !stderr_is_journal();
        journal->dropped = dropped;
        r = journal_start_thread(journal);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(journal);
        return 0;
}

Journal *journal_free(Journal *journal) {
        struct timespec until;

        if (!journal)
                return NULL;
        pthread_mutex_lock(&journal->lock);
        journal->stopping = true;
        pthread_cond_signal(&journal->changed);
        pthread_mutex_unlock(&journal->lock);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += FLUSH_WITHIN_SEC;
        /* A journald that hangs keeps the thread and its memory; the process ends all the same. */
        if (pthread_timedjoin_np(journal->thread, NULL, &until) != 0)
                return NULL;
        pthread_cond_destroy(&journal->changed);
        pthread_mutex_destroy(&journal->lock);
        free(journal);
        return NULL;
}

void journal_submit(Journal *journal, JournalEntry *entry) {
        _cleanup_(journal_entry_freep) JournalEntry *owned = entry;

        pthread_mutex_lock(&journal->lock);
        if (owned && journal->n_queued < QUEUE_MAX) {
                *journal->last = owned;
                journal->last = &owned->next;
                journal->n_queued++;
                owned = NULL;
                pthread_cond_signal(&journal->changed);
        } else {
                journal->unsaid++;
                (*journal->dropped)++;
        }
        pthread_mutex_unlock(&journal->lock);
}
