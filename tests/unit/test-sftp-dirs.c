/* SPDX-License-Identifier: MIT */
/* Tests what is counted of the listings that a mount keeps. */
#include "tests/unit/cmocka-prelude.h"

#include <string.h>

#include "modules/sftp/fs-dir.h"
#include "modules/sftp/fs.h"

static void what_changes_in_listings_is_counted(void **state)
{
    static const size_t entry = sizeof(struct sftp_entry);
    static struct fs fs = {.options = {.cache_ms = 60000}};
    struct node *node, *other;
    struct listing *listing;

    (void)state;
    assert_int_equal(nodes_init(&fs.nodes), 0);
    assert_int_equal(dirs_init(&fs.dirs), 0);
    node = nodes_get(&fs.nodes, &fs.nodes.root, "node");
    other = nodes_get(&fs.nodes, &fs.nodes.root, "other");
    assert_non_null(node);
    assert_non_null(other);
    node->lookups = other->lookups = 1;
    fs_dir_set_empty(&fs, node);
    fs_dir_set_empty(&fs, other);
    assert_int_equal(fs.dirs.bytes, 0);
    fs_dir_add(node, "a", NULL);
    fs_dir_add(node, "bcd", NULL);
    fs_dir_add(node, "bcd", NULL);
    fs_dir_add(other, "", NULL);
    assert_int_equal(fs.dirs.bytes, 2 * entry + 6 + entry + 1);
    fs_dir_remove(node, "a");
    fs_dir_remove(node, "a");
    assert_int_equal(fs.dirs.bytes, entry + 4 + entry + 1);
    /* One that somebody reads is not changed, but copied. */
    listing = node->listing;
    listing->users++;
    fs_dir_remove(node, "a");
    assert_ptr_not_equal(node->listing, listing);
    assert_int_equal(fs.dirs.bytes, entry + 4 + entry + 1);
    listing_free(listing);
    fs_dir_forget(other);
    assert_int_equal(fs.dirs.bytes, entry + 4);
    fs_dir_set_empty(&fs, node);
    assert_int_equal(fs.dirs.bytes, 0);
    dirs_fini(&fs);
    nodes_fini(&fs.nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changes_in_listings_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
