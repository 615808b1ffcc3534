/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "alert/email-text.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"

/* RFC 2047: an encoded word is 75 letters at most, with its frame. */
#define ENCODED_MAX    63
/* RFC 5321: a line is 998 bytes at most. */
#define LINE_MAX_BYTES 900

bool email_address_is_valid(const char *address) {
        const char *at = strchr(address, '@');

        for (const char *c = address; *c; c++)
                if (!isgraph((unsigned char) *c) || strchr("<>,;\"()\\:", *c))
                        return false;
        return at && at > address && at[1] && !strchr(at + 1, '@') && *address != '-';
}

static bool is_plain(const char *text) {
        for (; *text; text++)
                if (!isascii(*text) || !isprint((unsigned char) *text))
                        return false;
        return true;
}

/* One character of a subject, as "Q" encoding has it. */
static void encode_character(const char *text, size_t n, char *out, size_t size) {
        size_t length = 0;

        for (size_t i = 0; i < n && length + 4 <= size; i++) {
                unsigned char byte = (unsigned char) text[i];

                if (isascii(byte) && isalnum(byte))
                        out[length++] = (char) byte;
                else
                        length += (size_t) snprintf(out + length, size - length, "=%02X", byte);
        }
        out[length] = '\0';
}

static void add_subject(TextBuffer *out, const char *subject) {
        size_t left = strlen(subject), used = ENCODED_MAX + 1;
        bool first = true;

        text_buffer_add_string(out, "Subject: ");
        if (is_plain(subject) && left < LINE_MAX_BYTES) {
                text_buffer_printf(out, "%s\r\n", subject);
                return;
        }
        while (left > 0) {
                size_t n = utf8_sequence_length(subject, left);
                char encoded[16];

                n = n > 0 ? n : 1;
                encode_character(subject, n, encoded, sizeof(encoded));
                if (used + strlen(encoded) > ENCODED_MAX) {
                        text_buffer_printf(out, "%s=?UTF-8?Q?", first ? "" : "?=\r\n ");
                        used = 0;
                        first = false;
                }
                text_buffer_add_string(out, encoded);
                used += strlen(encoded);
                subject += n;
                left -= n;
        }
        text_buffer_add_string(out, "?=\r\n");
}

static void add_recipients(TextBuffer *out, char *const *to) {
        for (size_t i = 0; to[i]; i++)
                text_buffer_printf(out, "%s<%s>", i > 0 ? ",\r\n " : "To: ", to[i]);
        text_buffer_add_string(out, "\r\n");
}

/* The names of days and months are English whatever the locale is: it is never set. */
static void add_date(TextBuffer *out, uint64_t realtime_usec) {
        time_t seconds = (time_t) (realtime_usec / USEC_PER_SEC);
        char text[64];
        struct tm tm;

        if (gmtime_r(&seconds, &tm) &&
            strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &tm) > 0)
                text_buffer_printf(out, "Date: %s\r\n", text);
}

/* As much of a text as fits a line, not cutting a character. */
static size_t line_length(const char *text, size_t length) {
        if (length <= LINE_MAX_BYTES)
                return length;
        length = LINE_MAX_BYTES;
        while (length > 1 && ((unsigned char) text[length] & 0xc0) == 0x80)
                length--;
        return length;
}

static void add_body(TextBuffer *out, const char *text) {
        while (*text) {
                size_t whole = strcspn(text, "\n"), n = line_length(text, whole);

                text_buffer_add(out, text, n);
                text_buffer_add(out, "\r\n", 2);
                text += n;
                if (n == whole && *text)
                        text++;
        }
}

int email_text_render(const AlertMessage *message, const char *from, char *const *to,
                      char **ret_text, size_t *ret_length) {
        _cleanup_(text_buffer_done) TextBuffer out = {};
        const AlertEvent *event = &message->events[0];

        add_date(&out, message->created_usec);
        text_buffer_printf(&out, "From: <%s>\r\n", from);
        add_recipients(&out, to);
        add_subject(&out, message->subject);
        /* The same failure is one thread in a mail reader. */
        text_buffer_printf(&out, "Message-ID: <%s.%" PRIu64 "@healthd.invalid>\r\n", event->id,
                           message->created_usec);
        text_buffer_printf(&out, "References: <%s.%" PRIu64 "@healthd.invalid>\r\n", event->id,
                           event->begin_usec);
        text_buffer_add_string(&out, "Auto-Submitted: auto-generated\r\n"
                                     "MIME-Version: 1.0\r\n"
                                     "Content-Type: text/plain; charset=UTF-8\r\n"
                                     "Content-Transfer-Encoding: 8bit\r\n\r\n");
        add_body(&out, message->text);
        text_buffer_printf(&out, "\r\n-- \r\nhealthd on %s, alert %s\r\n", message->host,
                           message->alert);
        return text_buffer_finish(&out, ret_text, ret_length);
}
