/* Throughput of TCP between two places by iperf3 (paper D, 5.2). */
#pragma once

#include "workloads/host/place.h"

#include <jansson.h>

struct iperf_spec {
	const struct place *client, *server;
	const char *listen_address; /* where the server listens, as it sees it */
	uint16_t listen_port;
	const char *connect_address; /* where the client connects: there, or at a tunnel's entry */
	uint16_t connect_port;
	double seconds; /* of sending, more than 0; a first second is left out of the result */
};

/* What the client has sent and the server received. Owned by the caller: `report` is iperf3's own
 * JSON, as the client printed it. */
struct iperf_result {
	double mbit_s; /* received payload, 10^6 bits a second */
	double received_bytes;
	json_t *report;
};

/* Runs both sides once. */
struct error *iperf_run(
	const struct iperf_spec *spec, struct deadline deadline, struct iperf_result *result);
