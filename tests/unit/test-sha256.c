/* SPDX-License-Identifier: MIT */
/* Tests of SHA-256 against the examples of FIPS 180-4 and its padding's borders. */
#include "tests/unit/cmocka-prelude.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/sha256.h"

static void check(const char *data, size_t size, size_t step, const char *expected)
{
    struct sha256 sha;
    uint8_t digest[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];

    sha256_init(&sha);
    for (size_t i = 0; i < size; i += step)
        sha256_add(&sha, data + i, size - i < step ? size - i : step);
    sha256_finish(&sha, digest);
    for (int i = 0; i < SHA256_SIZE; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, expected);
}

static void test_examples(void **state)
{
    static const struct {
        const char *text;
        const char *digest;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (size_t step = 1; step < 70; step += 7)
            check(cases[i].text, strlen(cases[i].text), step, cases[i].digest);
    }
}

static void test_a_million(void **state)
{
    static char data[1000000];

    (void)state;
    memset(data, 'a', sizeof(data));
    for (size_t step = 1; step < 2000; step = step * 3 + 1)
        check(data, sizeof(data), step,
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_borders_of_the_padding(void **state)
{
    char data[65];

    (void)state;
    memset(data, 'b', sizeof(data));
    check(data, 55, 9, "eb2c86e932179f4ba13fe8715a26124b77d6bad290b9b4c1cc140cf633300c19");
    check(data, 56, 9, "a5fc6e203a4c2b657d0d153885932414b2ffc6a93f0f8bf8b3183315e5a7212c");
    check(data, 57, 9, "2dd0a6d14520f410e18bd2f443f0ff2e7389dfaf9242bb9257730fc190e8085d");
    check(data, 63, 9, "94e419fabac7f930810f9636354042f8c1426d2f834d4ab65c93dc1e69326b13");
    check(data, 64, 9, "a0fab1377f49a759b57f63318262ebe89fabfc990e8e93ceac2984561482b9d4");
    check(data, 65, 9, "74b128f30cf83de43ddf4aafc40c7b50a7443d3c73a89a7cfca17e15e43d51ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_a_million),
        cmocka_unit_test(test_borders_of_the_padding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
