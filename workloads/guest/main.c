/*
 * The program that runs inside guests: one static multi-call binary. Finds the command and calls
 * it. Must depend on nothing in the guest but its kernel.
 */
#include <stdio.h>
#include <string.h>

#include "workloads/guest/command.h"
#include "workloads/guest/json.h"

#ifndef GUEST_VERSION
#define GUEST_VERSION "unversioned"
#endif

static void command_version(int argc, char **argv)
{
	options_parse(&(struct option_row){0}, argc, argv);
	json_text("program", "fleetlab-guest");
	json_text("version", GUEST_VERSION);
	json_print();
}

static const struct command commands[] = {
	{"await", "[--] PROGRAM [ARGUMENT…]", "run a program when the host opens the barrier",
		command_await},
	{"later", "", "run a command of this program that the host names later", command_later},
	{"personalise", "[--name N] [--interface I --mac M --address A/P]… …",
		"give this guest its own name, addresses, entropy and clock", command_personalise},
	{"shm-pingpong", "--role a|b [--ints N | --sweep N,…] [--mode polling|doorbell] …",
		"ints there and back through a shared region", command_shm_pingpong},
	{"shm-handoff", "--role a|b [--mode polling|doorbell] …",
		"a pointer there and back through a shared region", command_shm_handoff},
	{"shm-pointers", "--role build|walk [--append N] …",
		"pointer structures that several guests walk and change", command_shm_pointers},
	{"shm-poke", "[--offset N] [--value V]", "write one word into a region, permitted or not",
		command_shm_poke},
	{"shm-threads", "--member I --members M [--limit N] …",
		"an application whose threads are guests", command_shm_threads},
	{"shm-members", "", "who is in a shared region", command_shm_members},
	{"shm-selftest", "--member I --members M [--rounds N] …",
		"mutex, semaphore, barrier and channel under load", command_shm_selftest},
	{"tcp-pingpong", "--role server|client [--host A --port P] [--nodelay] …",
		"the same ints over TCP", command_tcp_pingpong},
	{"udp-pingpong", "--role server|client [--host A --port P] …", "the same ints over UDP",
		command_udp_pingpong},
	{"switch-cost", "[--calls N] [--runs R]", "what a system call costs", command_switch_cost},
	{"clock-gap", "[--seconds S]", "how long this guest stood still", command_clock_gap},
	{"collect", "--pid P --output FILE [--wait]",
		"end a command in the background and print its result", command_collect},
	{"dirty", "[--mib M | --percent P] [--rate R] …", "write to memory at a given rate",
		command_dirty},
	{"disk-check", "--run N --acknowledged N [--device D] …",
		"is all there that a disk has acknowledged?", command_disk_check},
	{"disk-write", "[--device D] [--mib M] [--rate R] …",
		"write numbered blocks to a disk and count those acknowledged", command_disk_write},
	{"echo", "[--port P] [--seconds S] …", "answer datagrams and serve a steady stream",
		command_echo},
	{"fill", "[--mib M | --percent P] [--verify PID] …",
		"fill memory with pages that all differ, and keep them", command_fill},
	{"wait-device", "[--vendor V] [--device D] [--count N]",
		"return when a plugged-in PCI device is there", command_wait_device},
	{"version", "", "print the version", command_version},
};

static void print_usage(FILE *stream)
{
	fputs("usage: fleetlab-guest COMMAND [options]   (COMMAND --help lists the options)\n",
		stream);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(stream, "  %-13s %s\n  %-13s   %s\n", commands[i].name,
			commands[i].arguments, "", commands[i].summary);
}

void run_command(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[0], commands[i].name) == 0) {
			commands[i].run(argc, argv);
			return;
		}
	}
	print_usage(stderr);
	die("there is no command '%s'", argv[0]);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return 1;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return 0;
	}
	run_command(argc - 1, argv + 1);
	return 0;
}
