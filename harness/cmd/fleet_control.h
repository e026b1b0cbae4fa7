/*
 * Fleets that live on between commands (`fleet up`): a lab in the background whose keeper answers
 * JSON lines on a socket in fs_runtime_dir()/fleets/NAME.sock. Requests: status {"guests":
 * [fleet_guest_status()], …} exec   guest, argv, input, timeout_ms
 * {"exit_status", "output", "errors"} (base64) console guest                   {}, then the
 * connection is the guest's serial console down                            {} and the lab ends
 */
#pragma once

#include "harness/base/jsonline.h"
#include "harness/fleet/fleet.h"

/* Serves requests until `down`; the keeper's main loop. `fleet` is borrowed. */
struct error *fleet_control_serve(int listen_fd, struct fleet *fleet, const json_t *about);

/* Path of a running fleet's socket; caller frees. */
char *fleet_control_path(const char *name);

/* Beside it: where `up` notes the pid of the lab's first process, so that `down` can wait for its
 * end; caller frees. */
char *fleet_control_note(const char *name);

/* Connects to the fleet `name`. An unknown name is ERROR_USAGE with the remedy. */
struct error *fleet_control_connect(const char *name, struct jsonline *connection);

/* Asks; takes over `request`. `answer` (may be NULL) is owned by the caller. */
struct error *fleet_control_request(
	struct jsonline *connection, json_t *request, struct deadline deadline, json_t **answer);

/* Calls `body` for every fleet's socket, served or not. */
void fleet_control_each_socket(
	void (*body)(const char *path, const char *name, void *context), void *context);

/* Names of the fleets whose keeper answers, as an array of strings; stale sockets are left out. */
struct error *fleet_control_list(json_t **names);

/* Removes sockets that nobody serves, with their notes; *removed counts them. */
struct error *fleet_control_sweep(size_t *removed);
