/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whose token is let in, and what of the keys makes no sense. Certificates: test_tls.py. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "publish/http-gate.h"

#define OLD "0123456789abcdef0123456789abcdef"
#define NEW "b64/token+of-another.length~=="

static void cleanup_gate(HttpGate *gate) {
        http_gate_done(gate);
}

static void cleanup_setup(TypeSetup *setup) {
        free(setup->why);
}

static int load(const char *token, TypeSetup *setup, HttpGate *ret) {
        const HttpGateKeys keys = { .token = (char *) token };

        return http_gate_load(&keys, false, setup, ret);
}

static void test_a_header_is_compared_with_each_token(void **state) {
        _cleanup_(cleanup_setup) TypeSetup setup = {};
        _cleanup_(cleanup_gate) HttpGate gate = {};
        static const struct {
                const char *header;
                bool known;
        } cases[] = {
                { "Bearer " OLD, true },
                { "Bearer " NEW, true },
                { "bearer " OLD, true },
                { "BEARER   " NEW "  ", true },
                { NULL, false },
                { "", false },
                { "Bearer", false },
                { "Bearer ", false },
                { "Bearer    ", false },
                { OLD, false },
                { "Basic " OLD, false },
                { "Bearer" OLD, false },
                { "Bearer\t" OLD, false },
                { "Bearer " OLD "x", false },
                { "Bearer 0123456789abcdef0123456789abcde", false },
                { "Bearer 1123456789abcdef0123456789abcdef", false },
                { "Bearer 0123456789abcdef0123456789abcdeF", false },
                /* What a comparison that goes round and round would take. */
                { "Bearer " OLD OLD, false },
                { "Bearer 0123456789abcdef", false },
                { "Bearer " OLD " " NEW, false },
                { "Bearer " OLD "," NEW, false },
                { "Bearer \"" OLD "\"", false },
        };

        (void) state;
        assert_int_equal(load(OLD "\n" NEW "\n", &setup, &gate), 0);
        assert_true(http_gate_authenticates(&gate));
        for (size_t i = 0; i < ELEMENTS(cases); i++)
                if (http_gate_knows_token(&gate, cases[i].header) != cases[i].known)
                        fail_msg("%s", cases[i].header ? cases[i].header : "none");
}

static void test_without_a_token_nobody_knows_one(void **state) {
        _cleanup_(cleanup_setup) TypeSetup setup = {};
        _cleanup_(cleanup_gate) HttpGate gate = {};

        (void) state;
        assert_int_equal(load(NULL, &setup, &gate), 0);
        assert_false(http_gate_authenticates(&gate));
        assert_false(http_gate_knows_token(&gate, "Bearer "));
        assert_false(http_gate_knows_token(&gate, "Bearer " OLD));
}

static void test_tokens_that_are_refused(void **state) {
        static const char *const cases[] = {
                " \n\n",
                "secret",
                "fifteen-letters",
                "sixteen letters+",
                "umlaut-\xc3\xa4-0123456789",
                OLD "\n\"quoted-0123456789\"",
                OLD "\n" OLD "\n" OLD "\n" OLD "\n" OLD "\n" OLD "\n" OLD "\n" OLD "\n" OLD,
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(cleanup_setup) TypeSetup setup = {};
                HttpGate gate = {};

                assert_int_equal(load(cases[i], &setup, &gate), -EINVAL);
                assert_string_equal(setup.key, "Token");
                assert_null(strstr(setup.why, cases[i]));
                assert_null(gate.tokens);
        }
}

static void test_keys_that_lack_another(void **state) {
        static const struct {
                HttpGateKeys keys;
                const char *key, *why;
        } cases[] = {
                { { .key = (char *) "x" }, "Key", "Key= needs Certificate=" },
                { { .client_ca = (char *) "x" }, "ClientCA", "ClientCA= needs Certificate=" },
                { { .certificate = (char *) "x" },
                  "Certificate",
                  "Certificate= has no certificate in it" },
                { { .certificate = (char *) "-----BEGIN CERTIFICATE-----\nAAAA\n"
                                            "-----END CERTIFICATE-----" },
                  "Certificate",
                  "Certificate= has a certificate that cannot be read" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(cleanup_setup) TypeSetup setup = {};
                HttpGate gate = {};

                assert_int_equal(http_gate_load(&cases[i].keys, false, &setup, &gate), -EINVAL);
                assert_string_equal(setup.key, cases[i].key);
                assert_ptr_equal(strstr(setup.why, cases[i].why), setup.why);
        }
}

static void test_what_stands_for_credentials_is_let_pass(void **state) {
        static char placeholder[] = CREDENTIAL_PLACEHOLDER;
        const HttpGateKeys keys = { placeholder, placeholder, placeholder, placeholder };
        _cleanup_(cleanup_setup) TypeSetup setup = {};
        _cleanup_(cleanup_gate) HttpGate gate = {};

        (void) state;
        assert_int_equal(http_gate_load(&keys, true, &setup, &gate), 0);
        assert_int_equal(http_gate_load(&keys, false, &setup, &gate), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_header_is_compared_with_each_token),
                cmocka_unit_test(test_without_a_token_nobody_knows_one),
                cmocka_unit_test(test_tokens_that_are_refused),
                cmocka_unit_test(test_keys_that_lack_another),
                cmocka_unit_test(test_what_stands_for_credentials_is_let_pass),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
