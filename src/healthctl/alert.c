/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* alert test NAME: sends a real message and says what came of it. */

#include <errno.h>

#include "base/time-util.h"
#include "healthctl/client.h"
#include "healthctl/json.h"
#include "healthctl/pause.h"

/* Longer than the longest Timeout=, behind a message that is under way. */
#define PATIENCE_USEC (21 * USEC_PER_MIN)
#define PACE_MSEC     100

/* The test of an alert in the listing, or NULL. */
static const cJSON *test_find(const cJSON *reply, const char *name, double id) {
        const cJSON *alert, *alerts = cJSON_GetObjectItemCaseSensitive(reply, "alerts");

        cJSON_ArrayForEach(alert, alerts) {
                const cJSON *test = cJSON_GetObjectItemCaseSensitive(alert, "test");

                if (string_equal(json_text(alert, "name"), name) &&
                    json_number(test, "id", 0) == id)
                        return test;
        }
        return NULL;
}

static int test_print(Healthctl *ctl, const char *name, const cJSON *test) {
        bool delivered = string_equal(json_text(test, "state"), "delivered");
        const char *detail = json_text(test, "detail");
        int r;

        if (ctl->json != JSON_OFF) {
                r = json_print(ctl, test);
                return r < 0 || delivered ? r : EXIT_FAILURE;
        }
        if (!delivered)
                return healthctl_fail(ctl, -EIO, "The alert \"%s\" cannot be sent: %s.", name,
                                      detail ? detail : "");
        if (!ctl->quiet)
                (void) fprintf(ctl->terminal.out, "The alert \"%s\" was delivered: %s\n", name,
                               detail ? detail : "");
        return 0;
}

static int test_wait(Healthctl *ctl, const char *name, double id) {
        uint64_t patience_usec = ctl->timeout_usec ? ctl->timeout_usec : PATIENCE_USEC;
        uint64_t until_usec = now_monotonic_usec() + patience_usec;
        char span[64];
        int r;

        while (now_monotonic_usec() < until_usec) {
                _cleanup_(cJSON_Deletep) cJSON *reply = NULL;
                const cJSON *test;
                const char *state;

                r = healthctl_get(ctl, "/health/alerts", &reply);
                if (r < 0)
                        return r;
                test = test_find(reply, name, id);
                if (!test)
                        return healthctl_fail(ctl, -ENOENT,
                                              "The alert \"%s\" was changed or tested by somebody "
                                              "else meanwhile; try it again.",
                                              name);
                state = json_text(test, "state");
                if (string_equal(state, "delivered") || string_equal(state, "failed"))
                        return test_print(ctl, name, test);
                pause_msec(PACE_MSEC);
        }
        return healthctl_fail(
                        ctl, -ETIMEDOUT,
                        "The test of \"%s\" has not ended within %s; GET /health/alerts tells "
                        "how it ends.",
                        name, time_span_format(span, sizeof(span), patience_usec));
}

int verb_alert(Healthctl *ctl, char **arguments) {
        _cleanup_(cJSON_Deletep) cJSON *body = NULL, *reply = NULL;
        int r;

        if (!string_equal(arguments[0], "test"))
                return healthctl_fail(ctl, -EINVAL,
                                      "Unknown: alert %s. Write: healthctl alert test "
                                      "NAME",
                                      arguments[0]);
        body = cJSON_CreateObject();
        if (!body || !cJSON_AddStringToObject(body, "alert", arguments[1]))
                return -ENOMEM;
        r = healthctl_post(ctl, "alert-test", TAKE_PTR(body), &reply);
        return r < 0 ? r : test_wait(ctl, arguments[1], json_number(reply, "id", 0));
}
