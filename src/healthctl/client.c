/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "healthctl/client.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "healthctl/json.h"

DEFINE_CLEANUP(char, curl_free)
static inline void slist_freep(struct curl_slist **list) {
        curl_slist_free_all(*list);
}

static size_t client_on_data(char *data, size_t size, size_t n, void *userdata) {
        TextBuffer *body = userdata;

        text_buffer_add(body, data, size * n);
        return body->failed ? 0 : size * n;
}

static int fail_connect(Healthctl *ctl) {
        long error = 0;

        (void) curl_easy_getinfo(ctl->curl, CURLINFO_OS_ERRNO, &error);
        switch (error) {
        case EACCES:
        case EPERM:
                return healthctl_fail(ctl, -EPERM,
                                      "%s may not be opened by this user. Its mode is 0666 unless "
                                      "healthd.socket was changed: see systemctl cat "
                                      "healthd.socket.",
                                      ctl->socket);
        case ENOENT:
                return healthctl_fail(ctl, -ECONNREFUSED,
                                      "healthd is not running: there is no %s. Start it with: "
                                      "systemctl start healthd%s%s.socket",
                                      ctl->socket, ctl->instance ? "@" : "",
                                      ctl->instance ? ctl->instance : "");
        case ECONNREFUSED:
                return healthctl_fail(ctl, -ECONNREFUSED,
                                      "healthd is not running: nobody listens on %s. Start it "
                                      "with: systemctl start healthd%s%s.socket",
                                      ctl->socket, ctl->instance ? "@" : "",
                                      ctl->instance ? ctl->instance : "");
        default:
                return healthctl_fail(ctl, -ECONNREFUSED,
                                      "Cannot connect to %s: %s. Is it the socket of a healthd?",
                                      ctl->socket,
                                      error > 0 ? strerrordesc_np((int) error) : "no answer");
        }
}

static int fail_transfer(Healthctl *ctl, CURLcode code) {
        switch (code) {
        case CURLE_COULDNT_CONNECT:
                return fail_connect(ctl);
        case CURLE_OPERATION_TIMEDOUT:
                return healthctl_fail(ctl, -ETIMEDOUT,
                                      "healthd accepts connections on %s, but has not answered for "
                                      "%u s. Look at: systemctl status healthd; journalctl -u "
                                      "healthd",
                                      ctl->socket, ctl->patience_s);
        case CURLE_OUT_OF_MEMORY:
                return -ENOMEM;
        default:
                return healthctl_fail(ctl, -EPROTO,
                                      "healthd ended the connection without an answer (%s). Look "
                                      "at: journalctl -u healthd",
                                      curl_easy_strerror(code));
        }
}

static int set_options(Healthctl *ctl, const char *url, TextBuffer *body) {
        CURL *curl = ctl->curl;

        if (strlen(ctl->socket) >= sizeof(((struct sockaddr_un *) NULL)->sun_path))
                return healthctl_fail(ctl, -EINVAL,
                                      "--socket=%s is no path of a unix socket: it is too long.",
                                      ctl->socket);

        if (curl_easy_setopt(curl, CURLOPT_URL, url) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, ctl->socket) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_PROXY, "") != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long) ctl->patience_s) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, client_on_data) != CURLE_OK ||
            curl_easy_setopt(curl, CURLOPT_WRITEDATA, body) != CURLE_OK)
                return -ENOMEM;
        return 0;
}

/* posted: NULL for a GET. */
static int client_transfer(Healthctl *ctl, const char *path, const char *posted, long *ret_status,
                           char **ret_body, size_t *ret_length) {
        _cleanup_(slist_freep) struct curl_slist *headers = NULL;
        _cleanup_(text_buffer_done) TextBuffer body = {};
        _cleanup_free_ char *url = NULL;
        CURLcode code;
        int r;

        if (!ctl->curl)
                ctl->curl = curl_easy_init();
        if (!ctl->curl)
                return -ENOMEM;
        curl_easy_reset(ctl->curl);
        r = string_printf(&url, "http://localhost%s", path);
        if (r < 0)
                return r;
        r = set_options(ctl, url, &body);
        if (r < 0)
                return r;
        if (posted) {
                headers = curl_slist_append(NULL, "Content-Type: application/json");
                if (!headers || curl_easy_setopt(ctl->curl, CURLOPT_POSTFIELDS, posted) != 0 ||
                    curl_easy_setopt(ctl->curl, CURLOPT_HTTPHEADER, headers) != 0)
                        return -ENOMEM;
        }
        code = curl_easy_perform(ctl->curl);
        if (code != CURLE_OK)
                return fail_transfer(ctl, code);
        (void) curl_easy_getinfo(ctl->curl, CURLINFO_RESPONSE_CODE, ret_status);
        return text_buffer_finish(&body, ret_body, ret_length);
}

static int client_ask(Healthctl *ctl, const char *path, const char *posted, long *ret_status,
                      cJSON **ret) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        _cleanup_free_ char *body = NULL;
        size_t length = 0;
        int r;

        r = client_transfer(ctl, path, posted, ret_status, &body, &length);
        if (r < 0)
                return r;
        json = cJSON_ParseWithLength(body, length);
        if (!cJSON_IsObject(json))
                return healthctl_fail(ctl, -EBADMSG,
                                      "What answers on %s is no healthd: its answer is no JSON "
                                      "object.",
                                      ctl->socket);
        if (ctl->json == JSON_OFF)
                json_make_printable(json, &ctl->terminal);
        *ret = TAKE_PTR(json);
        return 0;
}

/* What the daemon says of a refusal, for a terminal also where JSON was asked for. */
static int fail_refused(Healthctl *ctl, int error, cJSON *reply) {
        const char *detail;

        json_make_printable(reply, &ctl->terminal);
        detail = json_text(reply, "detail");
        return healthctl_fail(ctl, error, "%s", detail ? detail : "healthd refused, and not why.");
}

static int fail_forbidden(Healthctl *ctl, cJSON *reply) {
        _cleanup_free_ char *detail = NULL;
        int r;

        (void) fail_refused(ctl, -EACCES, reply);
        detail = TAKE_PTR(ctl->error);
        r = string_printf(&ctl->error,
                          "Permission denied: %s. Use sudo, or become a member of the group and "
                          "log in again: usermod -aG healthd USER",
                          detail ? detail : "");
        return r < 0 ? r : -EACCES;
}

int healthctl_get(Healthctl *ctl, const char *path, cJSON **ret) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL;
        long status = 0;
        int r;

        r = client_ask(ctl, path, NULL, &status, &reply);
        if (r < 0)
                return r;
        switch (status) {
        case 200:
        case 503:
                *ret = TAKE_PTR(reply);
                return 0;
        case 403:
                return fail_refused(ctl, -EACCES, reply);
        case 404:
                return fail_refused(ctl, -ENOENT, reply);
        default:
                return fail_refused(ctl, -EPROTO, reply);
        }
}

int healthctl_get_named(Healthctl *ctl, const char *prefix, const char *name, cJSON **ret) {
        _cleanup_(curl_freep) char *escaped = curl_easy_escape(NULL, name, 0);
        _cleanup_free_ char *path = NULL;
        int r;

        if (!escaped)
                return -ENOMEM;
        r = string_printf(&path, "%s%s", prefix, escaped);
        if (r < 0)
                return r;
        return healthctl_get(ctl, path, ret);
}

int healthctl_fail_unknown(Healthctl *ctl, const cJSON *checks, const char *name) {
        size_t n = (size_t) cJSON_GetArraySize(checks), i = 0;
        _cleanup_free_ const char **names = calloc(n + 1, sizeof(char *));
        _cleanup_free_ char *shown = strdup(name);
        const char *nearest;
        const cJSON *check;

        if (!names || !shown)
                return -ENOMEM;
        cJSON_ArrayForEach(check, checks) {
                names[i++] = check->string;
        }
        string_make_printable(shown);
        nearest = string_nearest(name, names);
        return healthctl_fail(ctl, -ENOENT, "There is no check \"%s\"%s%s%s \"healthctl list\" %s",
                              shown, nearest ? "; did you mean \"" : ".", nearest ? nearest : "",
                              nearest ? "\"?" : "", "lists them all.");
}

int healthctl_get_check(Healthctl *ctl, const char *name, cJSON **ret_reply,
                        const cJSON **ret_check) {
        _cleanup_(cJSON_Deletep) cJSON *reply = NULL, *all = NULL;
        int r;

        r = healthctl_get_named(ctl, "/health/checks/", name, &reply);
        if (r == -ENOENT) {
                r = healthctl_get(ctl, "/health", &all);
                return r < 0 ? r
                             : healthctl_fail_unknown(ctl, cJSON_GetObjectItem(all, "checks"),
                                                      name);
        }
        if (r < 0)
                return r;
        *ret_check = cJSON_GetObjectItem(reply, "checks");
        *ret_check = cJSON_IsObject(*ret_check) ? (*ret_check)->child : NULL;
        if (!cJSON_IsObject(*ret_check))
                return healthctl_fail(ctl, -EBADMSG, "healthd's answer has no check in it.");
        *ret_reply = TAKE_PTR(reply);
        return 0;
}

int healthctl_post(Healthctl *ctl, const char *verb, cJSON *body, cJSON **ret) {
        _cleanup_(cJSON_Deletep) cJSON *taken = body, *reply = NULL;
        _cleanup_free_ char *text = taken ? cJSON_PrintUnformatted(taken) : NULL, *path = NULL;
        long status = 0;
        int r;

        if (!text || string_printf(&path, "/control/%s", verb) < 0)
                return -ENOMEM;
        r = client_ask(ctl, path, text, &status, &reply);
        if (r < 0)
                return r;
        switch (status) {
        case 200:
        case 202:
                *ret = TAKE_PTR(reply);
                return 0;
        case 403:
                return fail_forbidden(ctl, reply);
        case 404:
                return fail_refused(ctl, -ENOENT, reply);
        case 409:
                return fail_refused(ctl, -EBUSY, reply);
        default:
                return fail_refused(ctl, -EPROTO, reply);
        }
}
