/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "healthctl/table.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static inline void scols_free_iterp(struct libscols_iter **iter) {
        scols_free_iter(*iter);
}

#define WRAPPED_LEAST 16 /* columns: below that, lines that are too long are the lesser evil */

/* Columns on the terminal of the character at text; *ret_length: its bytes. */
static size_t character_width(const char *text, size_t *ret_length) {
        mbstate_t state = {};
        wchar_t wide;
        size_t length = mbrtowc(&wide, text, strlen(text), &state);
        int width;

        if (length == 0 || length > MB_LEN_MAX) {
                *ret_length = 1;
                return 1;
        }
        width = wcwidth(wide);
        *ret_length = length;
        return width > 0 ? (size_t) width : 0;
}

static size_t text_width(const char *text) {
        size_t width = 0, length;

        for (; *text; text += length)
                width += character_width(text, &length);
        return width;
}

/* Breaks a text into lines of at most room columns: at a space, or within a word that is longer. */
static void text_wrap(TextBuffer *wrapped, const char *text, size_t room) {
        while (text_width(text) > room) {
                size_t width = 0, n = 0, space = 0, length, next;

                for (;; n += length, width += next) {
                        next = character_width(text + n, &length);
                        if (text[n] == ' ')
                                space = n;
                        if (width + next > room)
                                break;
                }
                if (space > 0)
                        n = space;
                text_buffer_add(wrapped, text, n);
                text_buffer_add(wrapped, "\n", 1);
                text += n + (text[n] == ' ');
        }
        text_buffer_add_string(wrapped, text);
}

static void table_add_column(Table *table, const TableColumn *column) {
        struct libscols_column *added = scols_table_new_column(table->table, column->name, 0,
                                                               column->flags);

        assert(table->n_columns < TABLE_COLUMNS_MAX);
        if (!added) {
                table->failed = true;
                return;
        }
        table->widths[table->n_columns++] = text_width(column->name);
        if (!(column->flags & SCOLS_FL_WRAP))
                return;
        table->wraps = table->total_width > 0;
        if (scols_column_set_safechars(added, "\n") < 0 ||
            scols_column_set_wrapfunc(added, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL) <
                            0)
                table->failed = true;
}

void table_init(Table *table, const Terminal *terminal, const TableColumn *columns,
                bool with_names) {
        *table = (Table){ .table = scols_new_table(), .total_width = terminal->width };
        if (!table->table) {
                table->failed = true;
                return;
        }
        scols_table_set_stream(table->table, terminal->out);
        scols_table_enable_noheadings(table->table, !with_names);
        scols_table_enable_colors(table->table, terminal->colours);
        scols_table_set_column_separator(table->table, " ");
        scols_table_set_termforce(table->table, terminal->width > 0 ? SCOLS_TERMFORCE_ALWAYS
                                                                    : SCOLS_TERMFORCE_NEVER);
        if (terminal->width > 0)
                scols_table_set_termwidth(table->table, terminal->width);
        for (; columns->name; columns++)
                table_add_column(table, columns);
}

void table_done(Table *table) {
        scols_unref_table(table->table);
        *table = (Table){};
}

void table_add_row(Table *table) {
        if (table->failed)
                return;
        table->line = scols_table_new_line(table->table, NULL);
        table->n_cells = 0;
        table->failed = !table->line;
}

void table_add_cell(Table *table, const char *text, const char *colour) {
        size_t n = table->n_cells++, width;

        if (table->failed)
                return;
        assert(n < table->n_columns);
        width = text && table->total_width > 0 ? text_width(text) : 0;
        if (width > table->widths[n])
                table->widths[n] = width;
        if (scols_line_set_data(table->line, n, text ? text : "") < 0 ||
            (!string_is_empty(colour) &&
             scols_cell_set_color(scols_line_get_cell(table->line, n), colour) < 0))
                table->failed = true;
}

/* libsmartcols would break within words. */
static int table_wrap(const Table *table) {
        _cleanup_(scols_free_iterp) struct libscols_iter *lines = scols_new_iter(
                        SCOLS_ITER_FORWARD);
        struct libscols_line *line;
        size_t used = 0, last = table->n_columns - 1, room;

        for (size_t i = 0; i < last; i++)
                used += table->widths[i] + 1;
        room = table->total_width > used + WRAPPED_LEAST ? table->total_width - used
                                                         : WRAPPED_LEAST;
        if (!lines)
                return -ENOMEM;
        while (scols_table_next_line(table->table, lines, &line) == 0) {
                struct libscols_cell *cell = scols_line_get_cell(line, last);
                _cleanup_(text_buffer_done) TextBuffer wrapped = {};

                text_wrap(&wrapped, scols_cell_get_data(cell), room);
                if (wrapped.failed || scols_cell_set_data(cell, wrapped.text) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int table_print(Table *table) {
        if (table->failed || (table->wraps && table_wrap(table) < 0) ||
            scols_print_table(table->table) < 0)
                return -ENOMEM;
        return 0;
}
