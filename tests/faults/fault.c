/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * For LD_PRELOAD: has calls of the C library fail, as the file that HEALTHD_FAULT= names says. The
 * file is shared with the test, which so arms one while the program runs, and sees what came of it.
 */

/* open() and open64() are two functions here. */
#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* In the order of CALLS in faults.py. */
typedef enum Call {
        CALL_NONE,
        CALL_OPEN,
        CALL_READ,
        CALL_WRITE,
        CALL_SOCKET,
        CALL_CONNECT,
        CALL_ACCEPT4,
        CALL_EPOLL_CTL,
        CALL_MEMFD_CREATE,
        CALL_PIPE2,
        CALL_SPAWN,
        CALL_THREAD,
        CALL_GETADDRINFO,
        CALL_MALLOC,
        CALL_RECV,
        CALL_SEND,
} Call;

typedef struct Fault {
        _Atomic uint64_t call;  /* which; CALL_NONE: none fails */
        _Atomic uint64_t error; /* with which errno */
        _Atomic uint64_t first; /* from which on; the next one is 1 */
        _Atomic uint64_t count; /* how many */
        _Atomic uint64_t seen, failed;
        _Atomic int64_t clock_offset_s; /* of the clock on the wall */
        _Atomic uint64_t waits;         /* how often the loop looked what is ready */
        _Atomic int64_t asleep_s;       /* CLOCK_BOOTTIME is ahead by */
} Fault;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *pointer, size_t size);

static Fault *fault;

static __attribute__((constructor)) void fault_open(void) {
        const char *path = getenv("HEALTHD_FAULT");
        int fd = path ? (int) openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
        void *memory;

        if (fd < 0)
                return;
        memory = mmap(NULL, sizeof(Fault), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        fault = memory == MAP_FAILED ? NULL : memory;
}

/* Whether this one fails; errno says how. */
static bool fails(Call call) {
        uint64_t n;

        if (!fault || atomic_load(&fault->call) != call)
                return false;
        n = atomic_fetch_add(&fault->seen, 1) + 1;
        if (n < fault->first || n - fault->first >= fault->count)
                return false;
        atomic_fetch_add(&fault->failed, 1);
        errno = (int) fault->error;
        return true;
}

/* The function of the C library under this name. */
#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

#define WRAP_OPEN(name)                                                                            \
        int name(const char *path, int flags, ...) {                                               \
                va_list arguments;                                                                 \
                mode_t mode;                                                                       \
                                                                                                   \
                va_start(arguments, flags);                                                        \
                mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0;            \
                va_end(arguments);                                                                 \
                return fails(CALL_OPEN) ? -1 : REAL(name)(path, flags, mode);                      \
        }
#define WRAP_OPENAT(name)                                                                          \
        int name(int directory, const char *path, int flags, ...) {                                \
                va_list arguments;                                                                 \
                mode_t mode;                                                                       \
                                                                                                   \
                va_start(arguments, flags);                                                        \
                mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0;            \
                va_end(arguments);                                                                 \
                return fails(CALL_OPEN) ? -1 : REAL(name)(directory, path, flags, mode);           \
        }
#define WRAP(type, name, call, failure, parameters, arguments)                                     \
        type name parameters {                                                                     \
                return fails(call) ? (failure) : REAL(name) arguments;                             \
        }

WRAP_OPEN(open)
WRAP_OPEN(open64)
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)
WRAP(ssize_t, read, CALL_READ, -1, (int fd, void *data, size_t size), (fd, data, size))
WRAP(ssize_t, write, CALL_WRITE, -1, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(ssize_t, recv, CALL_RECV, -1, (int fd, void *data, size_t size, int flags),
     (fd, data, size, flags))
WRAP(ssize_t, send, CALL_SEND, -1, (int fd, const void *data, size_t size, int flags),
     (fd, data, size, flags))
WRAP(int, socket, CALL_SOCKET, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, connect, CALL_CONNECT, -1, (int fd, const struct sockaddr *address, socklen_t length),
     (fd, address, length))
WRAP(int, accept4, CALL_ACCEPT4, -1,
     (int fd, struct sockaddr *restrict address, socklen_t *restrict length, int flags),
     (fd, address, length, flags))
/* The kernel is short of anything only when it adds. */
int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event) {
        return op == EPOLL_CTL_ADD && fails(CALL_EPOLL_CTL) ? -1
                                                            : REAL(epoll_ctl)(epoll, op, fd, event);
}

static void count_wait(void) {
        if (fault)
                atomic_fetch_add(&fault->waits, 1);
}

int epoll_wait(int epoll, struct epoll_event *events, int size, int timeout) {
        count_wait();
        return REAL(epoll_wait)(epoll, events, size, timeout);
}

int epoll_pwait2(int epoll, struct epoll_event *events, int size, const struct timespec *timeout,
                 const sigset_t *signals) {
        count_wait();
        return REAL(epoll_pwait2)(epoll, events, size, timeout, signals);
}

WRAP(int, memfd_create, CALL_MEMFD_CREATE, -1, (const char *name, unsigned flags), (name, flags))
WRAP(int, pipe2, CALL_PIPE2, -1, (int fds[2], int flags), (fds, flags))
WRAP(int, posix_spawn, CALL_SPAWN, errno,
     (pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
      const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
      char *const environment[restrict]),
     (pid, path, actions, attributes, argv, environment))
WRAP(int, pthread_create, CALL_THREAD, errno,
     (pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
      void *(*function)(void *), void *restrict userdata),
     (thread, attributes, function, userdata))
WRAP(int, getaddrinfo, CALL_GETADDRINFO, EAI_SYSTEM,
     (const char *restrict host, const char *restrict service,
      const struct addrinfo *restrict hints, struct addrinfo **restrict ret),
     (host, service, hints, ret))

/* dlsym() allocates, so not by it. */
void *malloc(size_t size) {
        return fails(CALL_MALLOC) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
        return fails(CALL_MALLOC) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *pointer, size_t size) {
        return fails(CALL_MALLOC) ? NULL : __libc_realloc(pointer, size);
}

int clock_gettime(clockid_t clock, struct timespec *ret) {
        int r = REAL(clock_gettime)(clock, ret);

        if (r == 0 && fault && clock == CLOCK_REALTIME)
                ret->tv_sec += atomic_load(&fault->clock_offset_s);
        if (r == 0 && fault && clock == CLOCK_BOOTTIME)
                ret->tv_sec += atomic_load(&fault->asleep_s);
        return r;
}
