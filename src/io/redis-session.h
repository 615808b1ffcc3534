/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A conversation with a Redis server, held once or again and again: logs in, sends the same
 * commands in one go, and hands their replies over in order. hiredis only writes and reads the
 * protocol; io/stream carries it, the same way over TCP, TLS and unix sockets. Has no time-out: its
 * owner's deadline calls redis_session_abandon().
 */

#include <stdbool.h>
#include <stddef.h>

#include "io/libhiredis.h"
#include "io/stream.h"

#define REDIS_DEFAULT_PORT 6379
#define REDIS_COMMANDS_MAX 8

typedef struct RedisSession RedisSession;

/**
 * struct RedisSettings - Whom to talk to, and as whom.
 * @target: where
 * @username: with @password; NULL for the server's default user
 * @password: NULL to send no AUTH
 * @database: for SELECT; 0, the default, needs none
 * @persistent: keep the connection for the next time instead of closing it
 *
 * Everything is borrowed and outlives the session.
 */
typedef struct RedisSettings {
        StreamTarget target;
        const char *username, *password;
        unsigned database;
        bool persistent;
} RedisSettings;

typedef enum RedisOutcome {
        REDIS_ANSWERED,          /* every command, and the handler took every reply */
        REDIS_FAILED,            /* not connected, no or a bad answer, or the handler refused one */
        REDIS_FAILED_INTERNALLY, /* we are short of memory or descriptors: no verdict on the server
                                  */
} RedisOutcome;

/**
 * struct RedisResult - How a conversation ended.
 * @connected: whether the server was reached
 * @error: unless answered: what was tried and the cause, for people; never NULL then. Valid until
 *         the session is started again or freed
 */
typedef struct RedisResult {
        RedisOutcome outcome;
        bool connected;
        const char *error;
} RedisResult;

/* What the owner is told, always from the loop, never from inside redis_session_start(). */
typedef struct RedisHandlers {
        /*
         * The commands are about to be sent; connect_ms is 0 over a kept connection. Called a
         * second time if that one turns out to be dead. This one alone may come from inside
         * redis_session_start(). May be NULL.
         */
        void (*on_connected)(RedisSession *session, double connect_ms, void *userdata);
        /*
         * The reply to the command of that number, from 0 in the order they were added. May take
         * its texts apart, but keeps nothing of it. Returns false, by way of redis_session_refuse()
         * or redis_session_refused(), if the conversation has failed with it.
         */
        bool (*on_reply)(RedisSession *session, size_t command, redisReply *reply, void *userdata);
        /* Once for each start. May start the session again or free it. */
        void (*on_done)(RedisSession *session, const RedisResult *result, void *userdata);
        /* Between conversations the kept connection ended. May do the same. May be NULL. */
        void (*on_lost)(RedisSession *session, void *userdata);
} RedisHandlers;

/*
 * Makes a session that logs in and says nothing else yet. The settings are copied, what they point
 * to is borrowed, as are the handlers. Returns 0 or -ENOMEM.
 */
int redis_session_new(const RedisSettings *settings, const RedisHandlers *handlers, void *userdata,
                      RedisSession **ret);
/* Stops it if it is under way, and closes its connection. Accepts NULL, returns NULL. */
RedisSession *redis_session_free(RedisSession *session);

/*
 * Adds a command, NULL-terminated, at most REDIS_COMMANDS_MAX; its first word is borrowed. Returns
 * 0 or -ENOMEM.
 */
int redis_session_add_command(RedisSession *session, const char *const *words);

/*
 * Begins; the session is not under way. Returns 0, and the handlers follow, or a negative errno,
 * and nothing is under way.
 */
int redis_session_start(RedisSession *session, Runtime *runtime);
/* Of what the owner will touch with it; kept up to date by the owner. */
void redis_session_set_needs(RedisSession *session, const Needs *needs);
/* Adds what a conversation touches. */
void redis_session_add_needs(const RedisSession *session, Needs *needs);
/*
 * Stops it at a deadline and closes the connection; no handler is called. The error says what was
 * waited for: "no answer from 127.0.0.1:6379 to PING".
 */
void redis_session_abandon(RedisSession *session, RedisResult *ret);

/* The peer, for people, while it is connected: see stream_place(). */
const char *redis_session_place(const RedisSession *session);

/* For on_reply(): the conversation has failed, and why. Returns false. */
bool redis_session_refuse(RedisSession *session, const char *format, ...)
                __attribute__((format(printf, 2, 3)));
/*
 * For on_reply(): whether that is an error reply. Then the conversation has failed with what the
 * server said, and what to do about it where that is known. Redis never repeats a password.
 */
bool redis_session_refused(RedisSession *session, const redisReply *reply);
