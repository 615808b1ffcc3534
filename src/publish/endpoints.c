/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/endpoints.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json-writer.h"
#include "base/string-util.h"
#include "base/time-util.h"
#include "publish/gzip.h"
#include "publish/page.h"
#include "publish/response.h"
#include "publish/routes.h"
#include "report/health-ietf.h"

#define CACHE_SLOTS        64
#define ETAG_SIZE          64
#define CACHE_CONTROL_SIZE 48

/* What one path's answers differ by. */
enum {
        VARIANT_DETAILS = 1,
        VARIANT_EXCLUDE_QUIET = 2,
        VARIANT_IETF = 4,
        VARIANT_OPENMETRICS = 8,
        VARIANT_RECENT = 16,
        VARIANT_ALWAYS_OK = 32,
        VARIANT_GZIP = 64,
};

typedef struct CacheSlot {
        char *path;
        unsigned variant;
        uint64_t generation;
        uint64_t until_usec;
        Answer answer;
        char etag[ETAG_SIZE]; /* empty: none */
} CacheSlot;

struct Endpoints {
        const HealthView *view;
        bool closing;
        Refusals refusals;
        struct MHD_Response *no_such_path;
        Page *page;
        CacheSlot cache[CACHE_SLOTS];
        CacheSlot uncached; /* the last answer that serves one request only */
        ControlHandler on_control;
        void *control_userdata;
};

static void cache_slot_done(CacheSlot *slot) {
        free(slot->path);
        response_free(slot->answer.response);
        *slot = (CacheSlot){};
}

Endpoints *endpoints_free(Endpoints *endpoints) {
        if (!endpoints)
                return NULL;
        for (size_t i = 0; i < ELEMENTS(endpoints->cache); i++)
                cache_slot_done(&endpoints->cache[i]);
        cache_slot_done(&endpoints->uncached);
        refusals_done(&endpoints->refusals);
        response_free(endpoints->no_such_path);
        page_free(endpoints->page);
        free(endpoints);
        return NULL;
}
DEFINE_CLEANUP(Endpoints, endpoints_free)

static int no_such_path_new(struct MHD_Response **ret) {
        _cleanup_(json_writer_done) JsonWriter json = {};
        const Route *routes;
        size_t length, n;
        char *text;
        int r;

        routes = route_list(&n);
        json_object_begin(&json, NULL);
        json_add_string(&json, "detail", "nothing is served under this path");
        json_array_begin(&json, "endpoints");
        json_add_string(&json, NULL, PAGE_PATH);
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL;

                r = string_printf(&path, "%s%s", routes[i].path,
                                  routes[i].placeholder ? routes[i].placeholder : "");
                if (r < 0)
                        return r;
                json_add_string(&json, NULL, path);
        }
        json_array_end(&json);
        json_object_end(&json);
        r = json_writer_finish(&json, &text, &length);
        if (r < 0)
                return r;
        *ret = response_new(text, length, MHD_RESPMEM_MUST_FREE, JSON_MEDIA_TYPE, "no-cache");
        return *ret ? 0 : -ENOMEM;
}

int endpoints_new(const HealthView *view, Endpoints **ret) {
        _cleanup_(endpoints_freep) Endpoints *endpoints = calloc(1, sizeof(Endpoints));
        int r;

        if (!endpoints)
                return -ENOMEM;
        endpoints->view = view;
        r = refusals_init(&endpoints->refusals);
        if (r < 0)
                return r;
        r = no_such_path_new(&endpoints->no_such_path);
        if (r < 0)
                return r;
        r = page_new(&endpoints->page);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(endpoints);
        return 0;
}

void endpoints_set_closing(Endpoints *endpoints) {
        endpoints->closing = true;
        for (size_t i = 0; i < ELEMENTS(endpoints->cache); i++)
                response_set_closing(endpoints->cache[i].answer.response);
        refusals_set_closing(&endpoints->refusals);
        response_set_closing(endpoints->no_such_path);
        page_set_closing(endpoints->page);
}

/*
 * A client may keep the answer until the next run, less the time the rendering itself may lie
 * here. What only local readers may see is not for a shared cache.
 */
static void format_cache_control(char *buffer, size_t size, const Route *route,
                                 const Rendering *rendering, bool details, uint64_t now_usec) {
        uint64_t seconds = 0;

        if (!rendering->imminent && rendering->next_usec > now_usec + route->cache_usec)
                seconds = (rendering->next_usec - now_usec - route->cache_usec) / USEC_PER_SEC;
        if (route->volatile_state || seconds == 0)
                (void) snprintf(buffer, size, "no-cache");
        else
                (void) snprintf(buffer, size, "%smax-age=%" PRIu64, details ? "private, " : "",
                                seconds);
}

/* Puts what was compressed in the place of the text, if that is worth it. */
static int rendering_compress(Rendering *rendering, bool *ret_compressed) {
        size_t length;
        char *text;
        int r;

        r = gzip_compress(rendering->text, rendering->length, &text, &length);
        if (r < 0)
                return r;
        *ret_compressed = text;
        if (!text)
                return 0;
        free(rendering->text);
        rendering->text = text;
        rendering->length = length;
        return 0;
}

/* By which headers of a request its answer was chosen, and how it was written. */
static int response_add_choice(struct MHD_Response *response, const Route *route, bool compressed) {
        const char *vary = route->by_encoding ? "Accept, Accept-Encoding" : "Accept";
        int r = 0;

        if (route->by_accept)
                r = response_add_header(response, MHD_HTTP_HEADER_VARY, vary);
        if (r >= 0 && compressed)
                r = response_add_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
        return r;
}

/* Fills an empty slot. */
static int cache_slot_render(CacheSlot *slot, const Endpoints *endpoints, const Route *route,
                             const char *path, const Asked *asked, unsigned variant,
                             uint64_t now_usec) {
        const HealthView *view = endpoints->view;
        bool details = variant & VARIANT_DETAILS;
        Rendering rendering = { .statuses = HASH_START };
        char cache_control[CACHE_CONTROL_SIZE];
        const char *media_type;
        bool compressed = false;
        int r;

        r = route->render(view, asked, details, now_usec, &rendering);
        if (r < 0)
                return r;
        if (route->by_encoding && asked->gzip && rendering.text) {
                r = rendering_compress(&rendering, &compressed);
                if (r < 0) {
                        free(rendering.text);
                        return r;
                }
        }
        media_type = rendering.media_type ? rendering.media_type : JSON_MEDIA_TYPE;
        format_cache_control(cache_control, sizeof(cache_control), route, &rendering, details,
                             now_usec);
        slot->answer.status = asked->always_ok ? MHD_HTTP_OK : rendering.status;
        slot->answer.endpoint = route->path;
        slot->answer.in_pieces = rendering.body.type;
        slot->answer.response = slot->answer.in_pieces
                                                ? response_new_in_pieces(&rendering.body,
                                                                         media_type, cache_control)
                                                : response_new(rendering.text, rendering.length,
                                                               MHD_RESPMEM_MUST_FREE, media_type,
                                                               cache_control);
        slot->path = strdup(path);
        if (!slot->answer.response || !slot->path)
                return -ENOMEM;
        r = response_add_choice(slot->answer.response, route, compressed);
        if (r < 0)
                return r;
        /* What is made while it is sent is of no one state. */
        if (!route->volatile_state && !slot->answer.in_pieces) {
                (void) snprintf(slot->etag, sizeof(slot->etag),
                                "W/\"%" PRIx64 "-%" PRIx64 "-%" PRIx32 "%s%s\"", view->instance,
                                view->generation, (uint32_t) rendering.statuses, details ? "d" : "",
                                asked->ietf ? "i" : "");
                r = response_add_header(slot->answer.response, MHD_HTTP_HEADER_ETAG, slot->etag);
                if (r < 0)
                        return r;
        }
        if (endpoints->closing)
                response_set_closing(slot->answer.response);
        slot->variant = variant;
        slot->generation = view->generation;
        slot->until_usec = now_usec + route->cache_usec;
        return 0;
}

/* Whether the client has this very state. Weak comparison, as RFC 9110 wants it for GET. */
static bool etag_matches(const char *etag, struct MHD_Connection *connection) {
        const char *held;

        if (!*etag)
                return false;
        held = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                           MHD_HTTP_HEADER_IF_NONE_MATCH);
        return held && (string_equal(held, "*") || strstr(held, etag + strlen("W/")));
}

static Answer cache_slot_answer(const CacheSlot *slot, struct MHD_Connection *connection) {
        /* Never for a 503: a load balancer must see it. */
        if (slot->answer.status == MHD_HTTP_OK && etag_matches(slot->etag, connection))
                return (Answer){ MHD_HTTP_NOT_MODIFIED, slot->answer.response,
                                 slot->answer.endpoint };
        return slot->answer;
}

static Answer page_file_answer(const PageFile *file, struct MHD_Connection *connection) {
        return (Answer){ etag_matches(file->etag, connection) ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK,
                         file->response, file->path };
}

static bool is_reading(const char *method) {
        return string_equal(method, MHD_HTTP_METHOD_GET) ||
               string_equal(method, MHD_HTTP_METHOD_HEAD);
}

/* Whoever lists a form gets it; weights between them are beyond what anybody sends here. */
static void read_accept(struct MHD_Connection *connection, Asked *asked) {
        const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                                         MHD_HTTP_HEADER_ACCEPT);

        asked->ietf = accept && strstr(accept, HEALTH_IETF_MEDIA_TYPE);
        asked->openmetrics = accept && strstr(accept, "application/openmetrics-text");
        accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                             MHD_HTTP_HEADER_ACCEPT_ENCODING);
        asked->gzip = gzip_is_accepted(accept);
}

static unsigned asked_variant(const Asked *asked, bool details) {
        return (details ? VARIANT_DETAILS : 0) |
               (asked->exclude_quiet ? VARIANT_EXCLUDE_QUIET : 0) |
               (asked->ietf ? VARIANT_IETF : 0) | (asked->openmetrics ? VARIANT_OPENMETRICS : 0) |
               (asked->recent ? VARIANT_RECENT : 0) | (asked->always_ok ? VARIANT_ALWAYS_OK : 0) |
               (asked->gzip ? VARIANT_GZIP : 0);
}

typedef struct Option {
        const char *name;
        const char *value; /* the only one there is */
        size_t offset;     /* of the bool in Asked */
        Refusal refusal;   /* of any other value */
} Option;

static const Option options[] = {
        { "exclude", "silenced", offsetof(Asked, exclude_quiet), REFUSAL_EXCLUDE },
        { "recent", "yes", offsetof(Asked, recent), REFUSAL_RECENT },
        { "always", "200", offsetof(Asked, always_ok), REFUSAL_ALWAYS },
};

/* What any path may be asked with. Returns whether it is understood. */
static bool read_options(struct MHD_Connection *connection, Asked *asked, Refusal *ret_refusal) {
        for (size_t i = 0; i < ELEMENTS(options); i++) {
                const char *value = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND,
                                                                options[i].name);

                if (value && !string_equal(value, options[i].value)) {
                        *ret_refusal = options[i].refusal;
                        return false;
                }
                *(bool *) ((char *) asked + options[i].offset) = value;
        }
        return true;
}

static void read_arguments(struct MHD_Connection *connection, Asked *asked) {
        const char *since = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "since");

        asked->name = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "check");
        if (since)
                asked->since_usec = (uint64_t) strtoull(since, NULL, 10) * USEC_PER_SEC;
}

Answer endpoints_answer(Endpoints *endpoints, struct MHD_Connection *connection, const char *method,
                        const char *path, bool details, uint64_t now_usec) {
        Asked asked = {};
        CacheSlot fresh = {}, *slot;
        const PageFile *file;
        const Route *route;
        Refusal refusal;
        unsigned variant;
        int r;

        if (!read_options(connection, &asked, &refusal))
                return endpoints_refuse(endpoints, refusal);
        read_accept(connection, &asked);
        variant = asked_variant(&asked, details);
        slot = &endpoints->cache[(hash_add_string(HASH_START, path) + variant) % CACHE_SLOTS];
        if (is_reading(method) && slot->generation == endpoints->view->generation &&
            now_usec < slot->until_usec && slot->variant == variant &&
            string_equal(slot->path, path))
                return cache_slot_answer(slot, connection);

        file = page_find(endpoints->page, path);
        if (file)
                return is_reading(method) ? page_file_answer(file, connection)
                                          : endpoints_refuse(endpoints, REFUSAL_METHOD);
        route = route_find(path, &asked.name);
        if (!route)
                return (Answer){ MHD_HTTP_NOT_FOUND, endpoints->no_such_path, OTHER_ENDPOINT };
        if (!is_reading(method))
                return endpoints_refuse(endpoints, REFUSAL_METHOD);
        if (route_takes_arguments(route)) {
                read_arguments(connection, &asked);
                slot = &endpoints->uncached;
        }
        r = cache_slot_render(&fresh, endpoints, route, path, &asked, variant, now_usec);
        if (r < 0) {
                cache_slot_done(&fresh);
                if (r == -ENOENT)
                        return endpoints_refuse(endpoints, route->names_group
                                                                           ? REFUSAL_NO_SUCH_GROUP
                                                                           : REFUSAL_NO_SUCH_CHECK);
                return r == -EACCES ? endpoints_refuse(endpoints, REFUSAL_DETAILS) : (Answer){};
        }
        if (fresh.answer.in_pieces)
                slot = &endpoints->uncached;
        cache_slot_done(slot);
        *slot = fresh;
        return cache_slot_answer(slot, connection);
}

void endpoints_set_control_handler(Endpoints *endpoints, ControlHandler handler, void *userdata) {
        endpoints->on_control = handler;
        endpoints->control_userdata = userdata;
}

/* Takes the reply's text over. */
static Answer endpoints_answer_reply(Endpoints *endpoints, ControlReply reply) {
        CacheSlot *slot = &endpoints->uncached;

        cache_slot_done(slot);
        slot->answer.status = reply.status;
        slot->answer.endpoint = CONTROL_PREFIX;
        slot->answer.response = response_new(reply.text, reply.length, MHD_RESPMEM_MUST_FREE,
                                             JSON_MEDIA_TYPE, "no-store");
        if (endpoints->closing)
                response_set_closing(slot->answer.response);
        return slot->answer;
}

Answer endpoints_control(Endpoints *endpoints, const ControlCall *call) {
        _cleanup_(control_request_done) ControlRequest request = {};
        _cleanup_free_ char *why = NULL;
        ControlReply reply = {};
        ControlVerb verb;
        int r;

        if (control_find_verb(call->path, &verb) < 0)
                return endpoints_refuse(endpoints, REFUSAL_NO_SUCH_CONTROL);
        if (!string_equal(call->method, MHD_HTTP_METHOD_POST))
                return endpoints_refuse(endpoints, REFUSAL_CONTROL_METHOD);
        if (!call->heard || !endpoints->on_control)
                return endpoints_refuse(endpoints, REFUSAL_CONTROL_PEER);
        r = control_parse(verb, call->body, call->size, &request, &why);
        request.uid = call->uid;
        request.trusted = call->trusted;
        if (r == -EINVAL)
                r = control_reply_say(&reply, MHD_HTTP_BAD_REQUEST, "%s", why);
        else if (r == 0)
                r = endpoints->on_control(&request, &reply, endpoints->control_userdata);
        if (r < 0)
                return (Answer){};
        return endpoints_answer_reply(endpoints, reply);
}

Answer endpoints_refuse(const Endpoints *endpoints, Refusal refusal) {
        return refusals_answer(&endpoints->refusals, refusal);
}
