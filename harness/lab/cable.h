/*
 * A cable to a machine that is a real one: what leaves a link of this lab comes out on the link of
 * the same name in the lab there. At either end a tap on the link's bridge is its plug, and between
 * them a stream carries the frames, each behind its length in two bytes, high one first.
 *
 * A cable that is not fast enough loses frames, at the tap's queue, as an Ethernet does.
 *
 * Call only inside a lab: the plug ends with it.
 */
#pragma once

#include "harness/base/error.h"

/* Puts a plug on a link. The descriptor is the caller's. */
struct error *cable_plug(const char *link, int *tap);

/* Carries frames both ways until the stream ends, or brings what cannot be a frame. Takes over both
 * descriptors. */
void cable_carry(int tap, int stream);
