/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helpers/helper.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"

#define LOGIN_MAX     (1024 * 1024)
#define DEADLINE_USEC (5 * USEC_PER_SEC)
#define LEFT_MAX_MS   (60 * 60 * 1000)

typedef struct HelperOption {
        const char *name;
        size_t offset;
} HelperOption;

static const HelperOption options[] = {
        { "name", offsetof(HelperSettings, name) },
        { "address", offsetof(HelperSettings, address) },
        { "queue", offsetof(HelperSettings, queue) },
        { "group", offsetof(HelperSettings, group) },
        { "virtual-host", offsetof(HelperSettings, virtual_host) },
        { "mechanism", offsetof(HelperSettings, mechanism) },
        { "ca-file", offsetof(HelperSettings, ca_file) },
        { "certificate", offsetof(HelperSettings, certificate) },
        { "key", offsetof(HelperSettings, key) },
};

enum {
        OPTION_TLS = ELEMENTS(options),
        OPTION_DEADLINE,
        N_OPTIONS,
};

/* A line without the end of it, so that it can also be typed; an empty one is none. */
static int read_line(char **ret) {
        char *line = NULL;
        size_t allocated = 0;
        ssize_t length;

        length = getline(&line, &allocated, stdin);
        if (length > 0 && line[length - 1] == '\n')
                line[--length] = '\0';
        if (length > 0 && length <= LOGIN_MAX) {
                *ret = line;
                return 0;
        }
        free(line);
        return length > 0 ? -E2BIG : 0;
}

static int read_login(HelperSettings *settings) {
        int r = read_line(&settings->username);

        if (r >= 0)
                r = read_line(&settings->password);
        if (r < 0)
                (void) fputs("user name or password is longer than 1 MiB\n", stderr);
        return r;
}

static int read_deadline(const char *text, uint64_t *ret) {
        unsigned long long usec;
        char *end;

        errno = 0;
        usec = strtoull(text, &end, 10);
        if (*end || errno != 0 || usec == 0)
                return -EINVAL;
        *ret = usec;
        return 0;
}

int helper_read_settings(int argc, char **argv, HelperSettings *ret) {
        struct option known[N_OPTIONS + 1] = {};
        HelperSettings settings = { .name = "healthd" };
        int c, r = 0;

        settings.deadline_usec = now_monotonic_usec() + DEADLINE_USEC;
        for (size_t i = 0; i < ELEMENTS(options); i++)
                known[i] = (struct option){ options[i].name, required_argument, NULL, (int) i };
        known[OPTION_TLS] = (struct option){ "tls", no_argument, NULL, OPTION_TLS };
        known[OPTION_DEADLINE] = (struct option){ "deadline-usec", required_argument, NULL,
                                                  OPTION_DEADLINE };
        while ((c = getopt_long(argc, argv, "", known, NULL)) >= 0) {
                if (c == '?')
                        return -EINVAL;
                if (c == OPTION_TLS)
                        settings.tls = true;
                else if (c == OPTION_DEADLINE)
                        r = read_deadline(optarg, &settings.deadline_usec);
                else
                        *(const char **) (void *) ((char *) &settings + options[c].offset) = optarg;
        }
        if (r < 0 || optind < argc || !settings.address || !settings.queue) {
                (void) fprintf(stderr,
                               "%s is run by healthd; it needs --address= and --queue=, takes "
                               "--deadline-usec= of CLOCK_MONOTONIC, and on its standard input a "
                               "line with a user name and one with its password\n",
                               argv[0]);
                return -EINVAL;
        }
        r = read_login(&settings);
        if (r < 0) {
                helper_settings_done(&settings);
                return r;
        }
        *ret = settings;
        return 0;
}

void helper_settings_done(HelperSettings *settings) {
        settings->username = string_free_secret(settings->username);
        settings->password = string_free_secret(settings->password);
}

int helper_left_ms(const HelperSettings *settings) {
        uint64_t now_usec = now_monotonic_usec(), left_ms;

        if (settings->deadline_usec < now_usec + USEC_PER_MSEC)
                return 1;
        left_ms = (settings->deadline_usec - now_usec) / USEC_PER_MSEC;
        return left_ms < LEFT_MAX_MS ? (int) left_ms : LEFT_MAX_MS;
}

void helper_answer_begin(HelperAnswer *answer) {
        *answer = (HelperAnswer){};
        json_object_begin(&answer->json, NULL);
        json_object_begin(&answer->json, "details");
}

int helper_fail(HelperAnswer *answer, const char *format, ...) {
        va_list arguments;

        if (answer->message)
                return -EIO;
        va_start(arguments, format);
        /* Out of memory: the answer cannot be finished either. */
        (void) string_vprintf(&answer->message, format, arguments);
        va_end(arguments);
        return -EIO;
}

static int answer_write(HelperAnswer *answer) {
        _cleanup_free_ char *text = NULL;
        int r;

        json_add_boolean(&answer->json, "connected", answer->connected);
        json_object_end(&answer->json);
        if (answer->message) {
                json_add_string(&answer->json, "status",
                                answer->let_in ? "unhealthy" : "unreachable");
                json_add_string(&answer->json, "message", answer->message);
        }
        json_object_end(&answer->json);
        r = json_writer_finish(&answer->json, &text, NULL);
        if (r < 0)
                return r;
        return puts(text) >= 0 && fflush(stdout) == 0 ? 0 : -errno;
}

int helper_answer_finish(HelperAnswer *answer, int result) {
        int r = answer->message ? 0 : result;

        if (r >= 0)
                r = answer_write(answer);
        json_writer_done(&answer->json);
        free(TAKE_PTR(answer->message));
        if (r >= 0)
                return EXIT_SUCCESS;
        (void) fprintf(stderr, "%s: %s\n", program_invocation_short_name, strerrordesc_np(-r));
        return EXIT_FAILURE;
}
