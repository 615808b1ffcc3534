/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "publish/gzip.h"

static void test_who_accepts_it(void **state) {
        static const struct {
                const char *header;
                bool accepted;
        } cases[] = {
                { "gzip", true },
                { "GZip", true },
                { "gzip, deflate, br", true },
                { "deflate,gzip", true },
                { "br;q=1.0, gzip;q=0.8, *;q=0.1", true },
                { " ,, \tgzip ; q=0.001", true },
                { "gzip;q=0.01", true },
                { "identity;q=0, gzip", true },
                { NULL, false },
                { "", false },
                { ",,", false },
                { "identity", false },
                { "deflate, br", false },
                { "gzipped", false },
                { "x;gzip", false },
                { "gzip;q=0", false },
                { "gzip; q=0.000, br", false },
                { "gzip;Q=0.", false },
                { "br;q=0, gzip;q=0", false },
                /* Not named: nobody who sends this minds the whole of it. */
                { "*", false },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++)
                if (gzip_is_accepted(cases[i].header) != cases[i].accepted)
                        fail_msg("%s", cases[i].header ? cases[i].header : "none");
}

static void test_what_is_compressed_comes_back(void **state) {
        static const size_t lengths[] = { 1400, 5000, 1024 * 1024 };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(lengths); i++) {
                _cleanup_(text_buffer_done) TextBuffer text = {};
                _cleanup_free_ char *packed = NULL, *back = malloc(lengths[i] + 1);
                z_stream stream = {};
                size_t length;

                assert_non_null(back);
                for (int n = 0; text.length < lengths[i]; n++)
                        text_buffer_printf(&text, "healthd_check_value{check=\"c\"} %d\n", n * n);
                assert_int_equal(gzip_compress(text.text, lengths[i], &packed, &length), 0);
                assert_non_null(packed);
                assert_true(length < lengths[i] / 2);
                stream.next_in = (Bytef *) packed;
                stream.avail_in = (uInt) length;
                stream.next_out = (Bytef *) back;
                stream.avail_out = (uInt) lengths[i] + 1;
                assert_int_equal(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
                assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
                assert_int_equal(stream.total_out, lengths[i]);
                assert_memory_equal(back, text.text, lengths[i]);
                (void) inflateEnd(&stream);
        }
}

static void test_what_gains_nothing_or_takes_long_is_left_alone(void **state) {
        static const size_t lengths[] = { 0, 1399, 1024 * 1024 + 1 };
        _cleanup_free_ char *text = calloc(1, 1024 * 1024 + 1);
        unsigned noise = 1;
        size_t length;
        char *packed;

        (void) state;
        assert_non_null(text);
        for (size_t i = 0; i < ELEMENTS(lengths); i++) {
                assert_int_equal(gzip_compress(text, lengths[i], &packed, &length), 0);
                assert_null(packed);
        }
        for (size_t i = 0; i < 4000; i++) {
                noise = noise * 1103515245 + 12345;
                text[i] = (char) (noise >> 16);
        }
        assert_int_equal(gzip_compress(text, 4000, &packed, &length), 0);
        assert_null(packed);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_who_accepts_it),
                cmocka_unit_test(test_what_is_compressed_comes_back),
                cmocka_unit_test(test_what_gains_nothing_or_takes_long_is_left_alone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
