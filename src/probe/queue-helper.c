/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend=amqp and kafka: by programs beside the daemon (src/helpers/), because their libraries
 * block or bring threads. Each may be a package of its own, so whether it is there is found out
 * when the configuration is read, not when healthd is built.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "io/trusted-program.h"
#include "probe/plugin.h"
#include "probe/queue-backend.h"

#define AMQP_PORT      5672
#define AMQP_TLS_PORT  5671
#define KAFKA_PORT     9092
#define KAFKA_TLS_PORT 9093

typedef struct HelperQueue {
        const QueueSettings *settings; /* borrowed */
        char *path;                    /* of the program */
        char *address;                 /* what it is to connect to, ports and all */
        char *login;                   /* for its standard input, as helper.c reads it; or NULL */
        Check *check;
        Child *child;
} HelperQueue;

/* ---- configuration ---- */

static int helper_find(HelperQueue *queue, const char *name, const char *library,
                       ProbeSetup *setup) {
        int r;

        r = string_printf(&queue->path, "%s/check-%s", setup->helper_directory, name);
        if (r < 0)
                return r;
        if (access(queue->path, F_OK) < 0 && errno == ENOENT)
                return probe_setup_refuse(setup, "Backend",
                                          "Backend=%s is the work of %s, which is not there: "
                                          "install the package healthd-%s, or build healthd with "
                                          "%s",
                                          name, queue->path, name, library);
        return 0;
}

/* Neither is an argument: those are for everybody to read. */
static int login_make(HelperQueue *queue, ProbeSetup *setup) {
        const QueueSettings *settings = queue->settings;

        /* Neither or both, as queue.c sees to. */
        if (!settings->username || !settings->password)
                return 0;
        if (strchr(settings->username, '\n'))
                return probe_setup_refuse(setup, "Username", "Username= is more than one line");
        /* That of a credential without its last line end; the program reads a line. */
        if (strchr(settings->password, '\n'))
                return probe_setup_refuse(setup, "Password", "Password= is more than one line");
        return string_printf(&queue->login, "%s\n%s\n", settings->username, settings->password);
}

static void add_address(TextBuffer *out, const Address *address) {
        bool bracketed = strchr(address->host, ':');

        text_buffer_printf(out, "%s%s%s%s:%u", out->length > 0 ? "," : "", bracketed ? "[" : "",
                           address->host, bracketed ? "]" : "", (unsigned) address->port);
}

static int amqp_prepare(void *instance, const QueueSettings *settings, ProbeSetup *setup) {
        _cleanup_(text_buffer_done) TextBuffer out = {};
        HelperQueue *queue = instance;
        int r;

        queue->settings = settings;
        add_address(&out, &settings->address);
        r = text_buffer_finish(&out, &queue->address, NULL);
        if (r >= 0)
                r = login_make(queue, setup);
        return r < 0 ? r : helper_find(queue, "amqp", "librabbitmq", setup);
}

static int kafka_read_servers(HelperQueue *queue, const char *text, ProbeSetup *setup) {
        uint16_t port = queue->settings->tls ? KAFKA_TLS_PORT : KAFKA_PORT;
        _cleanup_(text_buffer_done) TextBuffer out = {};
        _cleanup_free_ char *copy = strdup(text);
        char *rest = copy, *word;
        int r;

        if (!copy)
                return -ENOMEM;
        while ((word = strsep(&rest, ","))) {
                _cleanup_(address_done) Address address = {};
                r = address_parse(string_strip(word), port, &address);
                if (r == -EINVAL || (r >= 0 && address.path))
                        return probe_setup_refuse(setup, "Address",
                                                  "Address= must be one broker or several: "
                                                  "kafka1:%u,kafka2:%u",
                                                  (unsigned) port, (unsigned) port);
                if (r < 0)
                        return r;
                add_address(&out, &address);
        }
        return text_buffer_finish(&out, &queue->address, NULL);
}

static int kafka_prepare(void *instance, const QueueSettings *settings, ProbeSetup *setup) {
        const char *text = settings->address_text ? settings->address_text : "127.0.0.1";
        HelperQueue *queue = instance;
        int r;

        queue->settings = settings;
        if (settings->password && !settings->username)
                return probe_setup_refuse(setup, "Password", "Password= needs Username=");
        if (settings->mechanism > 0 && !settings->password)
                return probe_setup_refuse(setup, "Mechanism",
                                          "Mechanism= needs Username= and Password=");
        r = kafka_read_servers(queue, text, setup);
        if (r >= 0)
                r = login_make(queue, setup);
        return r < 0 ? r : helper_find(queue, "kafka", "librdkafka", setup);
}

/* ---- a run ---- */

static int add_option(StringList *argv, const char *name, const char *value) {
        _cleanup_free_ char *option = NULL;
        int r;

        if (!value)
                return 0;
        r = string_printf(&option, "--%s=%s", name, value);
        return r < 0 ? r : string_list_add(argv, option);
}

/*
 * A tenth of the time is for the start of the program and its last words. An instant, not a span:
 * other programs may have their turn first.
 */
static int helper_make_argv(const HelperQueue *queue, const Check *check, StringList *ret) {
        uint64_t now_usec = now_monotonic_usec(), deadline_usec = check_deadline_usec(check);
        uint64_t left_usec = deadline_usec > now_usec ? deadline_usec - now_usec : 0;
        _cleanup_(string_list_freep) StringList argv = NULL;
        _cleanup_free_ char *name = NULL, *deadline = NULL;
        const QueueSettings *settings = queue->settings;
        const char *const options[][2] = {
                { "address", queue->address },
                { "queue", settings->queue },
                { "group", settings->group },
                { "virtual-host", settings->virtual_host },
                { "mechanism", queue_mechanism_words[settings->mechanism] },
                { "ca-file", settings->ca_file },
                { "certificate", settings->certificate },
                { "key", settings->key },
        };
        int r;

        r = string_printf(&name, "healthd %s", check->settings.name);
        if (r >= 0)
                r = string_printf(&deadline, "%" PRIu64, deadline_usec - left_usec / 10);
        if (r >= 0)
                r = string_list_add(&argv, queue->path);
        if (r >= 0)
                r = add_option(&argv, "name", name);
        if (r >= 0)
                r = add_option(&argv, "deadline-usec", deadline);
        for (size_t i = 0; i < ELEMENTS(options) && r >= 0; i++)
                r = add_option(&argv, options[i][0], options[i][1]);
        if (r >= 0 && settings->tls)
                r = string_list_add(&argv, "--tls");
        if (r >= 0)
                *ret = TAKE_PTR(argv);
        return r;
}

static void helper_on_done(const ChildResult *result, void *userdata) {
        _cleanup_(sample_done) Sample sample = {};
        HelperQueue *queue = userdata;

        queue->child = NULL;
        plugin_read_json(result, queue->path, &sample);
        check_report(queue->check, &sample);
}

static int helper_start(void *instance, Check *check) {
        _cleanup_(string_list_freep) StringList argv = NULL;
        _cleanup_(sample_done) Sample sample = {};
        _cleanup_free_ char *why = NULL;
        HelperQueue *queue = instance;
        int r;

        queue->check = check;
        /* Every time: what was fine at the start may have been given away since. */
        r = trusted_program_check(queue->path, &why);
        if (r < 0) {
                if (r == -ENOENT)
                        sample_fail_internal(&sample, "%s has been removed; install it again",
                                             queue->path);
                else
                        sample_fail_internal(&sample, "%s", why ? why : strerrordesc_np(-r));
                check_report(check, &sample);
                return 0;
        }
        r = helper_make_argv(queue, check, &argv);
        if (r < 0)
                return r;
        const ChildCommand command = {
                .argv = argv,
                .input = queue->login,
                .output_max = PLUGIN_OUTPUT_MAX,
        };
        return child_start(check->runtime, &command, helper_on_done, queue, &queue->child);
}

static void helper_cancel(void *instance, Sample *sample) {
        HelperQueue *queue = instance;
        const char *why_waiting = child_explain_wait(queue->child);

        if (why_waiting)
                sample_fail_internal(sample, "%s %s", queue->path, why_waiting);
        else {
                sample_add_boolean(sample, "connected", false);
                sample_fail(sample, "%s: no answer, not even in resolving the name (%s was killed)",
                            queue->address, queue->path);
        }
        queue->child = child_kill(queue->child);
}

static void helper_done(void *instance) {
        HelperQueue *queue = instance;

        free(queue->path);
        free(queue->address);
        string_free_secret(queue->login);
}

const QueueBackend queue_backend_amqp = {
        .name = "amqp",
        .takes = QUEUE_USERNAME | QUEUE_PASSWORD | QUEUE_VIRTUAL_HOST | QUEUE_TLS | QUEUE_CA_FILE |
                 QUEUE_CERTIFICATE,
        .needs = QUEUE_USERNAME | QUEUE_PASSWORD,
        .port = AMQP_PORT,
        .tls_port = AMQP_TLS_PORT,
        .instance_size = sizeof(HelperQueue),
        .prepare = amqp_prepare,
        .start = helper_start,
        .cancel = helper_cancel,
        .done = helper_done,
};

const QueueBackend queue_backend_kafka = {
        .name = "kafka",
        .takes = QUEUE_GROUP | QUEUE_USERNAME | QUEUE_PASSWORD | QUEUE_MECHANISM | QUEUE_TLS |
                 QUEUE_CA_FILE | QUEUE_CERTIFICATE,
        .needs = QUEUE_GROUP,
        .several_addresses = true,
        .instance_size = sizeof(HelperQueue),
        .prepare = kafka_prepare,
        .start = helper_start,
        .cancel = helper_cancel,
        .done = helper_done,
};
