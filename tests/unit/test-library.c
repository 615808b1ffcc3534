/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is loaded at run time: the library is the C library's own, the missing ones are missing. */

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "io/libcurl.h"

static typeof(cos) *sym_cos;
static typeof(sin) *sym_sin;

static const LibrarySymbol symbols[] = { LIBRARY_SYMBOL(cos) LIBRARY_SYMBOL(sin){} };
static const Library library_libm = { "libm.so.6", "libc6", symbols };

static void assert_refused(const Library *library, const char *expected) {
        _cleanup_free_ char *why = NULL;

        sym_cos = NULL;
        sym_sin = NULL;
        assert_int_equal(library_load(library, &why), -ELIBACC);
        assert_non_null(strstr(why, expected));
}

static void test_load(void **state) {
        _cleanup_free_ char *why = NULL;

        (void) state;
        sym_cos = NULL;
        sym_sin = NULL;
        for (int i = 0; i < 2; i++) {
                assert_int_equal(library_load(&library_libm, &why), 0);
                assert_null(why);
                assert_true(sym_cos(0.0) == 1.0);
                assert_true(sym_sin(0.0) == 0.0);
        }
}

static void test_missing(void **state) {
        (void) state;
        assert_refused(&(Library){ "libmissing.so.1", "libmissing1", symbols },
                       "(libmissing.so.1: cannot open shared object file: No such file or "
                       "directory); install libmissing1");
        assert_refused(&(Library){ "libmissing.so.1", "", symbols },
                       "; install the package with libmissing.so.1");
}

/* An older one than this was compiled for. */
static void test_missing_function(void **state) {
        void *missing;
        const LibrarySymbol more[] = { LIBRARY_SYMBOL(cos){ "cosine_of_tomorrow", &missing }, {} };
        const Library library = { "libm.so.6", "libc6", more };

        (void) state;
        missing = NULL;
        /* Not taken for loaded, however often it is asked for. */
        for (int i = 0; i < 2; i++)
                assert_refused(&library, "undefined symbol: cosine_of_tomorrow); install libc6");
        assert_null(missing);
}

static void test_several(void **state) {
        const LibrarySymbol first[] = { LIBRARY_SYMBOL(sin){} },
                            second[] = { LIBRARY_SYMBOL(cos){} };
        const Library there = { "libm.so.6", "libc6", first };
        const Library missing = { "libmissing.so.1", "libmissing1", second };
        _cleanup_free_ char *why = NULL;

        (void) state;
        sym_cos = NULL;
        sym_sin = NULL;
        assert_int_equal(library_load_all(NULL, &why), 0);
        assert_int_equal(library_load_all(LIBRARIES(NULL), &why), 0);
        assert_int_equal(library_load_all(LIBRARIES(&there, &missing, NULL), &why), -ELIBACC);
        assert_non_null(sym_sin);
        assert_null(sym_cos);
        assert_non_null(strstr(why, "libmissing.so.1"));
}

static size_t take_nothing(char *data, size_t size, size_t n, void *userdata) {
        (void) data;
        (void) userdata;
        return size * n;
}

/* Values of every width reach libcurl as they are. */
static void test_curl_options(void **state) {
        _cleanup_free_ char *why = NULL;
        curl_off_t size = 0;
        char *url = NULL;
        long code = -1;
        CURLM *multi;
        CURL *easy;

        (void) state;
        assert_int_equal(library_load(&library_libcurl, &why), 0);
        easy = curl_easy_init();
        multi = curl_multi_init();
        assert_non_null(easy);
        assert_non_null(multi);
        assert_int_equal(curl_easy_setopt(easy, CURLOPT_URL, "file:///dev/null"), CURLE_OK);
        assert_int_equal(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_nothing), CURLE_OK);
        assert_int_equal(
                        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) 0x123456789a),
                        CURLE_OK);
        /* What is no size, and no number of seconds, is refused by its value. */
        assert_int_equal(curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) -2),
                         CURLE_BAD_FUNCTION_ARGUMENT);
        assert_int_equal(curl_easy_setopt(easy, CURLOPT_TIMEOUT, -1L), CURLE_BAD_FUNCTION_ARGUMENT);
        assert_int_equal(curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 3L), CURLM_OK);
        assert_int_equal(curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, &size), CURLM_OK);
        assert_int_equal(curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code), CURLE_OK);
        assert_int_equal(code, 0);
        assert_int_equal(curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &size), CURLE_OK);
        assert_int_equal(size, 0);
        assert_int_equal(curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url), CURLE_OK);
        assert_string_equal(url, "file:///dev/null");
        curl_multi_cleanup(multi);
        curl_easy_cleanup(easy);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_load),
                cmocka_unit_test(test_missing),
                cmocka_unit_test(test_missing_function),
                cmocka_unit_test(test_several),
                cmocka_unit_test(test_curl_options),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
