/* Clones get libvirt's command line of the template, without what was the template's own. */
#include "harness/base/test/support.h"
#include "harness/fleet/clone.h"

/* Captured from virConnectDomainXMLToNative() of libvirt 9.0 for a template of the tiny image. */
static const char native[] =
	"LC_ALL=C PATH=/usr/bin:/bin "
	"HOME=/run/fleetlab/lab/lv/lib/qemu/domain--1-@GUEST@ "
	"XDG_DATA_HOME=/run/fleetlab/lab/lv/lib/qemu/domain--1-@GUEST@/.local/share "
	"XDG_CACHE_HOME=/run/fleetlab/lab/lv/lib/qemu/domain--1-@GUEST@/.cache "
	"XDG_CONFIG_HOME=/run/fleetlab/lab/lv/lib/qemu/domain--1-@GUEST@/.config "
	"/usr/bin/qemu-system-x86_64 -name guest=@GUEST@,debug-threads=on -S -object "
	"'{\"qom-type\":\"secret\",\"id\":\"masterKey0\",\"format\":\"raw\",\"file\":\"/run/"
	"fleetlab/lab/lv/lib/qemu/domain--1-@GUEST@/master-key.aes\"}' "
	"-machine pc-q35-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram "
	"-accel tcg -cpu qemu64 -m 128 -object "
	"'{\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\",\"size\":134217728}' "
	"-overcommit mem-lock=off -smp 1,maxcpus=2,sockets=2,cores=1,threads=1 -uuid "
	"1e731246-ebb6-4029-b851-a1243a5f6893 -display none -no-user-config "
	"-nodefaults -chardev "
	"socket,id=charmonitor,path=/run/fleetlab/lab/lv/lib/qemu/domain--1-@GUEST@/"
	"monitor.sock,server=on,wait=off "
	"-mon chardev=charmonitor,id=monitor,mode=control -rtc base=utc -no-shutdown "
	"-boot strict=on -kernel /cache/vmlinux -initrd /cache/initrd -append 'quiet "
	"console=ttyS0 tsc=reliable' -device "
	"'{\"driver\":\"pcie-root-port\",\"port\":8,\"chassis\":1,\"id\":\"pci.1\",\"bus\":\"pcie."
	"0\",\"multifunction\":true,\"addr\":\"0x1\"}' "
	"-device "
	"'{\"driver\":\"pcie-root-port\",\"port\":9,\"chassis\":2,\"id\":\"pci.2\",\"bus\":\"pcie."
	"0\",\"addr\":\"0x1.0x1\"}' "
	"-chardev "
	"socket,id=charserial0,path=/run/fleetlab/lab/g/@GUEST@/"
	"console.sock,server=on,wait=off,logfile=/run/fleetlab/lab/g/@GUEST@/"
	"console.log,logappend=on "
	"-device "
	"'{\"driver\":\"isa-serial\",\"chardev\":\"charserial0\",\"id\":\"serial0\",\"index\":0}' "
	"-audiodev '{\"id\":\"audio1\",\"driver\":\"none\"}' -device "
	"'{\"driver\":\"virtio-balloon-pci\",\"id\":\"balloon0\",\"bus\":\"pci.1\",\"addr\":"
	"\"0x0\"}' "
	"-object "
	"memory-backend-file,id=ram0,mem-path=/proc/self/fd/100,size=134217728,share=off "
	"-machine memory-backend=ram0 -device "
	"pcie-root-port,id=plug0,chassis=64,addr=0x14,pref64-reserve=512M -device "
	"pcie-root-port,id=plug1,chassis=65,addr=0x15,pref64-reserve=512M -device "
	"virtio-serial-pci,id=ports,addr=0x18 -chardev "
	"socket,id=agent,path=/run/fleetlab/lab/g/@GUEST@/agent.sock,server=on,wait=off "
	"-device "
	"virtserialport,bus=ports.0,chardev=agent,name=org.qemu.guest_agent.0 "
	"-chardev "
	"socket,id=control,path=/run/fleetlab/lab/g/@GUEST@/control.sock,server=on,wait=off "
	"-device "
	"virtserialport,bus=ports.0,chardev=control,name=org.fleetlab.control.0 "
	"-chardev "
	"socket,id=flmon,path=/run/fleetlab/lab/g/@GUEST@/qmp.sock,server=on,wait=off "
	"-mon chardev=flmon,mode=control -netdev "
	"tap,id=net0,ifname=@GUEST@n0,script=no,downscript=no -device "
	"virtio-net-pci,id=nic0,netdev=net0,mac=52:54:00:ff:ff:ff,romfile=,addr=0x10 "
	"-sandbox "
	"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny "
	"-msg timestamp=on";

static const char *word(const json_t *argv, size_t i)
{
	const char *text = json_string_value(json_array_get(argv, i));

	return text ? text : "";
}

/* Is `option` there with a value that begins so? */
static bool has(const json_t *argv, const char *option, const char *value)
{
	for (size_t i = 0; i < json_array_size(argv); i++) {
		if (strcmp(word(argv, i), option) == 0 &&
			strncmp(word(argv, i + 1), value, strlen(value)) == 0)
			return true;
	}
	return false;
}

static void what_was_the_templates_own_is_gone(void **state)
{
	(void)state;
	_cleanup_json_ json_t *argv = NULL;
	_cleanup_free_ char *text = NULL;

	assert_ok(clone_argv(native, &argv));
	assert_string_equal(word(argv, 0), "/usr/bin/qemu-system-x86_64"); /* no environment */
	assert_true(has(argv, "-name", "guest=@GUEST@"));
	assert_false(has(argv, "-S", ""));
	assert_false(has(argv, "-kernel", ""));
	assert_false(has(argv, "-initrd", ""));
	assert_false(has(argv, "-append", ""));
	assert_false(has(argv, "-object", "{\"qom-type\":\"secret\""));
	assert_false(has(argv, "-chardev", "socket,id=charmonitor,"));
	assert_false(has(argv, "-chardev", "socket,id=flmon,"));
	assert_false(has(argv, "-mon", "chardev=charmonitor,"));
	text = json_dumps(argv, 0);
	assert_null(strstr(text, "/lv/")); /* nothing of libvirt's directories */
	assert_null(strstr(text, "master-key"));
	assert_null(strstr(text, "tsc=reliable")); /* nor a value left over */
}

/* The machine itself must be the template's to the last device, or its state will not fit. */
static void the_machine_stays(void **state)
{
	(void)state;
	static const struct {
		const char *option, *value;
	} kept[] = {{"-machine", "pc-q35-7.2,"}, {"-machine", "memory-backend=ram0"},
		{"-accel", "tcg"}, {"-cpu", "qemu64"}, {"-m", "128"}, {"-smp", "1,maxcpus=2"},
		{"-uuid", "1e731246-"}, {"-object", "memory-backend-file,id=ram0,"},
		{"-device", "{\"driver\":\"virtio-balloon-pci\""},
		{"-chardev", "socket,id=agent,path="}, {"-chardev", "socket,id=control,path="},
		{"-chardev", "socket,id=charserial0,"}, {"-mon", "chardev=flmon,mode=control"},
		{"-device", "virtio-net-pci,id=nic0,"}, {"-msg", "timestamp=on"}};
	_cleanup_json_ json_t *argv = NULL;
	const char *p = native;
	size_t devices = 0, its_devices = 0;

	assert_ok(clone_argv(native, &argv));
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (!has(argv, kept[i].option, kept[i].value))
			fail_msg("%s %s… is lost", kept[i].option, kept[i].value);
	}
	for (; (p = strstr(p, " -device ")); p++)
		devices++;
	for (size_t i = 0; i < json_array_size(argv); i++)
		its_devices += strcmp(word(argv, i), "-device") == 0;
	assert_int_equal(devices, its_devices);
}

/* Two clones, and two seats of one, differ in nothing but what must differ. */
static void a_clone_gets_what_is_its_own(void **state)
{
	(void)state;
	static const struct nic_spec nics[] = {{"lan", "virtio-net-pci"}};
	_cleanup_json_ json_t *template = NULL;
	struct guest_spec spec = {.name = "g3",
		.mac_number = 4,
		.uuid = "00000000-0000-4000-8000-000000000003",
		.ram = RAM_COPY,
		.accelerator = "tcg",
		.movable = true,
		.memory_bytes = 134217728,
		.nics = nics,
		.nic_count = 1};

	assert_ok(clone_argv(native, &template));
	json_array_append_new(template, json_string("-x"));
	json_array_append_new(template, json_string("a/@GUEST@@SEAT@/b,@GUEST@n0@SIDE@"));
	_cleanup_json_ json_t *first = clone_fill(template, &spec);

	assert_true(has(first, "-x", "a/g3/b,g3n0"));
	assert_true(has(first, "-uuid", spec.uuid));
	assert_true(
		has(first, "-object", "memory-backend-file,id=ram0,mem-path=/proc/self/fd/100,"));
	assert_true(
		has(first, "-device", "virtio-net-pci,id=nic0,netdev=net0,mac=52:54:00:00:00:04,"));
	spec.seat = 1;
	spec.ram = RAM_SHARED;
	spec.ram_path = "/r";
	_cleanup_json_ json_t *moved = clone_fill(template, &spec);

	assert_true(has(moved, "-x", "a/g3.1/b,g3n0b"));
	assert_true(has(moved, "-object",
		"memory-backend-file,id=ram0,mem-path=/r,size=134225920,share=on"));
	spec.ram = RAM_PRIVATE;
	_cleanup_json_ json_t *copied = clone_fill(template, &spec);

	assert_true(has(copied, "-object", "memory-backend-ram,id=ram0,size=134225920"));
	assert_int_equal(json_array_size(copied), json_array_size(template));
	_cleanup_free_ char *text = json_dumps(moved, 0);

	assert_null(strchr(text, '@'));
}

static void odd_command_lines_are_survived(void **state)
{
	(void)state;
	_cleanup_json_ json_t *quoted = NULL;
	_cleanup_json_ json_t *cut = NULL;
	_cleanup_json_ json_t *bare = NULL;
	json_t *untouched = NULL;

	assert_ok(clone_argv("A=1 B='2 3' /qemu -x 'a b' \"c\\\"d\" ''", &quoted));
	assert_int_equal(json_array_size(quoted), 5);
	assert_string_equal(word(quoted, 2), "a b");
	assert_string_equal(word(quoted, 3), "c\"d");
	assert_string_equal(word(quoted, 4), "");
	assert_ok(clone_argv("/qemu -x -kernel", &cut)); /* an option without its value */
	assert_int_equal(json_array_size(cut), 2);
	assert_ok(clone_argv("A=1", &bare));
	assert_int_equal(json_array_size(bare), 0);
	assert_fails(clone_argv("/qemu 'open", &untouched), ERROR_INTERNAL, "cannot parse");
	assert_null(untouched);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_the_templates_own_is_gone),
		cmocka_unit_test(the_machine_stays),
		cmocka_unit_test(a_clone_gets_what_is_its_own),
		cmocka_unit_test(odd_command_lines_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
