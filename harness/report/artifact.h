/*
 * The README of an exported run, in the manner of an artifact-evaluation appendix: what is in the
 * archive, how to look at it, and for every claim one command with the time and the disk that it
 * takes; the whole report follows.
 */
#pragma once

#include "harness/report/report.h"

struct artifact {
	const struct record *record;
	const char *archive; /* the archive's file name, without directories */
	/* [{"name", "hash", "bytes", "manifest": file in the archive}]: bytes and manifest are
	 * absent for an image that this host does not have any more. */
	const json_t *images;
	size_t logs; /* files beside record and journal */
	bool journal;
};

struct error *artifact_readme(const struct artifact *artifact, FILE *out);
