/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads a byte of each page of what is measured, ten times a second, from another core, so that the
 * host of a virtual machine has no reason to take the page back: keep-warm CORE looks after all
 * processes that may run on this core alone.
 */

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define INTERVAL_USEC   100000
/* More is touched often enough by who has it, and would keep this core busy. */
#define PAGES_MAX       16384
#define BATCH           1024

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)

typedef struct Pages {
        pid_t pid;
        struct iovec remote[BATCH];
        size_t n;
} Pages;

static void pages_touch(Pages *pages) {
        static char bytes[BATCH];
        struct iovec local = { .iov_base = bytes, .iov_len = pages->n };

        /* The process may end at any time. */
        (void) process_vm_readv(pages->pid, &local, 1, pages->remote, pages->n, 0);
        pages->n = 0;
}

/* Only those that are there: touching others would make the process larger. */
static void pages_add_mapping(Pages *pages, int pagemap, uintptr_t begin, uintptr_t end) {
        const uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);
        uint64_t entries[BATCH];

        while (begin < end) {
                size_t left = (end - begin) / page, wanted = left < BATCH ? left : BATCH;
                ssize_t n = pread(pagemap, entries, wanted * sizeof(*entries),
                                  (off_t) (begin / page * sizeof(*entries)));

                if (n <= 0)
                        return;
                for (size_t i = 0; i < (size_t) n / sizeof(*entries); i++, begin += page) {
                        if (!(entries[i] & PAGEMAP_PRESENT))
                                continue;
                        pages->remote[pages->n++] = (struct iovec){ (void *) begin, 1 };
                        if (pages->n == BATCH)
                                pages_touch(pages);
                }
        }
}

static long resident_pages(pid_t pid) {
        char path[64];
        long size, resident = 0;
        FILE *file;

        (void) snprintf(path, sizeof(path), "/proc/%d/statm", pid);
        file = fopen(path, "re");
        if (!file)
                return 0;
        if (fscanf(file, "%ld %ld", &size, &resident) != 2)
                resident = 0;
        (void) fclose(file);
        return resident;
}

static void keep_process_warm(pid_t pid) {
        Pages pages = { .pid = pid };
        char path[64], line[512], readable;
        uintptr_t begin, end;
        int pagemap;
        FILE *maps;

        (void) snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
        pagemap = open(path, O_RDONLY | O_CLOEXEC);
        (void) snprintf(path, sizeof(path), "/proc/%d/maps", pid);
        maps = fopen(path, "re");
        while (maps && pagemap >= 0 && fgets(line, sizeof(line), maps))
                /* One byte that cannot be read, as in [vvar], would be the last of its batch. */
                if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %c", &begin, &end, &readable) == 3 &&
                    readable == 'r' && !strstr(line, "[v"))
                        pages_add_mapping(&pages, pagemap, begin, end);
        pages_touch(&pages);
        if (maps)
                (void) fclose(maps);
        if (pagemap >= 0)
                (void) close(pagemap);
}

static bool runs_there_alone(pid_t pid, unsigned core) {
        cpu_set_t set;

        return sched_getaffinity(pid, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1 &&
               CPU_ISSET(core, &set);
}

static void keep_all_warm(unsigned core) {
        DIR *directory = opendir("/proc");
        const struct dirent *entry;

        while (directory && (entry = readdir(directory))) {
                pid_t pid = (pid_t) strtol(entry->d_name, NULL, 10);
                long n_pages;

                if (!isdigit((unsigned char) *entry->d_name) || !runs_there_alone(pid, core))
                        continue;
                n_pages = resident_pages(pid);
                if (n_pages > 0 && n_pages <= PAGES_MAX)
                        keep_process_warm(pid);
        }
        if (directory)
                (void) closedir(directory);
}

int main(int argc, char **argv) {
        unsigned core;

        if (argc != 2) {
                (void) fprintf(stderr, "keep-warm CORE\n");
                return EXIT_FAILURE;
        }
        /* It has no end of its own. */
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        core = (unsigned) strtoul(argv[1], NULL, 10);
        for (;;) {
                keep_all_warm(core);
                (void) usleep(INTERVAL_USEC);
        }
}
