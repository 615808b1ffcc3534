/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Libraries that are loaded when the first check or alert that needs one is configured. A host that
 * checks no PostgreSQL needs no libpq, and pays for none.
 *
 * A library has a header of its own, io/libNAME.h. It stands for the library's, and after it a
 * function's name means what was loaded, so who calls it writes it as always and has the arguments
 * checked as always. The tables of types (src/probe/meson.build) say which libraries are loaded
 * before a type is made use of. A function that has no row there does not link.
 */

#include <stdbool.h>
#include <stdint.h>

/* A function, and the pointer through which it is called. */
typedef struct LibrarySymbol {
        const char *name;
        void *pointer; /* to the pointer */
} LibrarySymbol;

typedef struct Library {
        const char *soname;           /* what is loaded: "libpq.so.5" */
        const char *package;          /* what to install where there is none; "": not known */
        const LibrarySymbol *symbols; /* ends with {} */
} Library;

/**
 * library_load() - Has the functions of a library; again and again, if need be.
 * @ret_why: with -ELIBACC why there are none and what to do, for people
 *
 * Reads files, so it is for when the configuration is read. Never unloaded: what a library leaves
 * behind at exit would call into nothing.
 *
 * Return: 0, -ELIBACC or -ENOMEM.
 */
int library_load(const Library *library, char **ret_why);

/* Of a type, up to NULL. */
#define LIBRARIES(...) ((const Library *const[]){ __VA_ARGS__ })
/* The same for several, up to NULL; libraries may be NULL itself. */
int library_load_all(const Library *const *libraries, char **ret_why);

/*
 * For the list of functions of a library, which is a macro that writes a row for each:
 * LIBRARY_DECLARE in its header, the others in its file. The names of the header are those of the
 * linker until the header says otherwise.
 */
#define LIBRARY_DECLARE(function) extern typeof(function) *sym_##function;
#define LIBRARY_DEFINE(function)  typeof(sym_##function) sym_##function;
#define LIBRARY_SYMBOL(function)  { #function, (void *) &sym_##function },

/*
 * Says in the program's file what it may load, as packagers and initrds read it (the ELF notes of
 * systemd and the UAPI group: `readelf --notes`, dlopen-notes.py).
 */
#define LIBRARY_NOTE(feature, description, priority, soname)                                       \
        LIBRARY_NOTE_OF("[{\"feature\":\"" feature "\",\"description\":\"" description             \
                        "\",\"priority\":\"" priority "\",\"soname\":[\"" soname "\"]}]")
#define LIBRARY_NOTE_OF(json)                                                                      \
        __attribute__((used, section(".note.dlopen"), aligned(4))) static const struct {           \
                uint32_t name_size, text_size, type;                                               \
                char name[sizeof("FDO")];                                                          \
                char text[sizeof(json)] __attribute__((aligned(4)));                               \
        } library_note = { sizeof("FDO"), sizeof(json), 0x407c0c0a, "FDO", json }
