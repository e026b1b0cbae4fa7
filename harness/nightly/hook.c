/* Telling people: see hook.h. */
#include "harness/nightly/hook.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/base/words.h"
#include "harness/record/samples.h"

#include <string.h>

#define MOST_OUTPUT (1 << 20)

static char *why_failed(struct error *err, const struct process_result *result)
{
	char *why;

	if (err) {
		why = format_string("%.1000s", error_message(err));
		error_destroy(err);
		return why;
	}
	return format_string("exit status %d: %.1000s", result->exit_status, result->errors);
}

void hook_run(const struct hook *hook, json_t *night)
{
	_cleanup_(process_result_deinit) struct process_result result = {0};
	_cleanup_(words_deinit) struct words words = {0};
	const json_t *totals = json_object_get(night, "totals");
	_cleanup_free_ char *why = NULL;
	json_t *said = json_pack("{s:s, s:b}", "command", hook->command, "ok", 1);

	words_add(&words, "env");
	words_add(&words, "FLEETLAB_NIGHT_ID=%s", json_text(night, "id"));
	words_add(&words, "FLEETLAB_NIGHT_STATE=%s", json_text(night, "state"));
	words_add(&words, "FLEETLAB_NIGHT_EXIT=%.0f", json_number(night, "exit_status", 1));
	words_add(&words, "FLEETLAB_NIGHT_HEADLINE=%s", hook->headline);
	words_add(&words, "FLEETLAB_NIGHT_REGRESSIONS=%.0f", json_number(totals, "regressions", 0));
	words_add(&words, "FLEETLAB_NIGHT_RECORD=%s", hook->record);
	words_add(&words, "FLEETLAB_NIGHT_MARKDOWN=%s", hook->markdown);
	words_add(&words, "FLEETLAB_NIGHT_HTML=%s", hook->html);
	words_add(&words, "FLEETLAB_NIGHT_JUNIT=%s", hook->junit);
	words_add(&words, "sh");
	words_add(&words, "-c");
	words_add(&words, "%s", hook->command);
	struct error *err = process_run(words_argv(&words), hook->summary, MOST_OUTPUT,
		deadline_after_ms(HOOK_DEADLINE_S * 1000), &result);

	if (err || result.exit_status != 0) {
		why = why_failed(err, &result);
		for (size_t length = strlen(why); length > 0 && why[length - 1] == '\n';)
			why[--length] = '\0';
		for (char *p = why; *p; p++)
			*p = *p == '\n' ? ' ' : *p;
		json_object_set_new(said, "ok", json_false());
		json_object_set_new(said, "reason", json_string(why));
	}
	json_object_set_new(night, "hook", said);
}
