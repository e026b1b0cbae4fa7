/* Files compiled into the binary: see embedded.h. */
#include "harness/base/embedded.h"

#include <string.h>

#define FILES(X)                                                                                   \
	X(guest, "fleetlab-guest")                                                                 \
	X(tiny_init, "tiny-init/init")                                                             \
	X(tiny_load_modules, "tiny-init/load-modules")                                             \
	X(tiny_agent, "tiny-init/agent")                                                           \
	X(tiny_shutdown, "tiny-init/shutdown")                                                     \
	X(l1_setup, "tiny-init/l1-setup")                                                          \
	X(tiny_disk_init, "tiny-init/disk-init")                                                   \
	X(paper_A, "papers/A.json")                                                                \
	X(paper_B, "papers/B.json")                                                                \
	X(paper_C, "papers/C.json")                                                                \
	X(paper_D, "papers/D.json")                                                                \
	X(paper_E, "papers/E.json")                                                                \
	X(paper_null, "papers/null.json")                                                          \
	X(schema_paper, "schema/paper.schema.json")                                                \
	X(schema_run, "schema/run.schema.json")                                                    \
	X(schema_night, "schema/night.schema.json")                                                \
	X(report_night, "report/night.html")                                                       \
	X(web_index, "web/index.html")                                                             \
	X(web_app_js, "web/app.js")                                                                \
	X(web_app_css, "web/app.css")                                                              \
	X(web_icon, "web/icon.svg")

#define DECLARE(symbol, path)                                                                      \
	extern const char embedded_##symbol##_start[], embedded_##symbol##_end[];
FILES(DECLARE)

const struct embedded_file *embedded_at(size_t index)
{
	static struct embedded_file files[] = {
#define ROW(symbol, path) {path, embedded_##symbol##_start, 0},
		FILES(ROW)};
	static const char *const ends[] = {
#define END(symbol, path) embedded_##symbol##_end,
		FILES(END)};

	if (index >= sizeof(files) / sizeof(files[0]))
		return NULL;
	files[index].size = (size_t)(ends[index] - (const char *)files[index].data);
	return &files[index];
}

const struct embedded_file *embedded_find(const char *name)
{
	const struct embedded_file *file;

	for (size_t i = 0; (file = embedded_at(i)); i++) {
		if (strcmp(file->name, name) == 0)
			return file;
	}
	return NULL;
}
