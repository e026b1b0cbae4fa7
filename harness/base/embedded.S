/* Files compiled into the binary, as a table of struct embedded_file; embedded.h declares it. */
#define EMBED(name, file)                                                                          \
	.section .rodata;                                                                          \
	.balign 16;                                                                                \
	1 : .incbin file;                                                                          \
	2 : .byte 0;                                                                               \
	3 : .asciz name;                                                                           \
	.section .data.rel.ro, "aw";                                                               \
	.quad 3b, 1b, 2b - 1b

	.section .data.rel.ro, "aw"
	.balign 8
	.global embedded_files
embedded_files:

EMBED("fleetlab-guest", "build/guest/fleetlab-guest")
EMBED("tiny-init/init", "workloads/tiny-init/init")
EMBED("tiny-init/load-modules", "workloads/tiny-init/load-modules")
EMBED("tiny-init/agent", "workloads/tiny-init/agent")
EMBED("tiny-init/shutdown", "workloads/tiny-init/shutdown")
EMBED("tiny-init/l1-setup", "workloads/tiny-init/l1-setup")
EMBED("tiny-init/disk-init", "workloads/tiny-init/disk-init")
EMBED("papers/A.json", "results/papers/A.json")
EMBED("papers/B.json", "results/papers/B.json")
EMBED("papers/C.json", "results/papers/C.json")
EMBED("papers/D.json", "results/papers/D.json")
EMBED("papers/E.json", "results/papers/E.json")
EMBED("papers/null.json", "results/papers/null.json")
EMBED("schema/paper.schema.json", "results/schema/paper.schema.json")
EMBED("schema/run.schema.json", "results/schema/run.schema.json")
EMBED("schema/night.schema.json", "results/schema/night.schema.json")
EMBED("report/night.html", "harness/report/night.html")
/* the dashboard's pages, whose names dashboard/web/build.js makes */
#include "build/web/files.S"

	.section .data.rel.ro, "aw"
	.global embedded_files_end
embedded_files_end:
	.section .note.GNU-stack, "", @progbits
