/* The kernel's payload: taken out of good images, refused in damaged ones. */
#include "harness/base/process.h"
#include "harness/image/kernel.h"
#include "harness/base/test/scratch_cache.h"
#include "harness/image/test/refusal.h"

enum { SETUP = 5 * 512, VMLINUX_SIZE = 5000, BUFFER = 64 << 10 };

static char image[BUFFER];
static size_t image_size;
static char *bzimage, *work, *vmlinux;

static void put32(size_t at, uint32_t value)
{
	memcpy(image + at, &value, sizeof(value));
}

/* Four setup sectors and a payload that `program` has packed. */
static void make_image(const char *program)
{
	const char *const argv[] = {program, "-q", "-f", "-k", vmlinux, NULL};
	_cleanup_free_ char *packed =
		format_string("%s.%s", vmlinux, strcmp(program, "zstd") == 0 ? "zst" : "xz");
	_cleanup_free_ char *payload = NULL;
	char elf[VMLINUX_SIZE] = "\177ELF";
	size_t size;

	for (size_t i = 4; i < sizeof(elf); i++)
		elf[i] = (char)(i * 7 / 3);
	assert_ok(fs_write_atomic(vmlinux, elf, sizeof(elf)));
	assert_ok(process_check(argv, NULL, deadline_after_ms(20000), NULL));
	assert_ok(fs_read(packed, BUFFER / 2, &payload, &size));
	memset(image, 0, sizeof(image));
	image[0x1f1] = 4;
	memcpy(image + 0x202, "HdrS", 4);
	image[0x206] = 0x0f;
	image[0x207] = 0x02;
	put32(0x248, 64);
	put32(0x24c, (uint32_t)size + 4);
	memcpy(image + SETUP + 64, payload, size);
	put32(SETUP + 64 + size, sizeof(elf));
	image_size = SETUP + 64 + size + 4 + 100;
}

static struct error *extract(void)
{
	_cleanup_free_ char *out = format_string("%s/out", scratch);

	assert_ok(fs_write_atomic(bzimage, image, image_size));
	return kernel_extract(bzimage, work, out, deadline_after_ms(20000));
}

static int setup(void **state)
{
	if (scratch_make_cache(state) != 0)
		return -1;
	bzimage = format_string("%s/vmlinuz", scratch);
	work = format_string("%s/work", scratch);
	vmlinux = format_string("%s/vmlinux", scratch);
	assert_ok(fs_make_dirs(work));
	make_image("xz");
	return 0;
}

static int teardown(void **state)
{
	free(bzimage);
	free(work);
	free(vmlinux);
	return scratch_remove(state);
}

static void test_good(void **state)
{
	static const char *const programs[] = {"xz", "zstd"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		_cleanup_free_ char *out = format_string("%s/out", scratch);
		char expected[33], actual[33];

		make_image(programs[i]);
		assert_ok(extract());
		assert_ok(fs_hash_file(vmlinux, expected));
		assert_ok(fs_hash_file(out, actual));
		assert_string_equal(actual, expected);
	}
}

static void test_zero_setup_sectors_mean_four(void **state)
{
	(void)state;
	image[0x1f1] = 0;
	assert_ok(extract());
}

static void test_every_truncation_is_refused(void **state)
{
	size_t whole = image_size - 100;

	(void)state;
	for (image_size = 0; image_size < whole; image_size += 61)
		assert_error(extract(), "");
}

static void test_hostile_headers(void **state)
{
	static const uint32_t wild[] = {0xffffffff, 0x80000000, BUFFER, 0xfffffe00};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		make_image("xz");
		put32(0x248, wild[i]);
		assert_error(extract(), "not inside");
		make_image("xz");
		put32(0x24c, wild[i]);
		assert_error(extract(), "not inside");
	}
	put32(0x24c, 3);
	assert_error(extract(), "not inside");
	memcpy(image + 0x202, "XXXX", 4);
	assert_error(extract(), "not a bzImage");
	make_image("xz");
	image[0x206] = 7;
	assert_error(extract(), "boot protocol 207");
}

static void test_wrong_content(void **state)
{
	(void)state;
	image[SETUP + 64] = 0;
	assert_error(extract(), "format other than");
	make_image("xz");
	image[SETUP + 64 + 60] ^= 0x10;
	assert_error(extract(), "cannot unpack");
	make_image("xz");
	put32(image_size - 100 - 4, VMLINUX_SIZE + 1);
	assert_error(extract(), "no ELF kernel of 5001 bytes");
	put32(image_size - 100 - 4, 0xf0000000);
	assert_error(extract(), "claims a kernel");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zero_setup_sectors_mean_four, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_truncation_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_content, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
