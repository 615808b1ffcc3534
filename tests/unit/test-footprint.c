/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is given back after the start, by what the kernel says of this process. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/footprint.h"
#include "io/libcurl.h"

/* How much of what is mapped from files of this name, and cannot be written, is in memory. */
static unsigned long resident_kib(const char *name) {
        _cleanup_fclose_ FILE *file = fopen("/proc/self/smaps", "re");
        unsigned long total = 0, kib;
        bool counts = false;
        char line[1024];
        char mode[5];

        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "%*x-%*x %4s", mode) == 1)
                        counts = mode[1] == '-' && strstr(line, name);
                else if (counts && sscanf(line, "Rss: %lu kB", &kib) == 1)
                        total += kib;
        return total;
}

static void test_trim(void **state) {
        static const char constant[] = "a constant of this program";
        _cleanup_free_ char *why = NULL;
        unsigned long before, ours;
        CURL *easy;

        (void) state;
        assert_int_equal(library_load(&library_libcurl, &why), 0);
        assert_string_equal(curl_easy_strerror(CURLE_OK), "No error");
        before = resident_kib("/libcrypto.so");
        ours = resident_kib("/test-footprint");
        assert_true(before > 100);
        assert_true(ours > 0);

        footprint_trim();
        assert_true(resident_kib("/libcrypto.so") < before / 2);
        assert_true(resident_kib("/test-footprint") >= ours);

        /* All is as it was. */
        assert_string_equal(constant, "a constant of this program");
        assert_string_equal(curl_easy_strerror(CURLE_OK), "No error");
        easy = curl_easy_init();
        assert_non_null(easy);
        assert_int_equal(curl_easy_setopt(easy, CURLOPT_URL, "http://localhost/"), CURLE_OK);
        curl_easy_cleanup(easy);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_trim),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
