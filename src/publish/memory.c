/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/prefetch.h"
#include "base/time-util.h"
#include "check/check-state.h"
#include "publish/journal-messages.h"
#include "publish/state-store.h"

/* To be raised when CheckState, History or one of the globals below change. */
#define STATE_VERSION 6

static const char *const global_names[] = { "alerts", "budget", "guards", "silences", NULL };

/* 10 000 checks with their names and coarse histories stay below 64 MiB. */
_Static_assert(sizeof(CheckState) <= 240, "two copies of it for each check");

typedef union LongestGlobal {
        RestartBudget budget;
        GuardRecords guards;
        SilenceTable silences;
        AlertTable alerts;
} LongestGlobal;

/*
 * A new memfd takes the other name: systemd removes by name, and at no moment must there be none.
 */
static const char *const fd_names[] = { "state-a", "state-b" };

struct Memory {
        Notify *notify;
        Journal *journal;
        char *path;
        StateStore *store; /* NULL until the first bind */
        unsigned fd_name;  /* of the store in use */
        HistoryLayout history;
        RestartBudget budget;
        GuardRecords guards;
        SilenceTable silences;
        AlertTable alerts;
};

bool memory_is_fd_name(const char *name) {
        for (size_t i = 0; i < ELEMENTS(fd_names); i++)
                if (string_equal(name, fd_names[i]))
                        return true;
        return false;
}

static StateLayout memory_layout(HistoryLayout history) {
        return (StateLayout){
                .version = STATE_VERSION,
                .record_size = sizeof(CheckState),
                .block_size = history_size(history),
                .global_size = sizeof(LongestGlobal),
                .globals = global_names,
        };
}

static void memory_complain(const Memory *memory, char *problem) {
        _cleanup_free_ char *owned = problem;

        if (owned)
                journal_submit(memory->journal,
                               journal_entry_new(LOG_WARNING, MESSAGE_STATE_REFUSED,
                                                 "%s. History and counters begin anew.", owned));
}

/* Tries both layouts of the history: how many checks there were is not known yet. */
static int memory_open(Memory *memory, int fd, StateStore **ret) {
        static const size_t n_checks[] = { 1, HISTORY_FINE_CHECKS + 1 };
        _cleanup_free_ char *problem = NULL;
        int r = -ENOENT;

        for (size_t i = 0; i < ELEMENTS(n_checks); i++) {
                StateLayout layout = memory_layout(history_layout_for(n_checks[i]));

                free(TAKE_PTR(problem));
                if (fd >= 0) {
                        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

                        r = copy < 0 ? -errno : state_store_adopt(&layout, copy, ret, &problem);
                } else {
                        r = state_store_load_file(&layout, memory->path, ret, &problem);
                }
                if (r != -EPROTO)
                        break;
        }
        if (r < 0 && r != -ENOENT)
                memory_complain(memory, TAKE_PTR(problem));
        return r;
}

static void memory_load_budget(Memory *memory) {
        RestartBudget budget;
        StateSlot slot;
        size_t size;

        if (!state_store_is_same_boot(memory->store) ||
            state_store_find_global(memory->store, "budget", &slot) < 0 ||
            state_slot_read(&slot, &budget, sizeof(budget), &size) < 0 || size != sizeof(budget) ||
            !restart_budget_is_valid(&budget))
                return;
        memory->budget = budget;
}

static void memory_load_guards(Memory *memory) {
        _cleanup_free_ GuardRecords *guards = calloc(1, sizeof(GuardRecords));
        StateSlot slot;
        size_t size;

        if (guards && state_store_is_same_boot(memory->store) &&
            state_store_find_global(memory->store, "guards", &slot) >= 0 &&
            state_slot_read(&slot, guards, sizeof(*guards), &size) >= 0 &&
            size == sizeof(*guards) && guard_records_are_valid(guards))
                memory->guards = *guards;
}

/* Also after a reboot: they end by the clock on the wall. */
static void memory_load_silences(Memory *memory) {
        SilenceTable silences;
        StateSlot slot;
        size_t size;

        if (state_store_find_global(memory->store, "silences", &slot) < 0 ||
            state_slot_read(&slot, &silences, sizeof(silences), &size) < 0 ||
            silence_table_load(&memory->silences, &silences, size) >= 0)
                return;
        journal_submit(memory->journal,
                       journal_entry_new(LOG_WARNING, MESSAGE_STATE_REFUSED,
                                         "The silences that were kept are damaged and are "
                                         "dropped: everybody is told of every failure again."));
}

/* Also after a reboot: the receivers know nothing of it. */
static void memory_load_alerts(Memory *memory) {
        _cleanup_free_ AlertTable *alerts = calloc(1, sizeof(AlertTable));
        StateSlot slot;
        size_t size;

        if (!alerts || state_store_find_global(memory->store, "alerts", &slot) < 0 ||
            state_slot_read(&slot, alerts, sizeof(*alerts), &size) < 0 ||
            alert_table_load(&memory->alerts, alerts, size, state_store_is_same_boot(memory->store),
                             now_monotonic_usec()) >= 0)
                return;
        journal_submit(memory->journal,
                       journal_entry_new(LOG_WARNING, MESSAGE_STATE_REFUSED,
                                         "What was kept of the alerts is damaged and is dropped: "
                                         "failures are told again, some recoveries are not."));
}

Memory *memory_free(Memory *memory) {
        if (!memory)
                return NULL;
        state_store_free(memory->store);
        free(memory->path);
        free(memory);
        return NULL;
}
DEFINE_CLEANUP(Memory, memory_free)

int memory_new(Notify *notify, Journal *journal, const char *path, const MemoryFd *fds,
               size_t n_fds, Memory **ret) {
        _cleanup_(memory_freep) Memory *memory = calloc(1, sizeof(Memory));
        int r;

        if (!memory)
                return -ENOMEM;
        memory->notify = notify;
        memory->journal = journal;
        r = string_replace(&memory->path, path);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n_fds; i++) {
                if (!memory->store && memory_open(memory, fds[i].fd, &memory->store) >= 0)
                        memory->fd_name = string_equal(fds[i].name, fd_names[1]);
                close(fds[i].fd);
        }
        if (!memory->store && path && memory_open(memory, -1, &memory->store) == -ENOMEM)
                return -ENOMEM;
        if (memory->store) {
                memory_load_budget(memory);
                memory_load_guards(memory);
                memory_load_silences(memory);
                memory_load_alerts(memory);
        }
        *ret = TAKE_PTR(memory);
        return 0;
}

/* Checks that run at all have a slot each. */
static int memory_list_slots(const CheckSet *checks, StateSlotName **ret, size_t *ret_n) {
        _cleanup_free_ StateSlotName *slots = calloc(checks->n_items + 1, sizeof(StateSlotName));
        size_t n = 0;

        if (!slots)
                return -ENOMEM;
        for (size_t i = 0; i < checks->n_items; i++) {
                const CheckSettings *settings = &checks->items[i]->settings;

                if (checks->items[i]->type && strlen(settings->name) <= STATE_NAME_MAX)
                        slots[n++] = (StateSlotName){ settings->name, settings->identity };
        }
        *ret = TAKE_PTR(slots);
        *ret_n = n;
        return 0;
}

/* A store for these checks, with what the old one knows of them, in the old one's place. */
static int memory_replace_store(Memory *memory, const StateSlotName *slots, size_t n_slots) {
        _cleanup_(state_store_freep) StateStore *store = NULL;
        StateLayout layout = memory_layout(memory->history);
        unsigned fd_name = !memory->fd_name;
        int r;

        r = state_store_new(&layout, slots, n_slots, &store);
        if (r < 0)
                return r;
        if (memory->store) {
                r = state_store_copy(store, memory->store, true);
                if (r < 0)
                        return r;
        }
        if (memory->notify)
                notify_replace_fd(memory->notify, state_store_fd(store), fd_names[fd_name],
                                  fd_names[memory->fd_name]);
        state_store_free(memory->store);
        memory->store = TAKE_PTR(store);
        memory->fd_name = fd_name;
        return 0;
}

static bool memory_find(const Memory *memory, const Check *check, StateSlot *ret_slot) {
        return memory->store && state_store_find(memory->store, check->settings.name,
                                                 check->settings.identity, ret_slot) >= 0;
}

/* Where a check's history lies in the store in use. */
static void memory_set_history(const Memory *memory, Check *check) {
        StateSlot slot;

        check->history = memory_find(memory, check, &slot) ? slot.block : NULL;
        if (check->history &&
            !history_open(check->history, history_size(memory->history), memory->history))
                history_init(check->history, memory->history);
}

static void memory_write_state(const StateSlot *slot, const Check *check) {
        CheckState state;

        check_state_save(check, &state);
        (void) state_slot_write(slot, &state, check_state_size(&state));
}

static void memory_restore(const Memory *memory, Check *check, bool same_boot) {
        CheckState state = {};
        StateSlot slot;
        size_t size;

        if (!memory_find(memory, check, &slot))
                return;
        if (state_slot_read(&slot, &state, sizeof(state), &size) >= 0 &&
            size == check_state_size(&state))
                (void) (same_boot ? check_state_restore(check, &state, now_monotonic_usec())
                                  : check_state_restore_kept(check, &state));
        /* Also where nothing was restored: a record of another boot must not stay. */
        memory_write_state(&slot, check);
}

static void memory_save_guards(Memory *memory) {
        StateSlot slot;

        if (memory->store && state_store_find_global(memory->store, "guards", &slot) >= 0)
                (void) state_slot_write(&slot, &memory->guards, sizeof(memory->guards));
}

int memory_bind(Memory *memory, const CheckSet *checks) {
        bool same_boot = memory->store && state_store_is_same_boot(memory->store);
        _cleanup_free_ StateSlotName *slots = NULL;
        HistoryLayout history;
        size_t n_slots;
        int r;

        r = memory_list_slots(checks, &slots, &n_slots);
        if (r < 0)
                return r;
        history = history_layout_for(n_slots);
        if (!same_boot || history.n_buckets != memory->history.n_buckets ||
            !state_store_has_slots(memory->store, slots, n_slots)) {
                memory->history = history;
                r = memory_replace_store(memory, slots, n_slots);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < checks->n_items; i++) {
                memory_set_history(memory, checks->items[i]);
                if (checks->items[i]->type && checks->items[i]->runs == 0)
                        memory_restore(memory, checks->items[i], same_boot);
        }
        /* Also what was not loaded: what another boot left must not be taken for this one's. */
        memory_save_budget(memory);
        memory_save_guards(memory);
        memory_save_silences(memory);
        memory_save_alerts(memory);
        return 0;
}

void memory_note(Memory *memory, const Check *check, const CheckChanges *changes) {
        StateSlot slot;

        if (!check->history)
                return;
        slot = state_store_slot_of(memory->store, check->history);
        for (size_t i = 0; i < ELEMENTS(slot.copies); i++)
                prefetch_for_write(slot.copies[i], sizeof(StateCopy) + offsetof(CheckState, kept));
        history_push(check->history, check->checked_realtime_usec, check->last_status,
                     check->settling.status, check->sample.duration_usec);
        if (changes->transition)
                history_push_transition(check->history, check->checked_realtime_usec,
                                        changes->transition->previous, changes->transition->status);
        memory_write_state(&slot, check);
}

RestartBudget *memory_budget(Memory *memory) {
        return &memory->budget;
}

void memory_save_budget(Memory *memory) {
        StateSlot slot;

        if (memory->store && state_store_find_global(memory->store, "budget", &slot) >= 0)
                (void) state_slot_write(&slot, &memory->budget, sizeof(memory->budget));
}

void memory_load_guard(const Memory *memory, const char *unit, GuardRecord *ret) {
        *ret = guard_records_find(&memory->guards, unit);
}

void memory_save_guard(Memory *memory, const char *unit, const GuardRecord *record) {
        guard_records_set(&memory->guards, unit, record);
        memory_save_guards(memory);
}

SilenceTable *memory_silences(Memory *memory) {
        return &memory->silences;
}

void memory_save_silences(Memory *memory) {
        StateSlot slot;

        if (memory->store && state_store_find_global(memory->store, "silences", &slot) >= 0)
                (void) state_slot_write(&slot, &memory->silences, sizeof(memory->silences));
}

AlertTable *memory_alerts(Memory *memory) {
        return &memory->alerts;
}

void memory_save_alerts(Memory *memory) {
        StateSlot slot;

        if (memory->store && state_store_find_global(memory->store, "alerts", &slot) >= 0)
                (void) state_slot_write(&slot, &memory->alerts, alert_table_size(&memory->alerts));
}

void memory_save_file(const Memory *memory) {
        int r;

        if (!memory->store || !memory->path)
                return;
        r = state_store_save_file(memory->store, memory->path);
        if (r < 0)
                journal_submit(memory->journal,
                               journal_entry_new(LOG_WARNING, MESSAGE_STATE_REFUSED,
                                                 "Cannot save the history to %s: %s. It will be "
                                                 "missing after a reboot.",
                                                 memory->path, strerror(-r)));
}
