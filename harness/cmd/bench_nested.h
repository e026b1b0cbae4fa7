/* The part of `fleetlab bench` that is about guests inside guests. */
#pragma once

#include "harness/base/error.h"

struct error *bench_nested(void);
