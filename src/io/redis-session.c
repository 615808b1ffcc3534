/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/redis-session.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"
#include "io/redis-reader.h"

/* AUTH and SELECT. */
#define LOGIN_MAX 2

struct RedisSession {
        const char *names[LOGIN_MAX + REDIS_COMMANDS_MAX]; /* of the commands, for people */

        /* Needed each time, and therefore together: there may be thousands. */
        RedisSettings settings;
        const RedisHandlers *handlers;
        void *userdata;
        size_t n_commands, n_login;
        TextBuffer request; /* all of them; a kept connection is logged in and skips those */
        size_t login_length;

        /* The conversation under way, or the kept connection. */
        Runtime *runtime;
        const Needs *needs;
        Stream *stream;
        RedisReader *reader; /* from the first byte of the answers to the last */
        bool running, connected;
        bool reused;   /* over a kept connection */
        bool answered; /* the server said something in this conversation */
        size_t command, sent;
        uint64_t started_usec;
        char *error;
};

/* What to do about the errors people meet most; the first word of each is Redis's own class. */
static const struct {
        const char *prefix, *hint;
} hints[] = {
        { "NOAUTH", "set Password=, and Username= if the server has users" },
        { "WRONGPASS", "check Username= and Password=" },
        { "ERR invalid password", "check Password=" },
        { "ERR AUTH <password> called without", "the server has no password: remove Password=" },
        { "ERR Client sent AUTH, but no", "the server has no password: remove Password=" },
        { "NOPERM", "allow it with ACL SETUSER" },
        { "LOADING", "it answers when its data set is loaded" },
        { "MISCONF", "it cannot save its data: look at its log and at the disk" },
        { "MASTERDOWN", "its master does not answer" },
        { "MOVED", "in a cluster, set Address= to the server it names" },
        { "ERR DB index", "check Database=" },
        { "ERR max number of clients", "raise maxclients, or find out who holds them" },
};

static void reply_freep(redisReply **reply) {
        if (*reply)
                freeReplyObject(*reply);
}

static void session_close(RedisSession *session) {
        session->stream = stream_close(session->stream);
        session->reader = redis_reader_free(session->reader);
        session->connected = false;
}

/*
 * A connection that has more to say than it was asked is not kept. In the clear, what else is
 * there is announced again, to session_on_idle(); in TLS it would not be.
 */
static bool session_can_keep(RedisSession *session, RedisOutcome outcome) {
        char more;

        return session->settings.persistent && outcome == REDIS_ANSWERED &&
               redis_reader_is_empty(session->reader) &&
               (!session->settings.target.tls ||
                stream_read(session->stream, &more, sizeof(more)) == -EAGAIN);
}

static const char *session_error(const RedisSession *session) {
        return session->error ? session->error : "out of memory";
}

static void session_end(RedisSession *session, RedisOutcome outcome) {
        const RedisResult result = {
                .outcome = outcome,
                .connected = session->connected,
                .error = outcome == REDIS_ANSWERED ? NULL : session_error(session),
        };

        if (!session_can_keep(session, outcome))
                session_close(session);
        session->reader = redis_reader_free(session->reader);
        session->running = false;
        session->handlers->on_done(session, &result, session->userdata);
}

static void session_fail_internally(RedisSession *session, int error) {
        (void) string_printf(&session->error, "cannot talk to Redis: %s", strerror(-error));
        session_end(session, REDIS_FAILED_INTERNALLY);
}

bool redis_session_refuse(RedisSession *session, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void) string_vprintf(&session->error, format, arguments);
        va_end(arguments);
        return false;
}

bool redis_session_refused(RedisSession *session, const redisReply *reply) {
        const char *hint = NULL;

        if (reply->type != REDIS_REPLY_ERROR)
                return false;
        for (size_t i = 0; !hint && i < ELEMENTS(hints); i++)
                if (string_after_prefix(reply->str, hints[i].prefix))
                        hint = hints[i].hint;
        return !redis_session_refuse(session, "%s answered %s with: %s%s%s%s",
                                     redis_session_place(session), session->names[session->command],
                                     string_strip(reply->str), hint ? " (" : "", hint ? hint : "",
                                     hint ? ")" : "");
}

static bool session_take_reply(RedisSession *session, redisReply *reply) {
        if (session->command < session->n_login)
                return !redis_session_refused(session, reply);
        return session->handlers->on_reply(session, session->command - session->n_login, reply,
                                           session->userdata);
}

static int session_open(RedisSession *session);

/* error: 0 for the end of the stream. */
static void session_on_end(RedisSession *session, int error) {
        const StreamTarget *target = &session->settings.target;
        int r;

        if (session->reused && !session->answered) {
                /* The kept connection died unseen, which is no verdict yet: once more, fresh. */
                session_close(session);
                r = session_open(session);
                if (r < 0)
                        session_fail_internally(session, r);
                return;
        }
        (void) redis_session_refuse(session,
                                    "%s closed the connection instead of answering %s%s%s%s",
                                    redis_session_place(session), session->names[session->command],
                                    error ? ": " : "", error ? strerror(-error) : "",
                                    session->answered || target->tls || target->path
                                                    ? ""
                                                    : " (if it speaks TLS there, set TLS=yes)");
        session_end(session, REDIS_FAILED);
}

static void session_write(RedisSession *session) {
        while (session->sent < session->request.length) {
                ssize_t n = stream_write(session->stream, session->request.text + session->sent,
                                         session->request.length - session->sent);
                if (n == 0 || n == -EAGAIN)
                        return;
                /* What the server said before it closed is the better reason: reading tells. */
                session->sent = n < 0 ? session->request.length : session->sent + (size_t) n;
        }
}

/* Takes the replies that are complete. Returns false if the conversation is over. */
static bool session_take_replies(RedisSession *session) {
        int r;

        while (session->command < session->n_commands) {
                _cleanup_(reply_freep) redisReply *reply = NULL;

                r = redis_reader_next(session->reader, &reply);
                if (r < 0)
                        (void) redis_session_refuse(session,
                                                    "%s does not speak Redis's protocol: %s",
                                                    redis_session_place(session),
                                                    redis_reader_error(session->reader));
                if (r == 0)
                        return true;
                session->answered = true;
                if (r < 0 || !session_take_reply(session, reply)) {
                        session_end(session, REDIS_FAILED);
                        return false;
                }
                session->command++;
        }
        session_end(session, REDIS_ANSWERED);
        return false;
}

static void session_read(RedisSession *session) {
        char buffer[16 * 1024];
        int r;

        for (;;) {
                ssize_t n = stream_read(session->stream, buffer, sizeof(buffer));
                if (n == -EAGAIN)
                        return;
                if (n <= 0) {
                        session_on_end(session, (int) n);
                        return;
                }
                r = session->reader ? 0 : redis_reader_new(&session->reader);
                if (r >= 0)
                        r = redis_reader_feed(session->reader, buffer, (size_t) n);
                if (r == -EMSGSIZE) {
                        (void) redis_session_refuse(session, "%s answered %s with more than 1 MiB",
                                                    redis_session_place(session),
                                                    session->names[session->command]);
                        session_end(session, REDIS_FAILED);
                        return;
                }
                if (r < 0) {
                        session_fail_internally(session, r);
                        return;
                }
                if (!session_take_replies(session))
                        return;
        }
}

static void session_begin(RedisSession *session, double connect_ms) {
        if (session->handlers->on_connected)
                session->handlers->on_connected(session, connect_ms, session->userdata);
        session_write(session);
}

/* The kept connection speaks up by itself: that is its end, or nothing to build on. */
static void session_on_idle(RedisSession *session) {
        char more;

        if (stream_read(session->stream, &more, sizeof(more)) == -EAGAIN)
                return;
        session_close(session);
        if (session->handlers->on_lost)
                session->handlers->on_lost(session, session->userdata);
}

static void session_on_event(Stream *stream, StreamEvent event, void *userdata) {
        RedisSession *session = userdata;

        if (!session->running) {
                session_on_idle(session);
                return;
        }
        switch (event) {
        case STREAM_CONNECTED:
                session->connected = true;
                session_begin(session, time_since_ms(session->started_usec));
                return;
        case STREAM_READABLE:
                session_read(session);
                return;
        case STREAM_WRITABLE:
                session_write(session);
                return;
        case STREAM_FAILED:
                (void) redis_session_refuse(session, "%s", stream_error(stream));
                session_end(session, stream_failed_internally(stream) ? REDIS_FAILED_INTERNALLY
                                                                      : REDIS_FAILED);
                return;
        }
}

void redis_session_set_needs(RedisSession *session, const Needs *needs) {
        session->needs = needs;
}

void redis_session_add_needs(const RedisSession *session, Needs *needs) {
        needs_add(needs, &session->handlers,
                  sizeof(RedisSession) - offsetof(RedisSession, handlers));
        needs_add(needs, session->request.text, session->request.length);
        if (session->stream)
                stream_add_needs(session->stream, needs);
}

static int session_open(RedisSession *session) {
        int r;

        session->started_usec = now_monotonic_usec();
        session->reused = false;
        session->command = 0;
        session->sent = 0;
        r = stream_open(session->runtime, &session->settings.target, session_on_event, session,
                        &session->stream);
        if (r < 0)
                session_close(session);
        else
                stream_set_needs(session->stream, session->needs);
        return r;
}

int redis_session_start(RedisSession *session, Runtime *runtime) {
        int r;

        assert(!session->running);
        session->runtime = runtime;
        session->answered = false;
        (void) string_replace(&session->error, NULL);
        if (!session->stream) {
                r = session_open(session);
                if (r < 0)
                        return r;
                session->running = true;
                return 0;
        }
        session->running = true;
        session->reused = true;
        session->command = session->n_login;
        session->sent = session->login_length;
        session_begin(session, 0);
        return 0;
}

void redis_session_abandon(RedisSession *session, RedisResult *ret) {
        bool connected = session->connected;

        if (connected)
                (void) redis_session_refuse(session, "no answer from %s to %s",
                                            redis_session_place(session),
                                            session->names[session->command]);
        else
                (void) redis_session_refuse(session, "%s", stream_stage(session->stream));
        session_close(session);
        session->running = false;
        *ret = (RedisResult){
                .outcome = REDIS_FAILED,
                .connected = connected,
                .error = session_error(session),
        };
}

const char *redis_session_place(const RedisSession *session) {
        return stream_place(session->stream);
}

int redis_session_add_command(RedisSession *session, const char *const *words) {
        char *text = NULL;
        /* An int in hiredis 0.14, a long long later. */
        long long length;
        int n_words = 0;

        assert(session->n_commands < ELEMENTS(session->names));
        while (words[n_words])
                n_words++;
        length = redisFormatCommandArgv(&text, n_words, (const char **) words, NULL);
        if (length < 0)
                return -ENOMEM;
        text_buffer_add(&session->request, text, (size_t) length);
        explicit_bzero(text, (size_t) length);
        redisFreeCommand(text);
        session->names[session->n_commands++] = words[0];
        return session->request.failed ? -ENOMEM : 0;
}

static int session_add_login(RedisSession *session) {
        const RedisSettings *settings = &session->settings;
        char database[16];
        int r;

        if (settings->password) {
                /* Servers before 6 know no user names: leave the word out if none is set. */
                const char *const words[] = {
                        "AUTH",
                        settings->username ? settings->username : settings->password,
                        settings->username ? settings->password : NULL,
                        NULL,
                };
                r = redis_session_add_command(session, words);
                if (r < 0)
                        return r;
        }
        if (settings->database > 0) {
                (void) snprintf(database, sizeof(database), "%u", settings->database);
                r = redis_session_add_command(session,
                                              (const char *const[]){ "SELECT", database, NULL });
                if (r < 0)
                        return r;
        }
        session->n_login = session->n_commands;
        session->login_length = session->request.length;
        return 0;
}

RedisSession *redis_session_free(RedisSession *session) {
        if (!session)
                return NULL;
        session_close(session);
        if (session->request.text)
                explicit_bzero(session->request.text, session->request.length);
        text_buffer_done(&session->request);
        free(session->error);
        free(session);
        return NULL;
}
DEFINE_CLEANUP(RedisSession, redis_session_free)

int redis_session_new(const RedisSettings *settings, const RedisHandlers *handlers, void *userdata,
                      RedisSession **ret) {
        _cleanup_(redis_session_freep) RedisSession *session = calloc(1, sizeof(RedisSession));
        int r;

        if (!session)
                return -ENOMEM;
        session->settings = *settings;
        session->handlers = handlers;
        session->userdata = userdata;
        r = session_add_login(session);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(session);
        return 0;
}
