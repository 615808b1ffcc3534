/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/state-store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/string-util.h"

/* Linux 6.3; older headers do not have it. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define SIZE_SEALS  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define WRITE_SEALS (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

struct StateStore {
        int fd;
        StateImage image;
        void *memory; /* of image.size bytes, or of the size the image is to have */
        size_t size;
};

StateStore *state_store_free(StateStore *store) {
        if (!store)
                return NULL;
        if (store->memory)
                munmap(store->memory, store->size);
        fd_close(store->fd);
        free(store);
        return NULL;
}

static StateStore *store_alloc(void) {
        StateStore *store = calloc(1, sizeof(StateStore));

        if (store)
                store->fd = -1;
        return store;
}

static int store_map(StateStore *store, size_t size) {
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, store->fd, 0);

        if (memory == MAP_FAILED)
                return -errno;
        store->memory = memory;
        store->size = size;
        return 0;
}

/* A mapping whose size nobody can change any more, so that touching it never raises SIGBUS. */
static int store_map_new(StateStore *store, size_t size) {
        const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

        store->fd = memfd_create("healthd-state", flags | MFD_NOEXEC_SEAL);
        if (store->fd < 0 && errno == EINVAL)
                store->fd = memfd_create("healthd-state", flags);
        if (store->fd < 0 || ftruncate(store->fd, (off_t) size) < 0 ||
            fcntl(store->fd, F_ADD_SEALS, SIZE_SEALS) < 0)
                return -errno;
        return store_map(store, size);
}

int state_store_new(const StateLayout *layout, const StateSlotName *slots, size_t n_slots,
                    StateStore **ret) {
        _cleanup_(state_store_freep) StateStore *store = store_alloc();
        _cleanup_free_ StateSlotName *ordered = NULL;
        size_t size;
        int r;

        if (!store)
                return -ENOMEM;
        r = state_image_get_size(layout, n_slots, &size);
        if (r < 0)
                return r;
        ordered = calloc(n_slots + 1, sizeof(StateSlotName));
        if (!ordered)
                return -ENOMEM;
        for (size_t i = 0; i < n_slots; i++)
                ordered[i] = slots[i];
        r = store_map_new(store, size);
        if (r < 0)
                return r;
        r = state_image_format(layout, ordered, n_slots, store->memory, &store->image);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(store);
        return 0;
}

/* Whether the descriptor is what state_store_fd() gives away, and how large it is. */
static int check_descriptor(int fd, size_t *ret_size, char **ret_problem) {
        struct stat status;
        int seals, flags;

        if (fstat(fd, &status) < 0)
                return state_refuse(ret_problem, -errno, "its descriptor cannot be used: %m");
        flags = fcntl(fd, F_GETFL);
        seals = S_ISREG(status.st_mode) ? fcntl(fd, F_GET_SEALS) : -1;
        if (seals < 0)
                return state_refuse(ret_problem, -EPERM, "its descriptor is no memfd");
        if (flags < 0 || (flags & O_ACCMODE) != O_RDWR || (seals & SIZE_SEALS) != SIZE_SEALS ||
            (seals & WRITE_SEALS) != 0)
                return state_refuse(ret_problem, -EPERM,
                                    "its memfd is not sealed as this program does it");
        if (status.st_size < (off_t) sizeof(StateHeader) ||
            status.st_size > (off_t) STATE_IMAGE_MAX)
                return state_refuse(ret_problem, -EBADMSG, "it is damaged (%jd bytes)",
                                    (intmax_t) status.st_size);
        *ret_size = (size_t) status.st_size;
        return 0;
}

/* *problem says what is wrong with it; makes that a sentence. */
static void name_problem(char **problem, const char *subject) {
        _cleanup_free_ char *what = TAKE_PTR(*problem);

        if (what)
                (void) string_printf(problem, "%s is not used: %s", subject, what);
}

static int adopt(const StateLayout *layout, StateStore *store, char **ret_problem) {
        size_t size = 0;
        int r;

        r = check_descriptor(store->fd, &size, ret_problem);
        if (r < 0)
                return r;
        r = store_map(store, size);
        if (r < 0)
                return state_refuse(ret_problem, r, "it cannot be mapped: %s", strerror(-r));
        return state_image_open(layout, store->memory, size, &store->image, ret_problem);
}

int state_store_adopt(const StateLayout *layout, int fd, StateStore **ret, char **ret_problem) {
        _cleanup_(state_store_freep) StateStore *store = store_alloc();
        char *problem = NULL;
        int r;

        if (!store) {
                fd_close(fd);
                return -ENOMEM;
        }
        store->fd = fd;
        r = adopt(layout, store, &problem);
        if (r < 0) {
                name_problem(&problem, "The state kept by systemd");
                *ret_problem = problem;
                return r;
        }
        *ret = TAKE_PTR(store);
        return 0;
}

static int check_file(int fd, size_t *ret_size, char **ret_problem) {
        struct stat status;

        if (fstat(fd, &status) < 0)
                return state_refuse(ret_problem, -errno, "it cannot be examined: %m");
        if (!S_ISREG(status.st_mode))
                return state_refuse(ret_problem, -EPERM, "it is no regular file; remove it");
        if ((status.st_uid != 0 && status.st_uid != geteuid()) || (status.st_mode & 022) != 0)
                return state_refuse(ret_problem, -EPERM,
                                    "others can write to it (owner %u, mode %04o); remove it",
                                    status.st_uid, status.st_mode & 07777);
        if (status.st_size < (off_t) sizeof(StateHeader) ||
            status.st_size > (off_t) STATE_IMAGE_MAX)
                return state_refuse(ret_problem, -EBADMSG, "it is damaged (%jd bytes)",
                                    (intmax_t) status.st_size);
        *ret_size = (size_t) status.st_size;
        return 0;
}

static int read_all(int fd, void *memory, size_t size, char **ret_problem) {
        uint8_t *bytes = memory;
        size_t length = 0;
        ssize_t n;

        while (length < size) {
                n = pread(fd, bytes + length, size - length, (off_t) length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return state_refuse(ret_problem, -errno, "it cannot be read: %m");
                if (n == 0)
                        return state_refuse(ret_problem, -EBADMSG, "it ends too early");
                length += (size_t) n;
        }
        return 0;
}

/* The header first: what is no state gets no memory. */
static int load_file(const StateLayout *layout, const char *path, StateStore *store,
                     char **ret_problem) {
        _cleanup_close_ int fd = open(path,
                                      O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        StateHeader header;
        size_t size = 0;
        int r;

        if (fd < 0 && errno == ENOENT)
                return -ENOENT;
        if (fd < 0)
                return state_refuse(ret_problem, -errno, "it cannot be opened: %m");
        r = check_file(fd, &size, ret_problem);
        if (r < 0)
                return r;
        r = read_all(fd, &header, sizeof(header), ret_problem);
        if (r < 0)
                return r;
        r = state_image_check_header(layout, &header, size, ret_problem);
        if (r < 0)
                return r;
        r = store_map_new(store, size);
        if (r < 0)
                return state_refuse(ret_problem, r, "there is no memory for it: %s", strerror(-r));
        r = read_all(fd, store->memory, size, ret_problem);
        if (r < 0)
                return r;
        return state_image_open(layout, store->memory, size, &store->image, ret_problem);
}

int state_store_load_file(const StateLayout *layout, const char *path, StateStore **ret,
                          char **ret_problem) {
        _cleanup_(state_store_freep) StateStore *store = store_alloc();
        char *problem = NULL;
        int r;

        if (!store)
                return -ENOMEM;
        r = load_file(layout, path, store, &problem);
        if (r < 0) {
                name_problem(&problem, path);
                *ret_problem = problem;
                return r;
        }
        *ret = TAKE_PTR(store);
        return 0;
}

static int write_all(int fd, const void *memory, size_t size) {
        const uint8_t *bytes = memory;
        ssize_t n;

        while (size > 0) {
                n = write(fd, bytes, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                bytes += n;
                size -= (size_t) n;
        }
        return 0;
}

/* A file left by a process that was killed here is in nobody's use. */
static int write_new_file(const StateStore *store, int directory, const char *name) {
        _cleanup_close_ int fd = -1;
        int r;

        if (unlinkat(directory, name, 0) < 0 && errno != ENOENT)
                return -errno;
        fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        r = write_all(fd, store->memory, store->size);
        if (r < 0)
                return r;
        return fsync(fd) < 0 ? -errno : 0;
}

int state_store_save_file(const StateStore *store, const char *path) {
        _cleanup_free_ char *parent = NULL, *new_name = NULL;
        _cleanup_close_ int directory = -1;
        const char *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        int r;

        r = string_printf(&parent, "%.*s", slash ? (int) (slash - path + 1) : 1,
                          slash ? path : ".");
        if (r < 0)
                return r;
        r = string_printf(&new_name, "%s.new", name);
        if (r < 0)
                return r;
        directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
                return -errno;
        r = write_new_file(store, directory, new_name);
        if (r == 0 && renameat(directory, new_name, directory, name) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlinkat(directory, new_name, 0);
                return r;
        }
        return fsync(directory) < 0 ? -errno : 0;
}

int state_store_fd(const StateStore *store) {
        return store->fd;
}

bool state_store_is_same_boot(const StateStore *store) {
        return state_image_is_same_boot(&store->image);
}

bool state_store_has_slots(const StateStore *store, const StateSlotName *slots, size_t n_slots) {
        const StateName *name;

        if (n_slots != store->image.n_slots)
                return false;
        for (size_t i = 0; i < n_slots; i++) {
                name = state_image_find_slot(&store->image, slots[i].name);
                if (!name || name->identity != slots[i].identity)
                        return false;
        }
        return true;
}

static StateSlot slot_of_name(const StateImage *image, const StateName *name) {
        return state_image_slot(image, (size_t) (name - image->names) - image->n_globals);
}

int state_store_find(const StateStore *store, const char *name, uint64_t identity,
                     StateSlot *ret_slot) {
        const StateName *found = state_image_find_slot(&store->image, name);

        if (!found || found->identity != identity)
                return -ENOENT;
        *ret_slot = slot_of_name(&store->image, found);
        return 0;
}

StateSlot state_store_slot_of(const StateStore *store, const void *block) {
        const StateImage *image = &store->image;
        size_t offset = (size_t) ((const uint8_t *) block - image->memory) - image->blocks;

        return state_image_slot(image, offset / state_image_block_size(image));
}

int state_store_find_global(const StateStore *store, const char *name, StateSlot *ret_slot) {
        const StateName *found = state_image_find_global(&store->image, name);

        if (!found)
                return -ENOENT;
        *ret_slot = state_image_global(&store->image, (size_t) (found - store->image.names));
        return 0;
}

static void copy_record(const StateSlot *to, const StateSlot *from, void *buffer) {
        size_t size;

        if (state_slot_read(from, buffer, from->size_max, &size) == 0)
                (void) state_slot_write(to, buffer, size);
}

static void copy_slot(StateStore *to, const StateStore *from, size_t index, bool keep_blocks,
                      void *buffer) {
        const StateName *name = &from->image.names[from->image.n_globals + index], *found;
        StateSlot source = state_image_slot(&from->image, index), target;
        char text[STATE_NAME_MAX + 1] = "";

        memcpy(text, name->name, STATE_NAME_MAX);
        found = state_image_find_slot(&to->image, text);
        if (!found || (found->identity != name->identity && !keep_blocks))
                return;
        target = slot_of_name(&to->image, found);
        if (found->identity == name->identity)
                copy_record(&target, &source, buffer);
        if (target.block && to->image.block_size == from->image.block_size)
                memcpy(target.block, source.block, from->image.block_size);
}

int state_store_copy(StateStore *to, const StateStore *from, bool keep_blocks) {
        const StateImage *image = &from->image;
        _cleanup_free_ void *buffer = NULL;
        StateSlot source, target;

        buffer = malloc(1 + (image->record_size > image->global_size ? image->record_size
                                                                     : image->global_size));
        if (!buffer)
                return -ENOMEM;
        for (size_t i = 0; i < image->n_globals; i++) {
                char text[STATE_NAME_MAX + 1] = "";

                memcpy(text, image->names[i].name, STATE_NAME_MAX);
                source = state_image_global(image, i);
                if (state_store_find_global(to, text, &target) == 0)
                        copy_record(&target, &source, buffer);
        }
        for (size_t i = 0; i < image->n_slots; i++)
                copy_slot(to, from, i, keep_blocks, buffer);
        return 0;
}
