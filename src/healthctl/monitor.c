/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* monitor: status, live on a terminal; elsewhere a line for each change. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "healthctl/host-view.h"
#include "healthctl/pause.h"
#include "healthctl/status.h"

#define PACE_MSEC         1000
#define PATIENCE_S        3 /* so long may Ctrl-C take while the daemon hangs */

/* Another page, no cursor, and lines that are cut at the edge; and all that taken back. */
#define SCREEN_ENTER      "\033[?1049h\033[?25l\033[?7l\033[2J"
#define SCREEN_LEAVE      "\033[?7h\033[?25h\033[?1049l"
#define SCREEN_HOME       "\033[H"
#define SCREEN_CLEAR_LINE "\033[K"
#define SCREEN_CLEAR_REST "\033[J"

typedef struct Screen {
        struct termios before;
        sigset_t mask_before;
        int signals; /* signalfd */
        bool has_keys;
} Screen;

static int screen_enter(Screen *screen) {
        struct termios keys;
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGINT);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGHUP);
        sigaddset(&mask, SIGWINCH);
        if (sigprocmask(SIG_BLOCK, &mask, &screen->mask_before) < 0)
                return -errno;
        screen->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        if (screen->signals < 0)
                return -errno;
        screen->has_keys = tcgetattr(STDIN_FILENO, &screen->before) == 0;
        if (screen->has_keys) {
                keys = screen->before;
                keys.c_lflag &= ~(tcflag_t) (ECHO | ICANON);
                /* Stopped, it would leave the other page to the shell. */
                keys.c_cc[VSUSP] = _POSIX_VDISABLE;
                (void) tcsetattr(STDIN_FILENO, TCSANOW, &keys);
        }
        (void) fputs(SCREEN_ENTER, stdout);
        return fflush(stdout) == 0 ? 0 : -errno;
}

static void screen_leave(Screen *screen) {
        if (screen->signals < 0)
                return;
        (void) fputs(SCREEN_LEAVE, stdout);
        (void) fflush(stdout);
        if (screen->has_keys)
                (void) tcsetattr(STDIN_FILENO, TCSANOW, &screen->before);
        screen->signals = fd_close(screen->signals);
}

/* Writes as many lines as there is room for, in one go: nothing flickers. */
static int screen_draw(const Terminal *terminal, const char *text) {
        _cleanup_(text_buffer_done) TextBuffer page = {};
        _cleanup_free_ char *bytes = NULL;
        size_t length;

        text_buffer_add_string(&page, SCREEN_HOME);
        for (unsigned line = 0; line < terminal->height && *text; line++) {
                size_t n = strcspn(text, "\n");

                text_buffer_printf(&page, "%s" SCREEN_CLEAR_LINE "%.*s", line > 0 ? "\r\n" : "",
                                   (int) n, text);
                text += n + (text[n] == '\n');
        }
        text_buffer_printf(&page, "%s" SCREEN_CLEAR_REST, terminal_plain(terminal));
        if (text_buffer_finish(&page, &bytes, &length) < 0)
                return -ENOMEM;
        return fwrite(bytes, 1, length, stdout) == length && fflush(stdout) == 0 ? 0 : -EIO;
}

/* Renders the state, or why there is none, to a new text. */
static int render(Healthctl *ctl, char **patterns, char **ret) {
        Terminal terminal = ctl->terminal;
        _cleanup_(host_view_done) HostView view = {};
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r, seen;

        seen = host_view_read(ctl, patterns, &view);
        if (seen == -ENOENT || seen == -ENOMEM)
                return seen;
        terminal.out = open_memstream(&text, &size);
        if (!terminal.out)
                return -ENOMEM;
        if (seen < 0) {
                terminal_make_printable(&terminal, ctl->error);
                (void) fprintf(terminal.out, "%s%s%s\n", terminal_colour(&terminal, STATUS_ERROR),
                               ctl->error ? ctl->error : strerrordesc_np(-seen),
                               terminal_plain(&terminal));
                healthctl_forgive(ctl);
        }
        r = seen < 0 ? 0 : status_print(ctl, &terminal, &view, false);
        if (fclose(terminal.out) != 0 || r < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(text);
        return 0;
}

/* Returns whether to go on; looks for a new size. */
static bool screen_wait(const Screen *screen, Terminal *terminal) {
        struct pollfd events[] = {
                { .fd = screen->signals, .events = POLLIN },
                { .fd = screen->has_keys ? STDIN_FILENO : -1, .events = POLLIN },
        };
        struct signalfd_siginfo info;
        char key = '\0';

        if (poll(events, ELEMENTS(events), PACE_MSEC) <= 0)
                return true;
        while (read(screen->signals, &info, sizeof(info)) == sizeof(info)) {
                if (info.ssi_signo != SIGWINCH)
                        return false;
                terminal_read_size(terminal);
        }
        if (events[1].revents && read(STDIN_FILENO, &key, 1) <= 0)
                return false;
        return key != 'q';
}

static int monitor_screen(Healthctl *ctl, char **patterns) {
        _cleanup_(screen_leave) Screen screen = { .signals = -1 };
        int r;

        r = screen_enter(&screen);
        if (r < 0)
                return r;
        do {
                _cleanup_free_ char *text = NULL;

                r = render(ctl, patterns, &text);
                if (r >= 0)
                        r = screen_draw(&ctl->terminal, text);
                if (r < 0)
                        return r;
        } while (screen_wait(&screen, &ctl->terminal));
        return EXIT_SUCCESS;
}

static int check_view_compare_name(const void *left, const void *right) {
        const CheckView *a = left, *b = right;

        return strcmp(a->name, b->name);
}

static int print_line(const Terminal *terminal, const HostView *view, const CheckView *check) {
        _cleanup_free_ char *why = check_view_explain(check, view->now);
        char now[64];

        if (!why)
                return -ENOMEM;
        (void) fprintf(terminal->out, "%s %s %s%s%s\n", format_time(now, sizeof(now), view->now),
                       check->name, status_to_string(check->status), *why ? ": " : "", why);
        return 0;
}

/* Both are sorted by name, as the daemon has them. */
static int print_changes(const Terminal *terminal, const HostView *before, const HostView *view) {
        int r;

        for (size_t i = 0; i < view->n_checks; i++) {
                const CheckView *check = &view->checks[i], *found = NULL;
                Status was = STATUS_HEALTHY;

                if (before->n_checks > 0)
                        found = bsearch(check, before->checks, before->n_checks, sizeof(CheckView),
                                        check_view_compare_name);
                if (found)
                        was = found->status;
                if (check->status == was)
                        continue;
                r = print_line(terminal, view, check);
                if (r < 0)
                        return r;
        }
        return fflush(terminal->out) == 0 ? 0 : -errno;
}

static int monitor_lines(Healthctl *ctl, char **patterns) {
        _cleanup_(host_view_done) HostView before = {};
        int r;

        for (;; pause_msec(PACE_MSEC)) {
                _cleanup_(host_view_done) HostView view = {};

                r = host_view_read(ctl, patterns, &view);
                if (r < 0)
                        return r;
                r = print_changes(&ctl->terminal, &before, &view);
                if (r < 0)
                        return r;
                host_view_done(&before);
                before = view;
                view = (HostView){};
        }
}

int verb_monitor(Healthctl *ctl, char **arguments) {
        if (!ctl->terminal.is_tty)
                return monitor_lines(ctl, arguments);
        ctl->patience_s = PATIENCE_S;
        return monitor_screen(ctl, arguments);
}
