/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "healthctl/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/string-util.h"

#define DEFAULT_WIDTH  80
#define DEFAULT_HEIGHT 24

static unsigned number_from_environment(const char *name) {
        const char *text = getenv(name);
        unsigned long number = text ? strtoul(text, NULL, 10) : 0;

        return number > 0 && number < 10000 ? (unsigned) number : 0;
}

void terminal_read_size(Terminal *terminal) {
        struct winsize size = {};

        if (!terminal->is_tty)
                return;
        (void) ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
        terminal->width = size.ws_col ? size.ws_col : number_from_environment("COLUMNS");
        terminal->height = size.ws_row ? size.ws_row : number_from_environment("LINES");
        if (terminal->width == 0)
                terminal->width = DEFAULT_WIDTH;
        if (terminal->height == 0)
                terminal->height = DEFAULT_HEIGHT;
}

void terminal_init(Terminal *terminal) {
        const char *term = getenv("TERM");

        *terminal = (Terminal){
                .out = stdout,
                .is_tty = isatty(STDOUT_FILENO),
                .utf8 = string_equal(nl_langinfo(CODESET), "UTF-8"),
        };
        terminal->colours = terminal->is_tty && string_is_empty(getenv("NO_COLOR")) && term &&
                            !string_equal(term, "dumb");
        terminal_read_size(terminal);
}

/* What sudo lets somebody run must not give away a shell of root by less's "!". */
static bool pager_must_be_secure(void) {
        const char *wish = getenv("SYSTEMD_PAGERSECURE");

        if (wish)
                return !string_equal(wish, "0") && strcasecmp(wish, "no") != 0 &&
                       strcasecmp(wish, "false") != 0 && strcasecmp(wish, "off") != 0;
        return geteuid() != getuid() || getenv("SUDO_UID");
}

/* The words of the pager to run; empty: none. */
static int pager_choose(StringList *ret_words) {
        const char *pager = getenv("SYSTEMD_PAGER");

        if (!pager)
                pager = getenv("PAGER");
        if (!pager || pager_must_be_secure())
                pager = pager && (!*pager || string_equal(pager, "cat")) ? pager : "less";
        if (string_equal(pager, "cat"))
                return 0;
        return string_list_add_words(ret_words, pager);
}

static void pager_set_environment(const Terminal *terminal) {
        const char *options = getenv("SYSTEMD_LESS"), *charset = getenv("SYSTEMD_LESSCHARSET");

        /* As systemd's tools: quit if it fits a screen, colours pass, long lines are chopped. */
        (void) setenv("LESS", options ? options : "FRSXMK", 1);
        if (charset || terminal->utf8)
                (void) setenv("LESSCHARSET", charset ? charset : "utf-8", 1);
        if (pager_must_be_secure())
                (void) setenv("LESSSECURE", "1", 1);
}

/* In the child. Without the pager that was asked for, text is better than nothing. */
static void __attribute__((noreturn))
pager_run(const Terminal *terminal, char *const *words, int input, int output) {
        char buffer[4096];
        ssize_t n;

        if (dup2(input, STDIN_FILENO) < 0)
                _exit(EXIT_FAILURE);
        /* Held here as well, it would never end what is read. */
        (void) close(output);
        pager_set_environment(terminal);
        execvp(words[0], words);
        while ((n = read(STDIN_FILENO, buffer, sizeof(buffer))) > 0)
                for (ssize_t done = 0; done < n;) {
                        ssize_t written = write(STDOUT_FILENO, buffer + done, (size_t) (n - done));
                        if (written < 0)
                                _exit(EXIT_FAILURE);
                        done += written;
                }
        _exit(EXIT_SUCCESS);
}

void terminal_open_pager(Terminal *terminal) {
        _cleanup_(string_list_freep) StringList words = NULL;
        _cleanup_close_ int input = -1, output = -1;
        int ends[2];
        pid_t pid;

        if (!terminal->is_tty || terminal->no_pager || terminal->pager > 0 ||
            pager_choose(&words) < 0 || !words)
                return;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return;
        input = ends[0];
        output = ends[1];
        (void) fflush(stdout);
        pid = fork();
        if (pid == 0)
                pager_run(terminal, words, input, output);
        if (pid < 0)
                return;
        /* Ctrl-C is for the pager, and who leaves it early is no mistake. */
        (void) signal(SIGINT, SIG_IGN);
        (void) signal(SIGPIPE, SIG_IGN);
        if (dup2(output, STDOUT_FILENO) >= 0)
                terminal->pager = pid;
}

int terminal_close(Terminal *terminal) {
        int r = 0;

        if (fflush(stdout) != 0)
                r = -errno;
        if (terminal->pager <= 0)
                return r;
        (void) fclose(stdout);
        while (waitpid(terminal->pager, NULL, 0) < 0 && errno == EINTR)
                ;
        terminal->pager = 0;
        return r == -EPIPE ? 0 : r;
}

void terminal_make_printable(const Terminal *terminal, char *text) {
        string_make_printable(text);
        /* To a terminal that knows no UTF-8, some bytes of letters are control characters. */
        for (; text && !terminal->utf8 && *text; text++)
                if ((unsigned char) *text >= 0x80)
                        *text = '?';
}

const char *terminal_colour(const Terminal *terminal, Status status) {
        static const char *const colours[_STATUS_MAX] = {
                [STATUS_UNKNOWN] = "\033[1;35m",  [STATUS_HEALTHY] = "\033[1;32m",
                [STATUS_DEGRADED] = "\033[1;33m", [STATUS_UNHEALTHY] = "\033[1;31m",
                [STATUS_ERROR] = "\033[1;35m",
        };

        return terminal->colours ? colours[status] : "";
}

const char *terminal_bold(const Terminal *terminal) {
        return terminal->colours ? "\033[1m" : "";
}

const char *terminal_plain(const Terminal *terminal) {
        return terminal->colours ? "\033[0m" : "";
}

const char *terminal_dot(const Terminal *terminal) {
        return terminal->utf8 ? "●" : "*";
}

const char *terminal_spark(const Terminal *terminal, Status status) {
        /* Calm is low, so that trouble stands out. */
        static const char *const bars[_STATUS_MAX] = {
                [STATUS_UNKNOWN] = " ",   [STATUS_HEALTHY] = "▁", [STATUS_DEGRADED] = "▂",
                [STATUS_UNHEALTHY] = "█", [STATUS_ERROR] = "▅",
        };
        static const char *const letters[_STATUS_MAX] = {
                [STATUS_UNKNOWN] = " ",   [STATUS_HEALTHY] = ".", [STATUS_DEGRADED] = "~",
                [STATUS_UNHEALTHY] = "!", [STATUS_ERROR] = "?",
        };

        return terminal->utf8 ? bars[status] : letters[status];
}
