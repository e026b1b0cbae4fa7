/* Interrupts by the clock. Each test is a process of its own: what has interrupted it stays. */
#include "harness/base/test/support.h"
#include "harness/base/test/child.h"

#include "harness/engine/interrupt.h"

#include <dlfcn.h>
#include <poll.h>
#include <signal.h>

/* Timers as they are asked for; in place of the C library's. */
static struct asked {
	clockid_t clock;
	int flags;
	time_t seconds;
} asked[4];
static size_t asked_count;

int timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
	int (*real)(clockid_t, struct sigevent *, timer_t *) = dlsym(RTLD_NEXT, "timer_create");

	asked[asked_count].clock = clock;
	return real(clock, event, timer);
}

int timer_settime(timer_t timer, int flags, const struct itimerspec *value, struct itimerspec *old)
{
	int (*real)(timer_t, int, const struct itimerspec *, struct itimerspec *) =
		dlsym(RTLD_NEXT, "timer_settime");

	asked[asked_count].flags = flags;
	asked[asked_count++].seconds = value->it_value.tv_sec;
	return real(timer, flags, value, old);
}

static bool comes(void)
{
	struct deadline deadline = deadline_after_ms(TEST_TIMEOUT_MS);
	struct pollfd pfd = {.fd = interrupt_fd(), .events = POLLIN};

	while (!interrupted() && !deadline_passed(deadline))
		poll(&pfd, 1, deadline_left_ms(deadline));
	return interrupted_by_time();
}

/* Both timers fire, and the process is there afterwards. */
static int at_once(void)
{
	interrupt_catch();
	if (interrupt_at(time(NULL) - 1) || !comes())
		return 1;
	raise(SIGALRM);
	raise(SIGALRM);
	return 0;
}

static int at_an_hour(void)
{
	interrupt_catch();
	if (interrupt_at(time(NULL) + 3600) || interrupted())
		return 1;
	return interrupt_at(time(NULL) + 1) || !comes() ? 2 : 0;
}

/* That a clock is set and that a host sleeps cannot be tried here: the kernel's clocks know. */
static int by_both_clocks(void)
{
	time_t when = time(NULL) + 3600;
	bool by_hour = false, by_duration = false;

	interrupt_catch();
	if (interrupt_at(when))
		return 1;
	for (size_t i = 0; i < asked_count; i++) {
		by_hour = by_hour ||
			  (asked[i].clock == CLOCK_REALTIME && asked[i].flags == TIMER_ABSTIME &&
				  asked[i].seconds == when);
		by_duration =
			by_duration || (asked[i].clock == CLOCK_BOOTTIME && asked[i].flags == 0 &&
					       asked[i].seconds <= 3600 && asked[i].seconds > 0);
	}
	return by_hour && by_duration ? 0 : 2;
}

static void an_hour_that_has_passed_interrupts_at_once(void **state)
{
	(void)state;
	in_a_child(at_once);
}

static void an_hour_interrupts(void **state)
{
	(void)state;
	in_a_child(at_an_hour);
}

static void neither_a_set_clock_nor_sleep_defers_it(void **state)
{
	(void)state;
	in_a_child(by_both_clocks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_hour_that_has_passed_interrupts_at_once),
		cmocka_unit_test(an_hour_interrupts),
		cmocka_unit_test(neither_a_set_clock_nor_sleep_defers_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
