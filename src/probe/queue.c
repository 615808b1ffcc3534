/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=queue: how much waits in a queue of a broker. This file reads the keys; each Backend= asks
 * its broker in a file of its own.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "probe/queue-backend.h"

typedef struct QueueProbe {
        char *backend_text;
        QueueSettings settings;

        const QueueBackend *backend;
        void *instance;
} QueueProbe;

const char *const queue_mechanism_words[] = { "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", NULL };

static const ConfigRange database_range = { 0, INT32_MAX };

#define SETTING(member) offsetof(QueueProbe, settings.member)

static const ConfigKey queue_keys[] = {
        { "Backend", config_parse_string, offsetof(QueueProbe, backend_text) },
        { "Address", config_parse_string, SETTING(address_text) },
        { "Queue", config_parse_string, SETTING(queue) },
        { "Group", config_parse_string, SETTING(group) },
        { "Username", config_parse_string, SETTING(username), .flags = CONFIG_CREDENTIAL },
        { "Password", config_parse_string, SETTING(password),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "VirtualHost", config_parse_string, SETTING(virtual_host) },
        { "Database", config_parse_unsigned, SETTING(database), &database_range },
        { "TLS", config_parse_bool, SETTING(tls) },
        { "CAFile", config_parse_path, SETTING(ca_file) },
        { "ServerName", config_parse_string, SETTING(server_name) },
        { "Certificate", config_parse_path, SETTING(certificate) },
        { "Key", config_parse_path, SETTING(key) },
        { "Connection", config_parse_word_of, SETTING(connection), connection_mode_words },
        { "Mechanism", config_parse_word_of, SETTING(mechanism), queue_mechanism_words },
        {},
};

typedef struct OptionalKey {
        QueueKeys bit;
        const char *name;
        bool written;
} OptionalKey;

/* One key is refused at a time: the first that does not fit. */
static int queue_refuse_keys(QueueProbe *probe, ProbeSetup *setup) {
        const QueueSettings *settings = &probe->settings;
        const QueueBackend *backend = probe->backend;
        const OptionalKey keys[] = {
                { QUEUE_GROUP, "Group", settings->group },
                { QUEUE_USERNAME, "Username", settings->username },
                { QUEUE_PASSWORD, "Password", settings->password },
                { QUEUE_VIRTUAL_HOST, "VirtualHost", settings->virtual_host },
                { QUEUE_DATABASE, "Database", settings->database > 0 },
                { QUEUE_TLS, "TLS", settings->tls },
                { QUEUE_CA_FILE, "CAFile", settings->ca_file },
                { QUEUE_SERVER_NAME, "ServerName", settings->server_name },
                { QUEUE_CERTIFICATE, "Certificate", settings->certificate },
                { QUEUE_CERTIFICATE, "Key", settings->key },
                { QUEUE_CONNECTION, "Connection", settings->connection != CONNECTION_FRESH },
                { QUEUE_MECHANISM, "Mechanism", settings->mechanism > 0 },
        };

        for (size_t i = 0; i < ELEMENTS(keys); i++) {
                if (keys[i].written && !(backend->takes & keys[i].bit))
                        return probe_setup_refuse(setup, keys[i].name,
                                                  "%s= means nothing to Backend=%s; remove it",
                                                  keys[i].name, backend->name);
                if (!keys[i].written && backend->needs & keys[i].bit)
                        return probe_setup_refuse(setup, "Backend",
                                                  "Backend=%s needs %s=", backend->name,
                                                  keys[i].name);
        }
        if (settings->username && !settings->password)
                return probe_setup_refuse(setup, "Username", "Username= needs Password=");
        if (settings->key && !settings->certificate)
                return probe_setup_refuse(setup, "Key", "Key= needs Certificate=");
        return 0;
}

static int queue_refuse_tls_keys(const QueueSettings *settings, ProbeSetup *setup) {
        const OptionalKey keys[] = {
                { QUEUE_CA_FILE, "CAFile", settings->ca_file },
                { QUEUE_SERVER_NAME, "ServerName", settings->server_name },
                { QUEUE_CERTIFICATE, "Certificate", settings->certificate },
        };

        for (size_t i = 0; i < ELEMENTS(keys) && !settings->tls; i++)
                if (keys[i].written)
                        return probe_setup_refuse(setup, keys[i].name, "%s= needs TLS=yes",
                                                  keys[i].name);
        return 0;
}

static int queue_prepare_address(QueueProbe *probe, ProbeSetup *setup) {
        const QueueBackend *backend = probe->backend;
        QueueSettings *settings = &probe->settings;
        uint16_t port = settings->tls && backend->tls_port ? backend->tls_port : backend->port;
        int r;

        if (backend->several_addresses)
                return 0;
        r = address_parse(settings->address_text ? settings->address_text : "127.0.0.1", port,
                          &settings->address);
        if (r == -EINVAL || (r >= 0 && settings->address.path && !backend->takes_path))
                return probe_setup_refuse(setup, "Address",
                                          "Address= must be host:port%s: 127.0.0.1:%u",
                                          backend->takes_path ? ", or the absolute path of a unix "
                                                                "socket"
                                                              : "",
                                          (unsigned) port);
        if (r >= 0 && settings->address.path && settings->tls)
                return probe_setup_refuse(setup, "TLS",
                                          "TLS= does not work over a unix socket: remove it");
        return r;
}

/* Not read by the key table: this error would be followed by one that Backend= is missing. */
static int queue_find_backend(QueueProbe *probe, ProbeSetup *setup) {
        static const ConfigKey key = { .name = "Backend", .data = queue_backend_words };
        _cleanup_free_ char *why = NULL;
        const QueueBackendRow *row;
        int word, r;

        if (!probe->backend_text)
                return probe_setup_refuse(setup, NULL,
                                          "Backend= is missing; write Backend=rabbitmq-http, or "
                                          "the kind of broker it is (see healthd.check(5))");
        r = config_parse_word_of(&key, probe->backend_text, &word, &why);
        if (r == -EINVAL)
                return probe_setup_refuse(setup, "Backend", "Backend=%s: %s", probe->backend_text,
                                          why);
        if (r < 0)
                return r;
        row = &queue_backend_rows[word];
        if (!row->backend)
                return probe_setup_refuse(setup, "Backend",
                                          "this healthd was built without Backend=%s (library "
                                          "%s); install one that has it, or build it with that "
                                          "library",
                                          probe->backend_text, row->needs);
        r = library_load_all(row->libraries, &why);
        if (r == -ELIBACC)
                return probe_setup_refuse(setup, "Backend", "Backend=%s: %s", probe->backend_text,
                                          why);
        if (r < 0)
                return r;
        probe->instance = calloc(1, row->backend->instance_size);
        if (!probe->instance)
                return -ENOMEM;
        probe->backend = row->backend;
        return 0;
}

static int queue_prepare(void *instance, ProbeSetup *setup) {
        QueueProbe *probe = instance;
        int r;

        r = queue_find_backend(probe, setup);
        if (r >= 0 && !probe->settings.queue)
                r = probe_setup_refuse(setup, NULL,
                                       "Queue= is missing; write the name of the queue");
        if (r >= 0)
                r = queue_refuse_keys(probe, setup);
        if (r >= 0)
                r = queue_refuse_tls_keys(&probe->settings, setup);
        if (r >= 0)
                r = queue_prepare_address(probe, setup);
        return r < 0 ? r : probe->backend->prepare(probe->instance, &probe->settings, setup);
}

static int queue_start(void *instance, Check *check) {
        QueueProbe *probe = instance;

        return probe->backend->start(probe->instance, check);
}

static void queue_cancel(void *instance, Sample *sample) {
        QueueProbe *probe = instance;

        probe->backend->cancel(probe->instance, sample);
}

static void queue_done(void *instance) {
        QueueProbe *probe = instance;
        QueueSettings *settings = &probe->settings;

        if (probe->backend)
                probe->backend->done(probe->instance);
        free(probe->instance);
        address_done(&settings->address);
        string_free_secret(settings->password);
        free(probe->backend_text);
        free(settings->address_text);
        free(settings->queue);
        free(settings->group);
        free(settings->username);
        free(settings->virtual_host);
        free(settings->ca_file);
        free(settings->server_name);
        free(settings->certificate);
        free(settings->key);
}

static int queue_get_host(const void *instance, char **ret) {
        const QueueProbe *probe = instance;
        _cleanup_(address_done) Address first = {};
        _cleanup_free_ char *text = NULL;
        int r;

        if (!probe->backend || !probe->backend->several_addresses)
                return string_replace(ret, probe->settings.address.host);
        if (!probe->settings.address_text)
                return 0;
        text = strndup(probe->settings.address_text, strcspn(probe->settings.address_text, ", "));
        if (!text)
                return -ENOMEM;
        /* What the backend takes and this does not is no host that we could judge. */
        r = address_parse(text, 1, &first);
        return r == -ENOMEM ? r : string_replace(ret, first.host);
}

const ProbeType queue_probe = {
        .name = "queue",
        .section = "Queue",
        .instance_size = sizeof(QueueProbe),
        .keys = queue_keys,
        .prepare = queue_prepare,
        .get_host = queue_get_host,
        .start = queue_start,
        .cancel = queue_cancel,
        .done = queue_done,
};
