/* The estimate of memory traffic: see traffic.h. Pure. */
#include "mechanisms/zerocopy/traffic.h"

#include <math.h>

struct traffic traffic_estimate(
	enum traffic_path path, uint64_t sent_bytes, uint64_t digest_bytes, uint64_t memory_bytes)
{
	static const struct {
		double source, destination, total;
	} touches[] = {
		[TRAFFIC_UNIX] = {2, 4, 6},
		[TRAFFIC_TWO_MACHINES] = {6, 7, 13},
		[TRAFFIC_NESTED] = {NAN, NAN, 14},
		[TRAFFIC_NESTED_PARAVIRTUAL] = {NAN, NAN, 10},
		[TRAFFIC_CHANNEL] = {4, 6, 10},
	};
	double sent = (double)sent_bytes / (double)memory_bytes;
	double digest = (double)digest_bytes / (double)memory_bytes;

	return (struct traffic){
		.source = touches[path].source * sent + digest / 2,
		.destination = touches[path].destination * sent + digest / 2,
		.total = touches[path].total * sent + digest,
	};
}
