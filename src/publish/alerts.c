/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/alerts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json-writer.h"
#include "base/time-util.h"
#include "check/dependencies.h"
#include "publish/alert-message.h"
#include "publish/alert-rule.h"
#include "publish/journal-messages.h"

#define HOST_SIZE    65
/* An eighth of the wait at most, so that hosts that lost a receiver do not come back together. */
#define JITTER_SHARE 8

struct Alerts {
        Runtime *runtime;
        const HealthView *view;
        Journal *journal;
        Memory *memory;
        AlertRule **rules; /* sorted by name */
        size_t n_rules;
        AlertRule **next; /* prepared; some are those of rules */
        size_t n_next;
        char host[HOST_SIZE];
        Timer timer;
        bool unsaved;
        uint32_t last_test;
};

static void alerts_arm(Alerts *alerts);

static AlertRule *alerts_find(const Alerts *alerts, const char *name) {
        for (size_t i = 0; i < alerts->n_rules; i++)
                if (string_equal(alerts->rules[i]->settings.name, name))
                        return alerts->rules[i];
        return NULL;
}

static void alerts_save(Alerts *alerts) {
        alerts->unsaved = false;
        memory_save_alerts(alerts->memory);
}

static AlertSlots rule_slots(const AlertRule *rule) {
        const Alerts *alerts = rule->owner;

        return alert_queue_slots(memory_alerts(alerts->memory), rule->policy.alert);
}

static void rule_log(const AlertRule *rule, JournalEntry *entry) {
        const Alerts *alerts = rule->owner;

        journal_entry_add(entry, "HEALTH_ALERT", "%s", rule->settings.name);
        journal_entry_add(entry, "HEALTH_REASON", "%s", rule->last_detail ? rule->last_detail : "");
        if (rule->sending && rule->message.n_events == 1)
                journal_entry_add(entry, "HEALTH_CHECK", "%s", rule->message.events[0].check);
        journal_submit(alerts->journal, entry);
}

static void rule_count(const AlertRule *rule, const char *result) {
        const Alerts *alerts = rule->owner;

        counters_add(&alerts->runtime->statistics.alerts, rule->settings.name, result);
}

/* ---- what is seen ---- */

static bool check_is_quiet(const Alerts *alerts, const Check *check) {
        return health_is_quiet(alerts->view, check, now_realtime_usec(), NULL) ||
               dependencies_blocker(&alerts->view->checks, check);
}

/* A failure finds no room. Said for the first one, and how many there were when there is room. */
static void rule_drop(AlertRule *rule, const char *check) {
        rule->n_dropped++;
        rule->n_left_out++;
        rule_count(rule, "dropped");
        if (rule->n_left_out > 1)
                return;
        rule_log(rule, journal_entry_new(LOG_ERR, MESSAGE_ALERT_DROPPED,
                                         "The alert %s has no room for \"%s\": %zu failures are "
                                         "remembered at most, and what is to be told of them. More "
                                         "are left out until there is room.",
                                         rule->settings.name, check, rule->policy.slots_max));
}

/* Returns 0, or -ENOSPC: it fails, and there is no room to remember it. */
static int rule_see(AlertRule *rule, const Check *check) {
        Alerts *alerts = rule->owner;
        Status status = check->settling.status;
        AlertSight sight = {
                .name = check->settings.name,
                .status = status,
                .flapping = check->settling.flapping,
                .realtime_usec = check->since_realtime_usec,
        };
        int r;

        /* Nothing is known of it yet; what was told of it before stays. */
        if (status == STATUS_UNKNOWN)
                return 0;
        sight.failing = rule->covers_status[status] && alert_rule_covers(rule, check);
        sight.quiet = sight.failing && check_is_quiet(alerts, check);
        r = alert_queue_see(memory_alerts(alerts->memory), &rule->policy, &sight,
                            now_monotonic_usec());
        alerts->unsaved = alerts->unsaved || r > 0;
        rule->overflows = rule->overflows || r < 0;
        return r < 0 ? r : 0;
}

void alerts_note(Alerts *alerts, const Check *check) {
        for (size_t i = 0; i < alerts->n_rules; i++)
                if (alerts->rules[i]->settings.type && rule_see(alerts->rules[i], check) < 0)
                        rule_drop(alerts->rules[i], check->settings.name);
        if (alerts->unsaved)
                (void) timer_arm_after(&alerts->timer, 0);
}

/* Checks that are gone are over. */
static void rule_see_gone(AlertRule *rule) {
        Alerts *alerts = rule->owner;
        AlertTable *table = memory_alerts(alerts->memory);
        AlertSlots slots = rule_slots(rule);

        /* From the end: what is removed moves those behind it. */
        for (size_t i = slots.n_items; i-- > 0;) {
                const AlertSlot *slot = &slots.items[i];
                char name[ALERT_NAME_SIZE];
                AlertSight sight = {
                        .name = name,
                        .realtime_usec = now_realtime_usec(),
                };

                memcpy(name, slot->name, sizeof(name));
                if (alert_slot_check(alerts->view, slot) || alert_hash(name) != slot->check)
                        continue;
                (void) alert_queue_see(table, &rule->policy, &sight, now_monotonic_usec());
                alerts->unsaved = true;
        }
}

/* Looks at every check. What finds no room is counted the first time, as it changes later on. */
static void rule_see_all(AlertRule *rule) {
        const CheckSet *checks = &((Alerts *) rule->owner)->view->checks;
        bool counts = !rule->has_looked;

        rule->has_looked = true;
        for (size_t i = 0; i < checks->n_items; i++)
                if (rule_see(rule, checks->items[i]) < 0 && counts)
                        rule_drop(rule, checks->items[i]->settings.name);
}

/* ---- sending ---- */

static void rule_end_test(AlertRule *rule, bool delivered) {
        rule->test = delivered ? ALERT_TEST_DELIVERED : ALERT_TEST_FAILED;
        (void) string_replace(&rule->test_detail, rule->last_detail);
}

/* A message that was delivered about what was told before is none to write home about. */
static bool rule_has_news(const AlertRule *rule) {
        for (size_t i = 0; i < rule->message.n_events; i++)
                if (!rule->told[i].again)
                        return true;
        return false;
}

static void rule_note_delivered(AlertRule *rule) {
        Alerts *alerts = rule->owner;
        AlertTable *table = memory_alerts(alerts->memory);
        uint64_t now_usec = now_monotonic_usec();
        bool news = rule_has_news(rule);

        for (size_t i = 0; i < rule->message.n_events; i++)
                alert_queue_delivered(table, &rule->policy, rule->told[i].check,
                                      rule->told[i].status, rule->told[i].resolved, now_usec);
        /* At once: what is not noted as told is told again after a crash. */
        alerts_save(alerts);
        rule->n_sent++;
        rule_count(rule, "sent");
        if (rule->failures > 0)
                rule_log(rule,
                         journal_entry_new(LOG_NOTICE, MESSAGE_ALERT_SENT,
                                           "The alert %s works again after %u failed attempts; "
                                           "sent: %s",
                                           rule->settings.name, rule->failures,
                                           rule->message.subject));
        else if (news)
                rule_log(rule, journal_entry_new(LOG_INFO, MESSAGE_ALERT_SENT,
                                                 "The alert %s was sent: %s", rule->settings.name,
                                                 rule->message.subject));
        rule->failures = 0;
        rule->next_try_usec = 0;
        rule->delivered_realtime_usec = now_realtime_usec();
}

static void rule_note_failed(AlertRule *rule) {
        uint64_t wait_usec = alert_backoff_usec(++rule->failures);

        wait_usec += (uint64_t) random() % (wait_usec / JITTER_SHARE);
        rule->next_try_usec = now_monotonic_usec() + wait_usec;
        rule->n_failed++;
        rule_count(rule, "failed");
        if (rule->failures == 1)
                rule_log(rule, journal_entry_new(LOG_WARNING, MESSAGE_ALERT_FAILED,
                                                 "The alert %s cannot be sent: %s. It is tried "
                                                 "again until it can; nothing is lost.",
                                                 rule->settings.name,
                                                 rule->last_detail ? rule->last_detail : ""));
}

/* The one end of every message. */
static void rule_end(AlertRule *rule, bool delivered, const char *detail) {
        timer_disarm(&rule->deadline_timer);
        (void) string_replace(&rule->last_detail, detail);
        for (size_t i = 0; rule->settings.secrets && rule->settings.secrets[i]; i++)
                if (rule->last_detail)
                        string_redact(rule->last_detail, rule->settings.secrets[i]);
        if (rule->message.test)
                rule_end_test(rule, delivered);
        else if (delivered)
                rule_note_delivered(rule);
        else
                rule_note_failed(rule);
        rule->sending = false;
        alert_message_done(&rule->message);
        alerts_arm(rule->owner);
}

static void rule_on_done(bool delivered, const char *detail, void *userdata) {
        rule_end(userdata, delivered, detail);
}

static void rule_on_deadline(Timer *timer, void *userdata) {
        _cleanup_free_ char *stage = NULL, *text = NULL;
        AlertRule *rule = userdata;
        char span[64];

        (void) timer;
        stage = rule->settings.type->cancel(rule->settings.instance);
        (void) string_printf(&text, "not within Timeout=%s: %s",
                             time_span_format(span, sizeof(span), rule->settings.timeout_usec),
                             stage ? stage : "no answer");
        rule_end(rule, false, text ? text : "out of memory");
}

static int rule_start(AlertRule *rule, char **ret_why) {
        Alerts *alerts = rule->owner;
        int r;

        r = alert_message_write(&rule->message);
        if (r >= 0)
                r = timer_arm_after(&rule->deadline_timer, rule->settings.timeout_usec);
        if (r >= 0)
                r = rule->settings.type->start(rule->settings.instance, alerts->runtime,
                                               &rule->message, rule_on_done, rule, ret_why);
        return r;
}

static void rule_send(AlertRule *rule) {
        _cleanup_free_ char *why = NULL;
        int r;

        rule->sending = true;
        if (rule->message.test)
                rule->test = ALERT_TEST_SENDING;
        r = rule_start(rule, &why);
        if (r < 0)
                rule_end(rule, false, why ? why : strerrordesc_np(-r));
}

static void rule_begin_message(AlertRule *rule, const AlertScene *scene, bool test) {
        rule->message = (AlertMessage){
                .alert = rule->settings.name,
                .host = scene->host,
                .test = test,
                .created_usec = scene->realtime_usec,
        };
}

/* Adds to the message what is due. Returns 0 or -ENOMEM. */
static int rule_collect(AlertRule *rule, const AlertScene *scene, uint64_t now_usec) {
        const AlertSettings *settings = &rule->settings;
        Alerts *alerts = rule->owner;
        AlertSlots slots = rule_slots(rule);
        size_t events_max = settings->merge_usec > 0 ? ALERT_EVENTS_MAX : 1;

        if (settings->type->events_max &&
            settings->type->events_max(settings->instance) < events_max)
                events_max = settings->type->events_max(settings->instance);
        if (!alert_queue_gather(memory_alerts(alerts->memory), &rule->policy, now_usec))
                return 0;
        for (size_t i = 0; i < slots.n_items && rule->message.n_events < events_max; i++) {
                AlertSlot *slot = &slots.items[i];
                const Check *check;
                AlertTold *told;
                int r;

                if (slot->due_usec > now_usec)
                        continue;
                check = alert_slot_check(alerts->view, slot);
                alerts->unsaved = true;
                if (!alert_queue_is_to_be_told(slot, &rule->policy,
                                               check && check_is_quiet(alerts, check), now_usec))
                        continue;
                told = &rule->told[rule->message.n_events];
                r = alert_message_add(&rule->message, scene, slot);
                if (r < 0)
                        return r;
                told->check = slot->check;
                told->status = alert_slot_message(slot, &told->resolved);
                told->again = !told->resolved && slot->owed == STATUS_UNKNOWN;
                slot->tried = true;
        }
        return 0;
}

/* Sends what is due. Returns whether that was anything. */
static bool rule_work(AlertRule *rule, uint64_t now_usec) {
        Alerts *alerts = rule->owner;
        AlertScene scene = { alerts->view, alerts->host, now_realtime_usec() };
        int r = 0;

        if (!rule->settings.type || rule->sending)
                return false;
        if (rule->test == ALERT_TEST_WAITING) {
                rule_begin_message(rule, &scene, true);
                r = alert_message_add_test(&rule->message, &scene);
        } else if (now_usec >= rule->next_try_usec) {
                rule_begin_message(rule, &scene, false);
                r = rule_collect(rule, &scene, now_usec);
        } else {
                return false;
        }
        if (r >= 0 && rule->message.n_events > 0) {
                rule_send(rule);
                return true;
        }
        alert_message_done(&rule->message);
        if (r < 0)
                rule->next_try_usec = now_usec + USEC_PER_SEC;
        return false;
}

static void rule_say_there_is_room(AlertRule *rule) {
        if (rule->n_left_out > 0)
                rule_log(rule, journal_entry_new(LOG_NOTICE, MESSAGE_ALERT_DROPPED,
                                                 "The alert %s has room again. %" PRIu64
                                                 " failures were left out meanwhile; those that "
                                                 "are over by now are never told.",
                                                 rule->settings.name, rule->n_left_out));
        rule->n_left_out = 0;
}

/* Where there was no room, there is some again. */
static bool rule_has_room_again(const AlertRule *rule) {
        const AlertTable *table = memory_alerts(((const Alerts *) rule->owner)->memory);

        return rule->overflows && !rule->sending &&
               rule_slots(rule).n_items <= rule->policy.slots_max / 2 &&
               table->n_items <= ALERT_SLOTS_MAX / 2;
}

/* Returns whether it was looked for. */
static bool rule_look_for_dropped(AlertRule *rule) {
        if (!rule_has_room_again(rule))
                return false;
        rule->overflows = false;
        rule_say_there_is_room(rule);
        rule_see_all(rule);
        return true;
}

/* One message a turn, so that many alerts at once do not hold up the loop. */
static void alerts_on_timer(Timer *timer, void *userdata) {
        uint64_t now_usec = now_monotonic_usec();
        Alerts *alerts = userdata;
        bool worked = false;

        (void) timer;
        for (size_t i = 0; i < alerts->n_rules && !worked; i++)
                worked = rule_look_for_dropped(alerts->rules[i]) ||
                         rule_work(alerts->rules[i], now_usec);
        if (alerts->unsaved)
                alerts_save(alerts);
        alerts_arm(alerts);
}

/* When a rule has something to do next, unless the end of what is under way will tell. */
static uint64_t rule_due_usec(const AlertRule *rule) {
        AlertSlots slots = rule_slots(rule);
        uint64_t due_usec = ALERT_NEVER_USEC;

        if (!rule->settings.type || rule->sending)
                return ALERT_NEVER_USEC;
        if (rule->test == ALERT_TEST_WAITING || rule_has_room_again(rule))
                return 0;
        for (size_t i = 0; i < slots.n_items; i++)
                if (slots.items[i].due_usec < due_usec)
                        due_usec = slots.items[i].due_usec;
        return due_usec > rule->next_try_usec ? due_usec : rule->next_try_usec;
}

static void alerts_arm(Alerts *alerts) {
        uint64_t due_usec = ALERT_NEVER_USEC;

        for (size_t i = 0; i < alerts->n_rules; i++) {
                uint64_t rule_usec = rule_due_usec(alerts->rules[i]);

                if (rule_usec < due_usec)
                        due_usec = rule_usec;
        }
        timer_disarm(&alerts->timer);
        if (due_usec != ALERT_NEVER_USEC)
                (void) timer_arm_at(&alerts->timer, due_usec);
}

int alerts_test(Alerts *alerts, const char *name, uint32_t *ret_id) {
        AlertRule *rule = alerts_find(alerts, name);

        if (!rule)
                return -ENOENT;
        if (!rule->settings.type)
                return -EINVAL;
        if (rule->test != ALERT_TEST_WAITING && rule->test != ALERT_TEST_SENDING) {
                rule->test = ALERT_TEST_WAITING;
                rule->test_id = ++alerts->last_test;
                free(TAKE_PTR(rule->test_detail));
        }
        *ret_id = rule->test_id;
        alerts_arm(alerts);
        return 0;
}

const char *alerts_nearest(const Alerts *alerts, const char *name) {
        _cleanup_free_ const char **names = calloc(alerts->n_rules + 1, sizeof(char *));

        for (size_t i = 0; names && i < alerts->n_rules; i++)
                names[i] = alerts->rules[i]->settings.name;
        return names ? string_nearest(name, names) : NULL;
}

/* ---- configuration ---- */

static void alerts_drop_rules(AlertRule **rules, size_t n_rules, const Alerts *kept) {
        for (size_t i = 0; i < n_rules; i++)
                if (!kept || alerts_find(kept, rules[i]->settings.name) != rules[i])
                        alert_rule_free(rules[i]);
        free(rules);
}

/* Slots of alerts that are not configured any more. */
static void alerts_forget_gone(Alerts *alerts) {
        AlertTable *table = memory_alerts(alerts->memory);
        size_t n_told = 0;

        for (size_t i = 0; i < table->n_items;) {
                uint64_t alert = table->items[i].alert;
                size_t j = 0;

                while (j < alerts->n_rules && alerts->rules[j]->policy.alert != alert)
                        j++;
                if (j < alerts->n_rules)
                        i++;
                else
                        n_told += alert_queue_forget(table, alert);
        }
        if (n_told > 0)
                journal_submit(alerts->journal,
                               journal_entry_new(LOG_WARNING, MESSAGE_ALERT_DROPPED,
                                                 "Alerts that are not configured any more told of "
                                                 "%zu failures; nobody is told of the recovery.",
                                                 n_told));
}

static void alerts_forget_next(Alerts *alerts) {
        alerts_drop_rules(alerts->next, alerts->n_next, alerts);
        alerts->next = NULL;
        alerts->n_next = 0;
}

int alerts_prepare(Alerts *alerts, AlertSettings *settings, size_t n_settings) {
        alerts_forget_next(alerts);
        alerts->next = calloc(n_settings + 1, sizeof(AlertRule *));
        if (!alerts->next)
                return -ENOMEM;
        for (size_t i = 0; i < n_settings; i++) {
                AlertRule *rule = alerts_find(alerts, settings[i].name);
                int r;

                if (!rule || rule->settings.identity != settings[i].identity) {
                        r = alert_rule_new(&settings[i], alerts, &rule);
                        if (r < 0)
                                return r;
                        timer_init(&rule->deadline_timer, alerts->runtime->scheduler,
                                   rule_on_deadline, rule);
                }
                alerts->next[alerts->n_next++] = rule;
        }
        return 0;
}

void alerts_bind(Alerts *alerts) {
        AlertRule **old = alerts->rules;
        size_t n_old = alerts->n_rules;

        alerts->rules = TAKE_PTR(alerts->next);
        alerts->n_rules = alerts->n_next;
        alerts->n_next = 0;
        alerts_drop_rules(old, n_old, alerts);
        alerts_forget_gone(alerts);
        for (size_t i = 0; i < alerts->n_rules; i++) {
                AlertRule *rule = alerts->rules[i];

                rule->policy.slots_max = ALERT_SLOTS_MAX / alerts->n_rules;
                if (!rule->settings.type)
                        continue;
                rule_see_gone(rule);
                rule_see_all(rule);
        }
        alerts_save(alerts);
        alerts_arm(alerts);
}

Alerts *alerts_free(Alerts *alerts) {
        if (!alerts)
                return NULL;
        if (alerts->unsaved)
                alerts_save(alerts);
        timer_disarm(&alerts->timer);
        alerts_forget_next(alerts);
        alerts_drop_rules(alerts->rules, alerts->n_rules, NULL);
        free(alerts);
        return NULL;
}

int alerts_new(Runtime *runtime, const HealthView *view, Journal *journal, Memory *memory,
               Alerts **ret) {
        Alerts *alerts = calloc(1, sizeof(Alerts));

        if (!alerts)
                return -ENOMEM;
        alerts->runtime = runtime;
        alerts->view = view;
        alerts->journal = journal;
        alerts->memory = memory;
        if (gethostname(alerts->host, sizeof(alerts->host) - 1) < 0 || !*alerts->host)
                (void) snprintf(alerts->host, sizeof(alerts->host), "localhost");
        timer_init(&alerts->timer, runtime->scheduler, alerts_on_timer, alerts);
        *ret = alerts;
        return 0;
}

/* ---- how they fare ---- */

int alerts_render(const Alerts *alerts, char **ret_text, size_t *ret_length) {
        _cleanup_(json_writer_done) JsonWriter json = {};

        json_object_begin(&json, NULL);
        json_add_seconds(&json, "timestamp", now_realtime_usec());
        json_array_begin(&json, "alerts");
        for (size_t i = 0; alerts && i < alerts->n_rules; i++)
                alert_rule_render(alerts->rules[i], rule_slots(alerts->rules[i]), &json);
        json_array_end(&json);
        json_object_end(&json);
        return json_writer_finish(&json, ret_text, ret_length);
}
