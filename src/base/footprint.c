/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/footprint.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Code that was relocated is in no file. */
static bool has_relocated_code(const struct dl_phdr_info *object) {
        for (size_t i = 0; i < object->dlpi_phnum; i++) {
                const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
                const ElfW(Dyn) * entry;

                if (segment->p_type != PT_DYNAMIC)
                        continue;
                entry = (const ElfW(Dyn) *) (object->dlpi_addr + segment->p_vaddr);
                for (; entry->d_tag != DT_NULL; entry++)
                        if (entry->d_tag == DT_TEXTREL ||
                            (entry->d_tag == DT_FLAGS && entry->d_un.d_val & DF_TEXTREL))
                                return true;
        }
        return false;
}

static int trim_object(struct dl_phdr_info *object, size_t size, void *userdata) {
        uintptr_t page_mask = ~((uintptr_t) sysconf(_SC_PAGESIZE) - 1);

        (void) size;
        (void) userdata;
        /* The program has no name here. A debugger's breakpoints in it are changed code, too. */
        if (!object->dlpi_name || !*object->dlpi_name || has_relocated_code(object))
                return 0;
        for (size_t i = 0; i < object->dlpi_phnum; i++) {
                const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
                uintptr_t begin = (object->dlpi_addr + segment->p_vaddr) & page_mask;
                uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;

                /* What cannot be written is as it is in the file. */
                if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W))
                        (void) madvise((void *) begin, end - begin, MADV_DONTNEED);
        }
        return 0;
}

void footprint_trim(void) {
        malloc_trim(0);
        (void) dl_iterate_phdr(trim_object, NULL);
}
