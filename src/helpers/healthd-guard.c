/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * healthd-guard: speaks to the service manager on behalf of a unit, because healthd found it ill.
 *
 * It holds CAP_SYS_ADMIN, which sending a notification in another process's name takes, and
 * nothing else. It believes nothing it is told: who asks is what the kernel says, whether the unit
 * opted in is what a file of root's says, and its process is what the service manager says. It
 * answers one request at a time, a packet of UNIT=, ACTION= and REASON= lines, with "done",
 * "refused" or "failed" and a sentence, and exits when nobody asks for a while.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"
#include "base/unit-name.h"
#include "publish/guarded-unit.h"
#include "publish/journal-messages.h"

#define CLIENT_USER  "healthd"
#define NOTIFY_PATH  "/run/systemd/notify"
#define DROP_IN_MAX  4096
#define MARKER       "\nX-HealthdGuard=yes\n"
#define REQUEST_MAX  1024
#define OWN_UNIT     "healthd-guard.service"
#define IDLE_MSEC    30000
#define REQUEST_SEC  2
#define BUS_USEC     (5 * USEC_PER_SEC)
#define BARRIER_MSEC 5000
#define SYSTEMD      "org.freedesktop.systemd1"

typedef struct Request {
        char text[REQUEST_MAX + 1];
        const char *unit, *action, *reason;
} Request;

/* What is asked of the service manager about a unit. */
enum {
        UNIT_ID,
        UNIT_ACTIVE_STATE,
        UNIT_SUB_STATE,
        UNIT_FREEZER_STATE,
        UNIT_NOTIFY_ACCESS,
        UNIT_CONTROL_GROUP,
        _UNIT_MAX
};

static const struct {
        const char *interface, *name;
} properties[_UNIT_MAX] = {
        [UNIT_ID] = { SYSTEMD ".Unit", "Id" },
        [UNIT_ACTIVE_STATE] = { SYSTEMD ".Unit", "ActiveState" },
        [UNIT_SUB_STATE] = { SYSTEMD ".Unit", "SubState" },
        [UNIT_FREEZER_STATE] = { SYSTEMD ".Unit", "FreezerState" },
        [UNIT_NOTIFY_ACCESS] = { SYSTEMD ".Service", "NotifyAccess" },
        [UNIT_CONTROL_GROUP] = { SYSTEMD ".Service", "ControlGroup" },
};

typedef struct Target {
        char *values[_UNIT_MAX];
        uint64_t watchdog_usec;
        uint32_t main_pid;
} Target;

typedef enum Outcome {
        OUTCOME_DONE,
        OUTCOME_REFUSED,
        OUTCOME_FAILED,
        _OUTCOME_MAX
} Outcome;

static const struct {
        const char *word, *message_id;
        int priority;
} outcomes[_OUTCOME_MAX] = {
        [OUTCOME_DONE] = { "done", MESSAGE_GUARD_ACTED, LOG_WARNING },
        [OUTCOME_REFUSED] = { "refused", MESSAGE_GUARD_REFUSED, LOG_NOTICE },
        [OUTCOME_FAILED] = { "failed", MESSAGE_GUARD_REFUSED, LOG_ERR },
};

/*
 * An armed watchdog aborts the unit unless it is fed within the window. It is no argument: enough
 * for a restart of healthd, too short to be forgotten, and such that it tells ours from the unit's.
 */
static const struct {
        const char *word;
        const char *assignment; /* NULL: only looks whether it could be done */
        const char *done;       /* NULL: not worth a journal entry */
        bool sets_window;
} actions[] = {
        { "note", NULL, NULL }, /* for the unit's journal: why healthd leaves it alone */
        { "look", NULL, "could be aborted by its watchdog" },
        { "trigger", "WATCHDOG=trigger", "is aborted by its watchdog" },
        { "arm", "WATCHDOG=1\nWATCHDOG_USEC=181000000", NULL, true }, /* repeated: fed */
        { "disarm", "WATCHDOG_USEC=0", "needs no feeding any more", true },
};

static void target_done(Target *target) {
        for (size_t i = 0; i < _UNIT_MAX; i++)
                free(target->values[i]);
}

static __attribute__((format(printf, 3, 4))) Outcome answer(char **ret_why, Outcome outcome,
                                                            const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void) string_vprintf(ret_why, format, arguments);
        va_end(arguments);
        return outcome;
}

static bool request_parse(Request *request) {
        char *rest = request->text, *line;

        while ((line = strsep(&rest, "\n"))) {
                /* It goes into the journal and to whoever asks systemd for the unit's status. */
                string_make_printable(line);
                request->unit = string_after_prefix(line, "UNIT=") ?: request->unit;
                request->action = string_after_prefix(line, "ACTION=") ?: request->action;
                request->reason = string_after_prefix(line, "REASON=") ?: request->reason;
        }
        return request->unit && request->action && request->reason;
}

/* Whether root let healthd act on the unit: a drop-in that only root can have written. */
static bool unit_opted_in(const char *unit) {
        char path[sizeof(GUARDED_UNIT_DROP_IN) + UNIT_NAME_MAX], text[DROP_IN_MAX + 2] = "\n";
        _cleanup_close_ int fd = -1;
        struct stat status;
        ssize_t n;

        (void) snprintf(path, sizeof(path), GUARDED_UNIT_DROP_IN, unit);
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != 0 ||
            (status.st_mode & (S_IWGRP | S_IWOTH)))
                return false;
        n = read(fd, text + 1, DROP_IN_MAX);
        return n > 0 && strstr(text, MARKER);
}

/* Asks for what is loaded only: nothing is loaded on our behalf. */
static int target_read(Target *target, const char *unit) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *path;
        int r;

        r = sd_bus_open_system(&bus);
        (void) sd_bus_set_method_call_timeout(bus, BUS_USEC);
        if (r >= 0)
                r = sd_bus_call_method(bus, SYSTEMD, "/org/freedesktop/systemd1",
                                       SYSTEMD ".Manager", "GetUnit", NULL, &reply, "s", unit);
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        for (size_t i = 0; r >= 0 && i < _UNIT_MAX; i++)
                r = sd_bus_get_property_string(bus, SYSTEMD, path, properties[i].interface,
                                               properties[i].name, NULL, &target->values[i]);
        if (r >= 0)
                r = sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Service",
                                                "WatchdogUSec", NULL, 't', &target->watchdog_usec);
        /* Last, because a process can be replaced at any moment. */
        if (r >= 0)
                r = sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Service", "MainPID",
                                                NULL, 'u', &target->main_pid);
        return r;
}

/* Whether the process is one of the unit's: its number may have gone to another meanwhile. */
static bool target_owns_process(const Target *target) {
        char path[64], line[4096];
        _cleanup_fclose_ FILE *file = NULL;
        const char *group;

        (void) snprintf(path, sizeof(path), "/proc/%u/cgroup", target->main_pid);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof(line), file)) {
                group = string_after_prefix(string_strip(line), "0::") ?: "";
                group = string_after_prefix(group, target->values[UNIT_CONTROL_GROUP]);
                if (group && (!*group || *group == '/'))
                        return *target->values[UNIT_CONTROL_GROUP] != '\0';
        }
        return false;
}

/* What is armed must be fed, and disarmed, also while it is no time to abort it. */
static bool target_is_held(const Target *target, size_t action) {
        const char *state = target->values[UNIT_ACTIVE_STATE];

        return actions[action].sets_window && target->watchdog_usec == GUARD_WINDOW_USEC &&
               (string_equal(state, "active") || string_equal(state, "reloading"));
}

/* The reason not to act that the unit's own state gives. */
static Outcome target_judge(const Target *target, size_t action, const char *unit, char **ret_why) {
        bool is_held = target_is_held(target, action);

        if (!string_equal(target->values[UNIT_ID], unit))
                return answer(ret_why, OUTCOME_REFUSED, "%s is another name of %s; guard that one",
                              unit, target->values[UNIT_ID]);
        if (!is_held && !string_equal(target->values[UNIT_ACTIVE_STATE], "active"))
                return answer(ret_why, OUTCOME_REFUSED,
                              "%s is %s (%s): it is acted on only while it is active", unit,
                              target->values[UNIT_ACTIVE_STATE], target->values[UNIT_SUB_STATE]);
        if (!is_held && !string_equal(target->values[UNIT_FREEZER_STATE], "running"))
                return answer(ret_why, OUTCOME_REFUSED, "%s is %s: thaw it first", unit,
                              target->values[UNIT_FREEZER_STATE]);
        if (string_equal(target->values[UNIT_NOTIFY_ACCESS], "none"))
                return answer(ret_why, OUTCOME_REFUSED,
                              "%s has NotifyAccess=none; run: systemctl daemon-reload", unit);
        if (target->main_pid <= 1)
                return answer(ret_why, OUTCOME_REFUSED, "%s has no main process", unit);
        if (!target_owns_process(target))
                return answer(ret_why, OUTCOME_REFUSED,
                              "the main process of %s ended, or is not in its cgroup", unit);
        return OUTCOME_DONE;
}

/* Sends text to the service manager with one ancillary item. Returns 0 or a negative errno. */
static int notify_send(int fd, const char *text, int type, const void *item, size_t size) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = NOTIFY_PATH };
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(struct ucred))];
        } control = { .header = { CMSG_LEN(size), SOL_SOCKET, type } };
        struct iovec part = { (char *) text, strlen(text) };
        struct msghdr message = {
                &address, sizeof(address), &part, 1, &control, CMSG_SPACE(size), 0
        };

        memcpy(CMSG_DATA(&control.header), item, size);
        return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/*
 * Not sd_pid_notify(): refused credentials make it say the same in our own name. The kernel takes
 * the pid of another process from CAP_SYS_ADMIN, and says ESRCH if it is gone.
 */
static int notify_as(uint32_t pid, const char *text) {
        struct ucred who = { .pid = (pid_t) pid, .uid = getuid(), .gid = getgid() };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        _cleanup_close_ int handled_fd = -1, far_fd = -1;
        struct pollfd handled = { .events = POLLHUP };
        int pipe_fds[2], r;

        if (fd < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
                return -errno;
        handled.fd = handled_fd = pipe_fds[0];
        far_fd = pipe_fds[1];
        r = notify_send(fd, text, SCM_CREDENTIALS, &who, sizeof(who));
        /* It looks the sender up when it reads, so we stay until it closes the pipe's far end. */
        if (r >= 0)
                r = notify_send(fd, "BARRIER=1", SCM_RIGHTS, &far_fd, sizeof(far_fd));
        far_fd = fd_close(far_fd);
        return r < 0 ? r : poll(&handled, 1, BARRIER_MSEC) == 1 ? 0 : -ETIMEDOUT;
}

/* Under the unit it is about: `journalctl -u UNIT` shows what root says of it. */
static void log_outcome(const Request *request, Outcome outcome, const char *why) {
        (void) sd_journal_send("MESSAGE=%s", why, "MESSAGE_ID=%s", outcomes[outcome].message_id,
                               "PRIORITY=%d", outcomes[outcome].priority, "HEALTH_TARGET_UNIT=%s",
                               request->unit, "HEALTH_ACTION=%s", request->action,
                               "HEALTH_REASON=%s", request->reason, "OBJECT_SYSTEMD_UNIT=%s",
                               request->unit, NULL);
}

static Outcome act(const Request *request, size_t action, const Target *target, char **ret_why) {
        char text[REQUEST_MAX + 64];
        int r = 0;

        if (actions[action].sets_window && target->watchdog_usec > 0 &&
            target->watchdog_usec != UINT64_MAX && target->watchdog_usec != GUARD_WINDOW_USEC)
                return answer(ret_why, OUTCOME_REFUSED,
                              "%s has WatchdogSec= of its own, which GuardMode=feed would replace; "
                              "use GuardMode=trigger",
                              request->unit);
        if (actions[action].done)
                (void) answer(ret_why, OUTCOME_DONE, "%s %s: %s", request->unit,
                              actions[action].done, request->reason);
        /* First: the cause is to stand in the journal before what it leads to. */
        if (*ret_why)
                log_outcome(request, OUTCOME_DONE, *ret_why);
        (void) snprintf(text, sizeof(text), "STATUS=healthd: %s\n%s", request->reason,
                        actions[action].assignment ? actions[action].assignment : "");
        if (actions[action].assignment)
                r = notify_as(target->main_pid, text);
        if (r < 0)
                return answer(ret_why, r == -ESRCH ? OUTCOME_REFUSED : OUTCOME_FAILED,
                              "cannot notify the service manager as %s: %s%s", request->unit,
                              strerror(-r),
                              r == -ESRCH   ? " (it ended just now, and nothing was done)"
                              : r == -EPERM ? " (healthd-guard.service needs CAP_SYS_ADMIN)"
                                            : "");
        return OUTCOME_DONE;
}

static Outcome request_handle(const Request *request, Target *target, char **ret_why) {
        size_t action = 0;
        Outcome outcome;
        int r;

        while (action < ELEMENTS(actions) && !string_equal(request->action, actions[action].word))
                action++;
        if (action == ELEMENTS(actions))
                return answer(ret_why, OUTCOME_REFUSED, "there is no such action");
        if (!service_name_is_valid(request->unit))
                return answer(ret_why, OUTCOME_REFUSED, "this is not the name of a service");
        if (string_after_prefix(request->unit, "healthd"))
                return answer(ret_why, OUTCOME_REFUSED, "%s is healthd's own", request->unit);
        if (!unit_opted_in(request->unit))
                return answer(ret_why, OUTCOME_REFUSED,
                              "%s did not opt in; run as root: healthctl adopt %s", request->unit,
                              request->unit);
        if (string_equal(request->action, "note"))
                return answer(ret_why, OUTCOME_REFUSED, "%s is left alone: %s", request->unit,
                              request->reason);
        r = target_read(target, request->unit);
        if (r == -ENOENT)
                return answer(ret_why, OUTCOME_REFUSED, "%s is not loaded", request->unit);
        if (r < 0)
                return answer(ret_why, OUTCOME_FAILED, "cannot ask systemd about %s: %s",
                              request->unit, strerror(-r));
        outcome = target_judge(target, action, request->unit, ret_why);
        return outcome == OUTCOME_DONE ? act(request, action, target, ret_why) : outcome;
}

static bool peer_may_ask(int fd) {
        const struct passwd *user = getpwnam(CLIENT_USER);
        struct ucred peer;
        socklen_t length = sizeof(peer);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) >= 0 &&
               (peer.uid == 0 || (user && peer.uid == user->pw_uid));
}

static void serve(int fd) {
        static const struct timeval patience = { .tv_sec = REQUEST_SEC };
        _cleanup_(target_done) Target target = {};
        _cleanup_free_ char *why = NULL, *reply = NULL;
        Request request = {};
        bool may_ask = peer_may_ask(fd), parsed;
        Outcome outcome;
        ssize_t n;

        (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        (void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        /* A stranger is told so at once, since others wait; unread words would cost him that. */
        if (!may_ask)
                (void) shutdown(fd, SHUT_RD);
        n = recv(fd, request.text, sizeof(request.text), 0);
        if (n <= 0 && may_ask)
                return;
        parsed = may_ask && n <= REQUEST_MAX && strnlen(request.text, (size_t) n) == (size_t) n &&
                 request_parse(&request);
        if (parsed)
                outcome = request_handle(&request, &target, &why);
        else if (may_ask)
                outcome = answer(&why, OUTCOME_REFUSED, "wanted: UNIT=, ACTION=, REASON= lines");
        else
                outcome = answer(&why, OUTCOME_REFUSED, "only the user " CLIENT_USER " may ask");
        string_make_printable(why);
        /* What a stranger says is no entry of the unit's that he names. */
        if (!parsed)
                request = (Request){ .unit = OWN_UNIT, .action = "", .reason = "" };
        if (outcome != OUTCOME_DONE && why)
                log_outcome(&request, outcome, why);
        if (string_printf(&reply, "%s %s", outcomes[outcome].word, why ? why : "") >= 0)
                (void) send(fd, reply, strlen(reply), MSG_NOSIGNAL);
}

int main(void) {
        struct pollfd listener = { .fd = SD_LISTEN_FDS_START, .events = POLLIN };

        if (sd_listen_fds(1) != 1 ||
            sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_SEQPACKET, 1, NULL, 0) <= 0) {
                fputs("healthd-guard is started by healthd-guard.socket: see healthd-guard(8)\n",
                      stderr);
                return EXIT_FAILURE;
        }
        while (poll(&listener, 1, IDLE_MSEC) > 0) {
                _cleanup_close_ int fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC);
                if (fd >= 0)
                        serve(fd);
        }
        return EXIT_SUCCESS;
}
