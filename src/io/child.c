/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/file-util.h"
#include "base/string-util.h"
#include "base/time-util.h"
#include "io/orphans.h"
#include "io/trusted-program.h"

#define STARTER_NAME         "start-program"
#define READ_SIZE            ((size_t) 16 * 1024)
#define SHUTDOWN_WITHIN_MSEC 500

/* One of its two outputs: what is kept of it, and how much there was. */
typedef struct ChildPipe {
        IoSource io;
        int fd; /* -1: closed */
        size_t keep_max;
        size_t length; /* of all that was read */
        TextBuffer kept;
} ChildPipe;

struct Child {
        Children *children;
        Child *next, **link;  /* in one of the lists of children */
        ChildHandler on_done; /* NULL: nobody wants to know any more */
        void *userdata;
        StringList argv, environment;
        int input_fd; /* a memfd: nothing has to be fed; -1: /dev/null */
        uint64_t run; /* its number; what it starts bears it too */
        pid_t pid;    /* 0: waits for its turn */
        int pid_fd;
        IoSource pid_io;
        ChildPipe output, errors;
        bool endless;
        bool by_starter; /* argv[0] is start-program */
};

struct Children {
        Runtime *runtime;
        Child *waiting, **waiting_end;
        Child *running; /* and those killed that are not dead yet */
        size_t n_running;
        Timer start_timer;
        uint64_t last_run;
        Orphans *orphans;
};

static void child_pipe_close(ChildPipe *output) {
        io_source_remove(&output->io);
        output->fd = fd_close(output->fd);
}

static void child_unlink(Child *child) {
        if (!child->link)
                return;
        *child->link = child->next;
        if (child->next)
                child->next->link = child->link;
        else if (child->children->waiting_end == &child->next)
                child->children->waiting_end = child->link;
        child->link = NULL;
}

static void child_link(Child *child, Child **link) {
        child->next = *link;
        child->link = link;
        if (child->next)
                child->next->link = &child->next;
        *link = child;
}

static Child *child_free(Child *child) {
        if (!child)
                return NULL;
        child_unlink(child);
        io_source_remove(&child->pid_io);
        fd_close(child->pid_fd);
        child_pipe_close(&child->output);
        child_pipe_close(&child->errors);
        text_buffer_done(&child->output.kept);
        text_buffer_done(&child->errors.kept);
        fd_close(child->input_fd);
        string_list_free(child->argv);
        /* Credentials may be among them. */
        for (char **variable = child->environment; variable && *variable; variable++)
                string_free_secret(*variable);
        free(child->environment);
        free(child);
        return NULL;
}
DEFINE_CLEANUP(Child, child_free)

/*
 * All of its process group. The leader is not reaped yet, so the number is not another group's.
 * The leader itself may have moved into another group: hence once more by its own descriptor.
 */
static void child_signal(const Child *child) {
        (void) kill(-child->pid, SIGKILL);
        if (child->pid_fd >= 0)
                (void) pidfd_send_signal(child->pid_fd, SIGKILL, NULL, 0);
        else
                (void) kill(child->pid, SIGKILL);
}

static void child_pipe_take(ChildPipe *output, const char *data, size_t length) {
        size_t room = output->keep_max - output->kept.length;

        text_buffer_add(&output->kept, data, length < room ? length : room);
        output->length += length;
}

/* Reads once. Returns the number of bytes, 0 at the end, or a negative errno. */
static ssize_t child_pipe_read(ChildPipe *output, size_t size_max) {
        char buffer[READ_SIZE];
        ssize_t n = read(output->fd, buffer, size_max < READ_SIZE ? size_max : READ_SIZE);

        if (n < 0)
                return -errno;
        child_pipe_take(output, buffer, (size_t) n);
        return n;
}

static void child_on_output(IoSource *source, uint32_t revents, void *userdata) {
        Child *child = userdata;
        ChildPipe *output = source == &child->output.io ? &child->output : &child->errors;
        ssize_t n;

        (void) revents;
        /* One piece a round: whoever writes without end must not keep the others from the loop. */
        n = child_pipe_read(output, READ_SIZE);
        if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR))
                child_pipe_close(output);
        if (output->length <= output->keep_max + CHILD_DROPPED_MAX)
                return;
        child->endless = true;
        /* In this order, or it might end by the broken pipe. */
        child_signal(child);
        child_pipe_close(output);
}

/*
 * What is in the pipe at this moment. Not until its end: somebody it started may hold it open, and
 * even go on writing.
 */
static void child_pipe_drain(ChildPipe *output) {
        int left = 0;

        if (output->fd < 0 || ioctl(output->fd, FIONREAD, &left) < 0)
                return;
        while (left > 0) {
                ssize_t n = child_pipe_read(output, (size_t) left);

                if (n <= 0)
                        return;
                left -= (int) n;
        }
}

static void children_start_next(Children *children) {
        /* No memory for a timer: the next child that ends tries again. */
        if (children->waiting && children->n_running < CHILDREN_MAX)
                (void) timer_arm_after(&children->start_timer, 0);
}

/* Whether what start-program became, if anything, is not the program. */
static void child_read_starter(ChildResult *result) {
        size_t length = strlen(PROGRAM_NOT_STARTED);
        char *text;
        long error;

        if (result->signal > 0 || result->exit_status != PROGRAM_NOT_STARTED_STATUS ||
            strncmp(result->output, PROGRAM_NOT_STARTED, length) != 0)
                return;
        error = strtol(result->output + length, &text, 10);
        result->error = error > 0 && error < INT_MAX ? -(int) error : -EIO;
        result->refusal = text[0] && text[1] ? text + 1 : NULL;
}

/* Hands the result over; the child is gone afterwards. */
static void child_finish(Child *child, ChildResult *result) {
        ChildHandler on_done = child->on_done;
        _cleanup_free_ char *output = NULL, *errors = NULL;
        void *userdata = child->userdata;
        bool by_starter = child->by_starter;

        result->output_truncated = child->output.length > child->output.keep_max;
        result->output_endless = child->endless;
        if (result->error == 0)
                result->error = text_buffer_finish(&child->output.kept, &output,
                                                   &result->output_length);
        if (result->error == 0)
                result->error = text_buffer_finish(&child->errors.kept, &errors, NULL);
        result->output = output;
        result->errors = errors;
        if (result->error == 0 && by_starter)
                child_read_starter(result);
        child_free(child);
        if (on_done)
                on_done(result, userdata);
}

static void child_on_exit(IoSource *source, uint32_t revents, void *userdata) {
        Child *child = userdata;
        Children *children = child->children;
        ChildResult result = {};
        siginfo_t info = {};

        (void) source;
        (void) revents;
        child_signal(child);
        child_pipe_drain(&child->output);
        child_pipe_drain(&child->errors);
        if (waitid(P_PIDFD, (id_t) child->pid_fd, &info, WEXITED | WNOHANG) < 0)
                result.error = -errno;
        else if (info.si_pid == 0)
                return;
        else if (info.si_code == CLD_EXITED)
                result.exit_status = info.si_status;
        else
                result.signal = info.si_status;
        children->n_running--;
        child_unlink(child);
        (void) orphans_tend(children->orphans);
        children_start_next(children);
        child_finish(child, &result);
}

static int child_set_actions(const Child *child, int output_fd, int errors_fd,
                             posix_spawn_file_actions_t *actions) {
        int r;

        if (child->input_fd >= 0)
                r = posix_spawn_file_actions_adddup2(actions, child->input_fd, STDIN_FILENO);
        else
                r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY,
                                                     0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(actions, output_fd, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(actions, errors_fd, STDERR_FILENO);
        /* Ours are closed by exec; a library's might not be. */
        if (r == 0)
                r = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
        if (r == 0)
                r = posix_spawn_file_actions_addchdir_np(actions, "/");
        return -r;
}

static int child_set_attributes(posix_spawnattr_t *attributes) {
        sigset_t none, all;
        int r;

        sigemptyset(&none);
        sigfillset(&all);
        r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                                 POSIX_SPAWN_SETSIGDEF);
        if (r == 0)
                r = posix_spawnattr_setpgroup(attributes, 0);
        if (r == 0)
                r = posix_spawnattr_setsigmask(attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(attributes, &all);
        return -r;
}

static int child_exec(Child *child, int output_fd, int errors_fd) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        int r;

        r = -posix_spawn_file_actions_init(&actions);
        if (r < 0)
                return r;
        r = -posix_spawnattr_init(&attributes);
        if (r < 0) {
                posix_spawn_file_actions_destroy(&actions);
                return r;
        }
        r = child_set_actions(child, output_fd, errors_fd, &actions);
        if (r == 0)
                r = child_set_attributes(&attributes);
        if (r == 0)
                r = -posix_spawn(&child->pid, child->argv[0], &actions, &attributes, child->argv,
                                 child->environment);
        if (r < 0)
                child->pid = 0;
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return r;
}

/* The end that is read; the other one, for the child, goes to *ret_fd. */
static int child_pipe_open(ChildPipe *output, Child *child, int *ret_fd) {
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        output->fd = fds[0];
        *ret_fd = fds[1];
        /* Each end has flags of its own: the child's blocks, as a program expects. */
        if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        r = io_source_add(&output->io, child->children->runtime->reactor, fds[0], EPOLLIN,
                          child_on_output, child);
        return r;
}

static int child_spawn(Child *child) {
        Reactor *reactor = child->children->runtime->reactor;
        _cleanup_close_ int output_fd = -1, errors_fd = -1;
        int r;

        r = child_pipe_open(&child->output, child, &output_fd);
        if (r == 0)
                r = child_pipe_open(&child->errors, child, &errors_fd);
        if (r == 0)
                r = child_exec(child, output_fd, errors_fd);
        if (r < 0)
                return r;
        child->pid_fd = pidfd_open(child->pid, 0);
        r = child->pid_fd < 0 ? -errno
                              : io_source_add(&child->pid_io, reactor, child->pid_fd, EPOLLIN,
                                              child_on_exit, child);
        if (r < 0) {
                /* Out of descriptors, in most cases. It has hardly begun: it dies at once. */
                child_signal(child);
                (void) waitid(P_PID, (id_t) child->pid, NULL, WEXITED);
        }
        return r;
}

static void children_on_start(Timer *timer, void *userdata) {
        Children *children = userdata;
        Child *child = children->waiting;
        ChildResult result = {};

        (void) timer;
        if (!child || children->n_running >= CHILDREN_MAX)
                return;
        child_unlink(child);
        result.error = child_spawn(child);
        if (child->by_starter && (result.error == -ENOENT || result.error == -EACCES))
                result.refusal = "healthd's own start-program is not there, or may not be run: "
                                 "install healthd again";
        if (result.error == 0) {
                children->n_running++;
                child_link(child, &children->running);
        }
        children_start_next(children);
        if (result.error < 0)
                child_finish(child, &result);
}

/* Its memory is the child's standard input: there is no pipe to feed, nor one that may break. */
static int input_open(const char *input) {
        _cleanup_close_ int fd = memfd_create("input", MFD_CLOEXEC);
        size_t length = strlen(input), written = 0;

        if (fd < 0)
                return -errno;
        while (written < length) {
                ssize_t n = write(fd, input + written, length - written);

                if (n < 0)
                        return -errno;
                written += (size_t) n;
        }
        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static bool children_know(pid_t pid, void *userdata) {
        const Children *children = userdata;

        for (const Child *child = children->running; child; child = child->next)
                if (child->pid == pid)
                        return true;
        return false;
}

/* Whether this run goes on: it has neither ended nor been killed. */
static bool children_run(uint64_t run, void *userdata) {
        const Children *children = userdata;

        for (const Child *child = children->running; child; child = child->next)
                if (child->run == run)
                        return child->on_done;
        return false;
}

static int children_new(Runtime *runtime, Children **ret) {
        Children *children = calloc(1, sizeof(Children));
        int r;

        if (!children)
                return -ENOMEM;
        r = orphans_new(runtime->reactor, children_know, children_run, children,
                        &children->orphans);
        if (r < 0) {
                free(children);
                return r;
        }
        children->runtime = runtime;
        children->waiting_end = &children->waiting;
        timer_init(&children->start_timer, runtime->scheduler, children_on_start, children);
        *ret = children;
        return 0;
}

static int strings_copy(StringList *list, char *const *strings) {
        int r = 0;

        for (; r == 0 && strings && *strings; strings++)
                r = string_list_add(list, *strings);
        return r;
}

int child_start(Runtime *runtime, const ChildCommand *command, ChildHandler on_done, void *userdata,
                Child **ret) {
        _cleanup_(child_freep) Child *child = calloc(1, sizeof(Child));
        char mark[ORPHAN_MARK_SIZE];
        int r;

        if (!child)
                return -ENOMEM;
        child->input_fd = child->pid_fd = child->output.fd = child->errors.fd = -1;
        child->output.keep_max = command->output_max;
        child->errors.keep_max = CHILD_ERRORS_MAX;
        child->on_done = on_done;
        child->userdata = userdata;
        if (!runtime->children) {
                r = children_new(runtime, &runtime->children);
                if (r < 0)
                        return r;
        }
        child->children = runtime->children;
        child->run = ++child->children->last_run;
        child->by_starter = command->starter;
        r = command->starter ? string_list_add(&child->argv, command->starter) : 0;
        if (r == 0)
                r = strings_copy(&child->argv, command->argv);
        if (r == 0)
                r = strings_copy(&child->environment, command->environment);
        if (r == 0)
                r = string_list_add(&child->environment, orphans_format_mark(mark, child->run));
        if (r == 0 && command->input)
                r = child->input_fd = input_open(command->input);
        if (r < 0)
                return r;
        child_link(child, child->children->waiting_end);
        child->children->waiting_end = &child->next;
        children_start_next(child->children);
        *ret = TAKE_PTR(child);
        return 0;
}

Child *child_kill(Child *child) {
        if (!child)
                return NULL;
        if (child->pid == 0)
                return child_free(child);
        child_signal(child);
        child->on_done = NULL;
        /* What it writes until it is dead is of no use, and its pipes cost descriptors. */
        child_pipe_close(&child->output);
        child_pipe_close(&child->errors);
        return NULL;
}

/* exec() gives a process the program's name once it has its file, and its interpreter's, open. */
static bool child_is_starter(const Child *child) {
        char path[64], name[64];

        if (!child->by_starter)
                return false;
        (void) snprintf(path, sizeof(path), "/proc/%d/comm", child->pid);
        return file_read_small(path, name, sizeof(name)) > 0 &&
               string_equal(name, STARTER_NAME "\n");
}

const char *child_explain_wait(const Child *child) {
        if (child->pid > 0)
                return !child_is_starter(child)
                                       ? NULL
                                       : "could not be started in that time: its file system, or "
                                         "that of its interpreter, does not answer (\"findmnt -T\" "
                                         "names it), or this machine is too busy";
        return child->children->n_running >= CHILDREN_MAX
                               ? "had no turn, because too many other programs were running; see "
                                 "which ones hang, or run them less often"
                               : "had no turn, because too many other programs were to be started; "
                                 "run them less often";
}

Children *children_free(Children *children) {
        uint64_t until_usec = now_monotonic_usec() + SHUTDOWN_WITHIN_MSEC * USEC_PER_MSEC;

        if (!children)
                return NULL;
        timer_disarm(&children->start_timer);
        while (children->waiting)
                child_free(children->waiting);
        for (Child *child = children->running; child; child = child->next)
                child_signal(child);
        while (children->running)
                child_free(children->running);
        /* No longer known as ours, they are reaped there; but one in the kernel is not waited for.
         */
        orphans_end(children->orphans, until_usec);
        orphans_free(children->orphans);
        free(children);
        return NULL;
}
