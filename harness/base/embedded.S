/* Files compiled into the binary; embedded.h declares them. */
#define EMBED(name, file)                                                                          \
	.section .rodata;                                                                          \
	.balign 16;                                                                                \
	.global name##_start;                                                                      \
	name##_start : .incbin file;                                                               \
	.global name##_end;                                                                        \
	name##_end : .byte 0;

EMBED(embedded_guest, "build/guest/fleetlab-guest")
EMBED(embedded_tiny_init, "workloads/tiny-init/init")
EMBED(embedded_tiny_load_modules, "workloads/tiny-init/load-modules")
EMBED(embedded_tiny_agent, "workloads/tiny-init/agent")
EMBED(embedded_tiny_shutdown, "workloads/tiny-init/shutdown")
EMBED(embedded_l1_setup, "workloads/tiny-init/l1-setup")
EMBED(embedded_tiny_disk_init, "workloads/tiny-init/disk-init")
EMBED(embedded_paper_A, "results/papers/A.json")
EMBED(embedded_paper_B, "results/papers/B.json")
EMBED(embedded_paper_C, "results/papers/C.json")
EMBED(embedded_paper_D, "results/papers/D.json")
EMBED(embedded_paper_E, "results/papers/E.json")
EMBED(embedded_paper_null, "results/papers/null.json")
EMBED(embedded_schema_paper, "results/schema/paper.schema.json")
EMBED(embedded_schema_run, "results/schema/run.schema.json")
EMBED(embedded_schema_night, "results/schema/night.schema.json")
EMBED(embedded_report_night, "harness/report/night.html")
EMBED(embedded_web_index, "build/web/index.html")
EMBED(embedded_web_app_js, "build/web/app.js")
EMBED(embedded_web_app_css, "build/web/app.css")
EMBED(embedded_web_icon, "build/web/icon.svg")

	.section .note.GNU-stack, "", @progbits
