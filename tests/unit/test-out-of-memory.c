/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What reads the bytes of others, with each of its allocations failing in turn: it says -ENOMEM, or
 * does without, and frees what it has. A linker option (--wrap) sends the allocations here.
 */

#include <cjson/cJSON.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "alert/alert-settings.h"
#include "alert/alert-table.h"
#include "alert/email-text.h"
#include "alert/template.h"
#include "base/cleanup.h"
#include "check/check-settings.h"
#include "io/address.h"
#include "io/dns-message.h"
#include "io/http-url.h"
#include "probe/exposition.h"
#include "probe/metric-names.h"
#include "probe/metric-selector.h"
#include "probe/plugin.h"
#include "probe/probe-table.h"
#include "publish/control.h"
#include "publish/state-store.h"

DEFINE_CLEANUP(MetricSelector, metric_selector_free)

/* Which allocation from now on fails; 0: none. Whether it did. */
static unsigned fails_at;
static bool has_failed;

static bool refuses(void) {
        if (fails_at == 0 || --fails_at > 0)
                return false;
        has_failed = true;
        errno = ENOMEM;
        return true;
}

#define WRAP(type, name, parameters, arguments)                                                    \
        type __real_##name parameters;                                                             \
        type __wrap_##name parameters;                                                             \
        type __wrap_##name parameters {                                                            \
                return refuses() ? NULL : __real_##name arguments;                                 \
        }
WRAP(void *, malloc, (size_t size), (size))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *memory, size_t size), (memory, size))
WRAP(void *, reallocarray, (void *memory, size_t n, size_t size), (memory, n, size))
WRAP(char *, strdup, (const char *text), (text))
WRAP(char *, strndup, (const char *text, size_t size), (text, size))

int __real_vasprintf(char **ret, const char *format, va_list arguments);
int __wrap_vasprintf(char **ret, const char *format, va_list arguments);
int __wrap_vasprintf(char **ret, const char *format, va_list arguments) {
        return refuses() ? -1 : __real_vasprintf(ret, format, arguments);
}

/* Not memory of malloc(), but as short. */
int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags) {
        return refuses() ? -1 : __real_memfd_create(name, flags);
}

/* cJSON's are not linked here. */
static void *json_malloc(size_t size) {
        return malloc(size);
}

/* Reads the text, as often as it allocates and once more. Returns what it did with all memory. */
static int exhaust(int (*read_text)(const char *text), const char *text) {
        bool has_passed = false;

        for (unsigned n = 1;; n++) {
                int r;

                fails_at = n;
                has_failed = false;
                r = read_text(text);
                fails_at = 0;
                if (!has_failed && r < 0 && has_passed)
                        fail_msg("%s: passes when memory is short", text);
                if (!has_failed)
                        return r;
                has_passed = has_passed || r >= 0;
                if (r != 0 && r != -ENOMEM && r != -EINVAL && r != -EBADMSG)
                        fail_msg("%s: %d at allocation %u", text, r, n);
        }
}

static int read_config(const char *text, ConfigFile **ret, ConfigProblems *problems) {
        _cleanup_(config_file_freep) ConfigFile *file = calloc(1, sizeof(ConfigFile));
        int r;

        if (!file)
                return -ENOMEM;
        file->name = strdup("orders");
        if (!file->name)
                return -ENOMEM;
        r = config_file_parse(file, "orders.check", text, strlen(text), problems);
        if (r >= 0)
                *ret = TAKE_PTR(file);
        return r;
}

static int read_check(const char *text) {
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_(check_settings_done) CheckSettings settings = {};
        _cleanup_(config_file_freep) ConfigFile *file = NULL;
        ConfigContext context = { .problems = &problems, .verify_only = true };
        int r;

        r = read_config(text, &file, &problems);
        if (r >= 0)
                r = check_settings_load(&settings, file, probe_types, NULL, &context);
        string_list_free(context.secrets);
        /* What is not understood must not pass for what is. */
        if (r >= 0 && !settings.type && problems.n_items == 0)
                fail_msg("no check and no mistake: %s", text);
        return r >= 0 && problems.n_items > 0 ? -EINVAL : r;
}

static int read_alert(const char *text) {
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_(alert_settings_done) AlertSettings settings = {};
        _cleanup_(config_file_freep) ConfigFile *file = NULL;
        ConfigContext context = { .problems = &problems, .verify_only = true };
        int r;

        r = read_config(text, &file, &problems);
        if (r >= 0)
                r = alert_settings_load(&settings, file, alert_types, NULL, &context);
        string_list_free(context.secrets);
        if (r >= 0 && !settings.type && problems.n_items == 0)
                fail_msg("no alert and no mistake: %s", text);
        return r >= 0 && problems.n_items > 0 ? -EINVAL : r;
}

#define CHECK "[Check]\nType="
#define HTTP  "[HTTP]\nURL="

static void test_configuration(void **state) {
        static const char *const good[] = {
                CHECK "redis\nDescription=The \\\n cache\nGroups=a b\nDependsOn=network\n"
                      "UnhealthyWhen=reply > 1K and role == \"master\"\nDegradedWhen=role !~ ^ma\n"
                      "Maintenance=Sat,Sun 02:00..04:00\nGuards=orders.service\n"
                      "[Redis]\nAddress=[::1]:6379\nPassword=secret\nCommand=LLEN jobs\n"
                      "Info=maxclients\nX-Odd=1\n",
                CHECK "http\n" HTTP "https://user:p%40ss@[::1]:8443/?q#f\n"
                      "Header=Authorization: Bearer abc\nHeader=Accept: text/html\n"
                      "Json=depth:/a/b\nResponseHeader=age:Age\nBodyMatch=^o(k)\n",
                CHECK "http\n" HTTP "http://h/\nToken=abc\n",
                CHECK "exec\n[Exec]\nCommand=/bin/sh -c 'a \"b\" \\x41' \"x y\"\n"
                      "Environment=A=1\nEnvironment=A=2\n",
                CHECK "exec\n[Exec]\nCommand=/bin/echo a 'b c'\nEnvironment=PATH=/x\n"
                      "Environment=PATH=/y\n",
                CHECK "tcp\n[TCP]\nAddress=/run/a.sock\nSend=a\\r\\n\nExpect=^b\\x00\n",
                CHECK "dns\n[DNS]\nName=a.test\nServer=127.0.0.1:53\nExpect=10.0.0.1 10.0.0.2\n",
                CHECK "postgresql\n[PostgreSQL]\n"
                      "ConnectionString=host=a,b user='x' password=y\nQuery=SELECT 1\n",
                CHECK "metrics\n[Metrics]\nURL=http://h/metrics\n"
                      "Metric=a:sum(rate(x_total{code=~\"5..\",path!=\"\\\\\\n\"})) or 0\n",
                CHECK "file\n[File]\nPath=/srv/*.gz\nPath=/x\n",
                CHECK "unit\n[Unit]\nUnit=a b*.service\nTimers=yes\n",
                CHECK "heartbeat\n[Heartbeat]\nEvery=1d\nUser=root 7\n",
                CHECK "queue\n[Queue]\nBackend=redis-list\nQueue=jobs\nAddress=localhost\n",
                CHECK "queue\n[Queue]\nBackend=nats\nQueue=a.b\n",
                CHECK "queue\n[Queue]\nBackend=rabbitmq-http\nQueue=a\nUsername=a\nPassword=b\n",
                CHECK "system\n[System]\nMounts=/ /srv*\nExclude=/tmp\n",
                CHECK "application\n",
        };
        static const char *const bad[] = {
                "garbage\n[Check\n[Check]\nno assignment\n=1\nType=http\nType=tpc\n[TPC]\na=b\n",
                CHECK "http\nInterval=soon\nFailAfter=0\nRequired=maybe\nGroups=\"\n"
                      "UnhealthyWhen=a >\nUnhealthyWhen=role ~ (\nMaintenance=someday\nTyp=x\n"
                      "BreakerAfter=1\nGuards=a.socket\nGuardBudget=9\nGuardMode=shoot\n" HTTP
                      "ftp://h\nJson=x\nHeader=none\nBodyMatch=(\nHTTPVersion=9\nCAFile=x\n",
                CHECK "http\nInterval=soon\n" HTTP "http://h/\n",
                CHECK "http\nIntervall=1s\n" HTTP "http://h/\n",
                CHECK "http\n[HTP]\nURL=x\n" HTTP "http://h/\n",
                CHECK "http\ngarbage\n" HTTP "http://h/\n",
                CHECK "tpc\n",
                "[Check]\n",
                CHECK "http\n" HTTP "http://h/\nToken=a\nPassword=b\n",
                CHECK "http\n" HTTP "http://h/\nPassword=b\n",
                CHECK "http\n" HTTP "http://h/\nKey=/k\n",
                CHECK "http\n[HTTP]\nMethod=get\n",
                CHECK "exec\n[Exec]\nCommand=sh 'x\nCommand=/bin/echo \\q\nCommand=/bin/a | b\n"
                      "Command=/bin/a credential:x\nCommand=/bin/a \\x00\nEnvironment=1=2\n",
                CHECK "redis\n[Redis]\nAddress=a b\nCommand=\nDatabase=x\nCAFile=/x\n",
                CHECK "dns\n[DNS]\nName=..\nRecordType=Z\nServer=x\nExpect=\n",
                CHECK "metrics\n[Metrics]\nURL=http://h/\nMetric=x\nMetric=a:sum(\n"
                      "Metric=a:b{c=\"\nMetric=a:b{c=~\"(\"}\nMetric=a:b{c}\nMetric=a:rate(b) or\n",
                CHECK "\xff\n",
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(good); i++)
                if (exhaust(read_check, good[i]) != 0)
                        fail_msg("%s", good[i]);
        for (size_t i = 0; i < ELEMENTS(bad); i++)
                if (exhaust(read_check, bad[i]) != -EINVAL)
                        fail_msg("%s", bad[i]);
}

static void test_alerts(void **state) {
        (void) state;
        assert_int_equal(exhaust(read_alert, "[Alert]\nType=webhook\nChecks=a* b\nGroups=c\n"
                                             "[Webhook]\nURL=https://h/x?key=1\nSecret=abc\n"
                                             "SignatureHeader=X-Sign\n"),
                         0);
        assert_int_equal(exhaust(read_alert,
                                 "[Alert]\nType=email\n[Email]\nURL=smtp://localhost:25\n"
                                 "From=a@b\nTo=c@d e@f\n"),
                         0);
        assert_int_equal(exhaust(read_alert, "[Alert]\nType=exec\n[Exec]\nCommand=/bin/true a\n"),
                         0);
        assert_int_equal(exhaust(read_alert,
                                 "[Alert]\nType=exec\nSendResolvd=no\n[Exec]\nCommand=/bin/true\n"),
                         -EINVAL);
        assert_int_equal(exhaust(read_alert, "[Alert]\nType=mail\nSeverities=bad\n[Email]\nTo=x\n"),
                         -EINVAL);
}

static int render_message(const char *template) {
        static AlertEvent event = {
                .id = "0123456789abcdef",
                .check = (char *) "orders",
                .type = (char *) "http",
                .description = (char *) "Orders \"shop\"",
                .groups = (char *) "web",
                .status = (char *) "unhealthy",
                .reason = (char *) "status_code 500\n",
                .begin_usec = 1795852669338895,
                .required = true,
        };
        static const AlertMessage message = {
                .alert = "ops",
                .host = "host",
                .subject = (char *) "orders is unhealthy: \xc3\xbc",
                .text = (char *) ".\n.first dot\nlast\n",
                .created_usec = 1795852669338895,
                .events = &event,
                .n_events = 1,
        };
        char *to[] = { (char *) "ops@example.com", (char *) "two@example.com", NULL };
        _cleanup_free_ char *text = NULL, *mail = NULL, *why = NULL;
        size_t length;
        int r;

        event.resolved = strstr(template, "$$"); /* both words of each pair */
        r = template_check(template, &why);
        if (r >= 0)
                r = template_render(template, &message, &text, &length);
        if (r >= 0)
                r = email_text_render(&message, "healthd@example.com", to, &mail, &length);
        return r;
}

static void test_templates(void **state) {
        (void) state;
        assert_int_equal(exhaust(render_message,
                                 "{\"a\":\"${action} ${alert} ${check} ${description} ${groups} "
                                 "${host} ${id} ${reason} ${severity} ${since} ${state} ${status} "
                                 "${subject} ${text} ${time} ${type}\"}"),
                         0);
        assert_int_equal(exhaust(render_message, "$$ ${severity} ${action} ${state}"), 0);
        assert_int_equal(exhaust(render_message, "${sbject}"), -EINVAL);
        assert_int_equal(exhaust(render_message, "${"), -EINVAL);
}

static int read_address(const char *text) {
        _cleanup_(address_done) Address address = {};

        return address_parse(text, 80, &address);
}

static int read_url(const char *text) {
        _cleanup_free_ char *user = NULL, *password = NULL, *shown = NULL, *host = NULL;
        _cleanup_(string_list_freep) StringList secrets = NULL;
        _cleanup_free_ char *why = NULL;
        CURLU *url = NULL;
        uint16_t port;
        bool tls;
        int r;

        r = http_url_parse(text, &why, &url);
        if (r >= 0)
                r = http_url_take_login(url, &secrets, &user, &password);
        if (r >= 0)
                r = http_url_format_shown(url, &shown);
        if (r >= 0)
                r = http_url_get_server(url, &host, &port, &tls);
        curl_url_cleanup(url);
        return r;
}

static void test_addresses(void **state) {
        _cleanup_free_ char *why = NULL;

        (void) state;
        assert_int_equal(library_load(&library_libcurl, &why), 0);
        assert_int_equal(exhaust(read_address, "/run/a.sock"), 0);
        assert_int_equal(exhaust(read_address, "[::1]:80"), 0);
        assert_int_equal(exhaust(read_address, "a b"), -EINVAL);
        assert_int_equal(exhaust(read_url, "https://user:p%40ss@h:1/p?q"), 0);
        assert_int_equal(exhaust(read_url, "https://token@h"), 0);
        assert_int_equal(exhaust(read_url, "file:///x"), -EINVAL);
        assert_int_equal(exhaust(read_url, "http://h:x/"), -EINVAL);
}

/* A verb and a body. */
static int read_control(const char *text) {
        _cleanup_(control_request_done) ControlRequest request = {};
        _cleanup_free_ char *path = NULL, *why = NULL;
        const char *body = strchr(text, ' ') + 1;
        ControlReply reply = {};
        ControlVerb verb;
        int r;

        path = strndup(text, (size_t) (body - text - 1));
        if (!path)
                return -ENOMEM;
        assert_int_equal(control_find_verb(path, &verb), 0);
        r = control_parse(verb, body, strlen(body), &request, &why);
        if (r == -EINVAL && control_reply_say(&reply, 400, "%s", why) < 0)
                r = -ENOMEM;
        free(reply.text);
        return r;
}

static void test_control(void **state) {
        (void) state;
        assert_int_equal(exhaust(read_control, "/control/silence {\"check\":\"a\",\"duration\":"
                                               "\"2h\",\"reason\":\"moving\"}"),
                         0);
        assert_int_equal(exhaust(read_control, "/control/beat {\"check\":\"a\",\"status\":"
                                               "\"start\"}"),
                         0);
        assert_int_equal(exhaust(read_control, "/control/alert-test {\"alert\":\"a\"}"), 0);
        assert_int_equal(exhaust(read_control, "/control/reload "), 0);
        assert_int_equal(exhaust(read_control, "/control/run {\"chekc\":\"a\"}"), -EINVAL);
        assert_int_equal(exhaust(read_control, "/control/silence {\"duration\":\"x\"}"), -EINVAL);
        assert_int_equal(exhaust(read_control, "/control/run {\"check\":1}"), -EINVAL);
}

static int read_plugin(const char *text) {
        _cleanup_(sample_done) Sample sample = {};
        ChildResult result = { .output = text, .output_length = strlen(text), .errors = "" };

        plugin_read_json(&result, "/usr/lib/plugin", &sample);
        return sample.result == SAMPLE_INTERNAL_ERROR ? -EINVAL : 0;
}

static void test_plugins(void **state) {
        (void) state;
        assert_int_equal(exhaust(read_plugin, "{\"status\":\"degraded\",\"message\":\"late\","
                                              "\"details\":{\"a\":1,\"b\":\"x\",\"c\":true}}"),
                         0);
        assert_int_equal(exhaust(read_plugin, "{\"details\":{\"a\":[]}}"), -EINVAL);
}

/* An answer with one record of each type that has a name in it. */
static int read_dns(const char *name) {
        static const uint8_t tail[] = { 0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 60, 0, 4, 0, 10, 0xc0, 12 };
        _cleanup_(dns_answer_done) DnsAnswer answer = {};
        uint8_t message[DNS_QUESTION_MAX + sizeof(tail)];
        DnsQuestion question;

        if (dns_question_make(name, DNS_MX, 7, &question) < 0)
                return -EINVAL;
        memcpy(message, question.data, question.length);
        memcpy(message + question.length, tail, sizeof(tail));
        message[2] |= 0x80;
        message[7] = 1;
        return dns_answer_parse(&question, message, question.length + sizeof(tail), &answer);
}

static void test_dns(void **state) {
        (void) state;
        assert_int_equal(exhaust(read_dns, "orders.test"), 0);
}

typedef struct Scrape {
        MetricSelector *selector;
        MetricNames names;
} Scrape;

static bool wants_all(const char *name, size_t length, void *userdata) {
        Scrape *scrape = userdata;

        metric_names_note(&scrape->names, name, length);
        return true;
}

static void on_sample(const ExpositionSample *sample, void *userdata) {
        Scrape *scrape = userdata;

        metric_selector_take(scrape->selector, sample);
}

static int read_exposition(const char *text) {
        static const ExpositionHandler handler = { wants_all, on_sample };
        _cleanup_(metric_selector_freep) MetricSelector *selector = NULL;
        _cleanup_(exposition_done) Exposition exposition = {};
        _cleanup_free_ char *why = NULL;
        Scrape scrape = {};
        int r;

        r = metric_selector_parse("rate(a{b=~\"c|d\"})", &selector, &why);
        if (r < 0)
                return r;
        scrape.selector = selector;
        metric_selector_begin(selector);
        exposition_begin(&exposition, &handler, &scrape);
        exposition_read(&exposition, text, 5); /* in pieces: the rest is kept until it comes */
        exposition_read(&exposition, text + 5, strlen(text + 5));
        (void) metric_names_find_nearest(&scrape.names, "b");
        metric_names_done(&scrape.names);
        return exposition_end(&exposition);
}

static void test_expositions(void **state) {
        (void) state;
        assert_int_equal(exhaust(read_exposition, "# HELP a \\n\na{b=\"c\"} 1\na{b=\"d\\\"\"} 2\n"
                                                  "a{b=\"d\"} 3 4\n"),
                         0);
}

/* A store of ours, through a file and through a descriptor, as after a restart. */
static int keep_state(const char *path) {
        static const char *const globals[] = { "budget", NULL };
        static const StateLayout layout = { 1, 16, 8, 8, globals };
        StateSlotName slots[] = { { "orders", 7 }, { "web", 8 } };
        _cleanup_(state_store_freep) StateStore *made = NULL, *read = NULL, *adopted = NULL;
        _cleanup_free_ char *why = NULL, *again = NULL;
        StateSlot slot;
        int r;

        r = state_store_new(&layout, slots, ELEMENTS(slots), &made);
        if (r >= 0)
                r = state_store_save_file(made, path);
        if (r >= 0)
                r = state_store_load_file(&layout, path, &read, &why);
        if (r >= 0)
                r = state_store_adopt(&layout, dup(state_store_fd(read)), &adopted, &again);
        if (r >= 0)
                r = state_store_copy(adopted, made, true);
        if (r >= 0)
                r = state_store_find(adopted, "web", 8, &slot);
        return r;
}

static void test_state(void **state) {
        char path[] = "/tmp/healthd-test-XXXXXX";
        int fd = mkstemp(path);

        (void) state;
        assert_true(fd >= 0);
        (void) fd_close(fd);
        assert_int_equal(exhaust(keep_state, path), 0);
        assert_int_equal(unlink(path), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_configuration), cmocka_unit_test(test_alerts),
                cmocka_unit_test(test_templates),     cmocka_unit_test(test_addresses),
                cmocka_unit_test(test_control),       cmocka_unit_test(test_plugins),
                cmocka_unit_test(test_dns),           cmocka_unit_test(test_expositions),
                cmocka_unit_test(test_state),
        };
        cJSON_Hooks hooks = { json_malloc, free };

        cJSON_InitHooks(&hooks);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
