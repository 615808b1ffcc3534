/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helpers/helper.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"

#define PASSWORD_MAX    (1024 * 1024)
#define TIMEOUT_MAX_MS  (60 * 60 * 1000)
#define TIMEOUT_DEFAULT "5000"

typedef struct HelperOption {
        const char *name;
        size_t offset;
} HelperOption;

static const HelperOption options[] = {
        { "name", offsetof(HelperSettings, name) },
        { "address", offsetof(HelperSettings, address) },
        { "queue", offsetof(HelperSettings, queue) },
        { "group", offsetof(HelperSettings, group) },
        { "username", offsetof(HelperSettings, username) },
        { "virtual-host", offsetof(HelperSettings, virtual_host) },
        { "mechanism", offsetof(HelperSettings, mechanism) },
        { "ca-file", offsetof(HelperSettings, ca_file) },
        { "certificate", offsetof(HelperSettings, certificate) },
        { "key", offsetof(HelperSettings, key) },
};

enum {
        OPTION_TLS = ELEMENTS(options),
        OPTION_TIMEOUT,
        N_OPTIONS,
};

/* One line, without the end of it, so that it can also be typed. */
static int read_password(char **ret) {
        char *password = NULL;
        size_t allocated = 0;
        ssize_t length;

        length = getline(&password, &allocated, stdin);
        if (length > 0 && password[length - 1] == '\n')
                password[--length] = '\0';
        if (length > 0 && length <= PASSWORD_MAX) {
                *ret = password;
                return 0;
        }
        free(password);
        return length > 0 ? -E2BIG : 0;
}

static int set_deadline(const char *timeout_ms, HelperSettings *settings) {
        unsigned long ms;
        char *end;

        errno = 0;
        ms = strtoul(timeout_ms, &end, 10);
        if (*end || errno != 0 || ms == 0 || ms > TIMEOUT_MAX_MS)
                return -EINVAL;
        settings->deadline_usec = now_monotonic_usec() + ms * USEC_PER_MSEC;
        return 0;
}

int helper_read_settings(int argc, char **argv, HelperSettings *ret) {
        struct option known[N_OPTIONS + 1] = {};
        HelperSettings settings = { .name = "healthd" };
        const char *timeout_ms = TIMEOUT_DEFAULT;
        int c, r;

        for (size_t i = 0; i < ELEMENTS(options); i++)
                known[i] = (struct option){ options[i].name, required_argument, NULL, (int) i };
        known[OPTION_TLS] = (struct option){ "tls", no_argument, NULL, OPTION_TLS };
        known[OPTION_TIMEOUT] = (struct option){ "timeout-ms", required_argument, NULL,
                                                 OPTION_TIMEOUT };
        while ((c = getopt_long(argc, argv, "", known, NULL)) >= 0) {
                if (c == '?')
                        return -EINVAL;
                if (c == OPTION_TLS)
                        settings.tls = true;
                else if (c == OPTION_TIMEOUT)
                        timeout_ms = optarg;
                else
                        *(const char **) (void *) ((char *) &settings + options[c].offset) = optarg;
        }
        r = set_deadline(timeout_ms, &settings);
        if (r < 0 || optind < argc || !settings.address || !settings.queue) {
                (void) fprintf(stderr,
                               "%s is run by healthd; it needs --address= and --queue=, takes "
                               "--timeout-ms= up to an hour, and a password on its standard "
                               "input\n",
                               argv[0]);
                return -EINVAL;
        }
        r = read_password(&settings.password);
        if (r < 0) {
                (void) fprintf(stderr, "the password is longer than 1 MiB\n");
                return r;
        }
        *ret = settings;
        return 0;
}

void helper_settings_done(HelperSettings *settings) {
        settings->password = string_free_secret(settings->password);
}

int helper_left_ms(const HelperSettings *settings) {
        uint64_t now_usec = now_monotonic_usec();

        if (settings->deadline_usec < now_usec + USEC_PER_MSEC)
                return 1;
        return (int) ((settings->deadline_usec - now_usec) / USEC_PER_MSEC);
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
