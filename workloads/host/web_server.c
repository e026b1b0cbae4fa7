/* Apache in a guest: see web.h. Must not rely on what a package's maintainer scripts would have
 * done: in a tiny guest they have not run. */
#include "harness/base/fs.h"
#include "workloads/host/web.h"

#include <string.h>

#define ROOT "/run/fleetlab-web"

const char *const web_packages[] = {"apache2-bin", NULL};

/* The event MPM and static files, nothing else. */
static const char configuration[] =
	"ServerRoot " ROOT "\n"
	"DefaultRuntimeDir " ROOT "\n"
	"PidFile " ROOT "/apache2.pid\n"
	"ErrorLog " ROOT "/error.log\n"
	"ServerName localhost\n"
	"Listen 80\n"
	"User nobody\n"
	"Group nogroup\n"
	"LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n"
	"LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n"
	"StartServers 1\n"
	"ServerLimit 2\n"
	"ThreadsPerChild 25\n"
	"MaxRequestWorkers 50\n"
	"MaxKeepAliveRequests 0\n"
	"DocumentRoot " ROOT "/documents\n";

static struct error *run(
	struct agent *agent, const char *guest, const char *command, struct deadline deadline)
{
	const char *const argv[] = {"/bin/sh", "-c", command, NULL};
	_cleanup_(exec_result_deinit) struct exec_result result = {0};

	try_(agent_exec(agent, argv, NULL, 0, deadline, &result));
	if (result.exit_status == 0)
		return NULL;
	return error_hint(error_new(ERROR_GUEST, "cannot start Apache in %s: status %d: %s%s",
				  guest, result.exit_status, result.errors, result.output),
		"the image needs the package %s", web_packages[0]);
}

struct error *web_serve(
	struct agent *agent, const char *guest, size_t document_bytes, struct deadline deadline)
{
	size_t size = document_bytes ? document_bytes : WEB_DOCUMENT_BYTES;
	_cleanup_free_ char *document = malloc(size);

	if (!document)
		abort();
	for (size_t i = 0; i < size; i++)
		document[i] = (char)(i % 64 == 63 ? '\n' : 'a' + i % 26);
	try_(run(agent, guest, "mkdir -p " ROOT "/documents", deadline));
	try_(agent_file_write(
		agent, ROOT "/apache2.conf", configuration, strlen(configuration), deadline));
	try_(agent_file_write(agent, ROOT "/documents" WEB_DOCUMENT, document, size, deadline));
	/* Returns once its sockets listen. What it prints goes to a file, for the server would keep
	 * the agent's pipes open. */
	return run(agent, guest,
		"apache2 -f " ROOT "/apache2.conf -k start >" ROOT "/start.log 2>&1 || "
		"{ cat " ROOT "/start.log; exit 1; }",
		deadline);
}
