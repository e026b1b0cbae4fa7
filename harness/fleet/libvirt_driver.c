/* The embedded libvirt QEMU driver: see libvirt_driver.h. */
#include "harness/fleet/libvirt_driver.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/host/qemu.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <string.h>
#include <sys/utsname.h>

struct libvirt_driver {
	pthread_mutex_t lock;
	virConnectPtr connection;
	char *root;
	char *cache;
};

char *libvirt_driver_cache_path(const char *cache_dir)
{
	_cleanup_free_ char *qemu = NULL;
	_cleanup_free_ char *identity = NULL;
	struct utsname kernel = {0};
	char hex[33];

	uname(&kernel);
	/* Without any QEMU there is nothing to learn; that is told when a guest is started. */
	error_destroy(qemu_find(QEMU_DEFAULT, &qemu));
	identity = fs_identity(qemu ? qemu : QEMU_DEFAULT);
	fs_hash_bytes(identity, strlen(identity), hex);
	return format_string("%s/libvirt-capabilities-%d-%.16s-%s", cache_dir,
		LIBVIR_VERSION_NUMBER, hex, kernel.release);
}

struct libvirt_driver *libvirt_driver_create(const char *root, const char *cache)
{
	struct libvirt_driver *driver = calloc(1, sizeof(*driver));

	if (!driver)
		abort();
	pthread_mutex_init(&driver->lock, NULL);
	driver->root = format_string("%s", root);
	driver->cache = format_string("%s", cache);
	return driver;
}

void libvirt_driver_destroy(struct libvirt_driver *driver)
{
	if (!driver)
		return;
	if (driver->connection)
		virConnectClose(driver->connection);
	pthread_mutex_destroy(&driver->lock);
	free(driver->root);
	free(driver->cache);
	free(driver);
}

static struct error *last_error(const char *what)
{
	const virError *error = virGetLastError();

	return error_new(ERROR_SETUP, "%s: %s", what,
		error && error->message ? error->message : "libvirt tells no reason");
}

static void ignore_error(void *context, virErrorPtr error)
{
	(void)context;
	(void)error;
}

static void __attribute__((noreturn)) * run_events(void *context)
{
	(void)context;
	for (;;)
		virEventRunDefaultImpl();
}

/* What libvirt learned about QEMU is the same in every lab (its root has always the same path) and
 * costs seconds to learn anew. A copy that does not fit this host is ignored by libvirt itself. */
static void copy_capabilities(const char *from, const char *to)
{
	_cleanup_(process_result_deinit) struct process_result result = {0};
	const char *const argv[] = {"cp", "-r", "-T", from, to, NULL};

	if (access(from, R_OK) < 0)
		return;
	error_destroy(fs_make_dirs(to));
	error_destroy(process_run(argv, NULL, 1 << 16, deadline_after_ms(10000), &result));
}

static struct error *write_configuration(const char *root)
{
	/* Root inside the lab only; no daemon, no cgroups and no device namespaces of libvirt's
	 * own. */
	static const char configuration[] = "user = \"root\"\n"
					    "group = \"root\"\n"
					    "dynamic_ownership = 0\n"
					    "security_driver = \"none\"\n"
					    "stdio_handler = \"file\"\n"
					    "cgroup_controllers = []\n"
					    "namespaces = []\n";
	_cleanup_free_ char *etc = format_string("%s/etc", root);
	_cleanup_free_ char *file = format_string("%s/qemu.conf", etc);

	try_(fs_make_dirs(etc));
	return fs_write_atomic(file, configuration, strlen(configuration));
}

static struct error *open_connection(struct libvirt_driver *driver)
{
	_cleanup_free_ char *uri = format_string("qemu:///embed?root=%s", driver->root);
	_cleanup_free_ char *capabilities =
		format_string("%s/cache/qemu/capabilities", driver->root);
	pthread_t thread;

	try_(write_configuration(driver->root));
	copy_capabilities(driver->cache, capabilities);
	/* Its warnings (tainted domains and the like) are not for the user; errors come back as
	 * such. */
	setenv("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null", 0);
	virSetErrorFunc(NULL, ignore_error);
	if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
		return last_error("cannot start libvirt");
	if (pthread_create(&thread, NULL, run_events, NULL) != 0)
		return error_new(ERROR_SETUP, "cannot start libvirt's event thread");
	pthread_detach(thread);
	driver->connection = virConnectOpen(uri);
	if (!driver->connection)
		return error_hint(last_error("cannot open libvirt's embedded QEMU driver"),
			"fleetlab doctor");
	return NULL;
}

static struct error *connected(struct libvirt_driver *driver)
{
	struct error *err = NULL;

	pthread_mutex_lock(&driver->lock);
	if (!driver->connection)
		err = open_connection(driver);
	pthread_mutex_unlock(&driver->lock);
	return err;
}

/* Two labs may do this at once: each fills a directory of its own, the first rename wins. */
static void keep_capabilities(struct libvirt_driver *driver)
{
	_cleanup_free_ char *capabilities =
		format_string("%s/cache/qemu/capabilities", driver->root);
	_cleanup_free_ char *staging = format_string("%s.XXXXXX", driver->cache);

	if (access(driver->cache, F_OK) == 0 || !mkdtemp(staging))
		return;
	copy_capabilities(capabilities, staging);
	if (rename(staging, driver->cache) < 0)
		error_destroy(fs_remove_tree(staging));
}

struct error *libvirt_driver_start(
	struct libvirt_driver *driver, const char *name, const char *xml, bool paused, pid_t *pid)
{
	_cleanup_free_ char *pid_path = format_string("%s/run/qemu/%s.pid", driver->root, name);
	virDomainPtr domain;

	try_(connected(driver));
	domain = virDomainCreateXML(driver->connection, xml, paused ? VIR_DOMAIN_START_PAUSED : 0);
	if (!domain)
		return error_prefix(last_error("libvirt"), "cannot start guest %s", name);
	virDomainFree(domain);
	keep_capabilities(driver);
	_cleanup_free_ char *text = fs_read_line(pid_path);

	if (!text || atoi(text) <= 0)
		return error_new(ERROR_SETUP, "guest %s has no pid in %s", name, pid_path);
	*pid = atoi(text);
	return NULL;
}

struct error *libvirt_driver_native(struct libvirt_driver *driver, const char *xml, char **native)
{
	char *text;

	try_(connected(driver));
	text = virConnectDomainXMLToNative(driver->connection, "qemu-argv", xml, 0);
	if (!text)
		return last_error("libvirt cannot form QEMU's command line");
	*native = text;
	return NULL;
}
