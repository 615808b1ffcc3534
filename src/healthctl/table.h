/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tables by libsmartcols, as wide as the terminal; in a pipe nothing is cut or wrapped. */

#include <libsmartcols/libsmartcols.h>
#include <stddef.h>

#include "healthctl/healthctl.h"

#define TABLE_COLUMNS_MAX 8

typedef struct TableColumn {
        const char *name;
        int flags; /* SCOLS_FL_RIGHT, SCOLS_FL_TRUNC; SCOLS_FL_WRAP for the last: between words */
} TableColumn;

/* Errors are sticky: table_print() tells. */
typedef struct Table {
        struct libscols_table *table;
        struct libscols_line *line;
        size_t n_cells; /* of the line */
        size_t n_columns;
        size_t widths[TABLE_COLUMNS_MAX]; /* of the widest cell */
        size_t total_width;               /* of the terminal; 0: no limit */
        bool wraps;                       /* the last column */
        bool failed;
} Table;

/* columns ends with {}. with_names: whether the columns' names are shown above. */
void table_init(Table *table, const Terminal *terminal, const TableColumn *columns,
                bool with_names);
void table_done(Table *table);
void table_add_row(Table *table);
/* The next cell of the row; colour: an escape sequence, or NULL or "". */
void table_add_cell(Table *table, const char *text, const char *colour);
/* Returns 0 or -ENOMEM. */
int table_print(Table *table);
