/* What kind of file the user has given as an image. */
#pragma once

#include "harness/base/error.h"

enum from_format { FROM_QCOW2, FROM_TARBALL };

/* By content, never by name. */
struct error *from_detect(const char *path, enum from_format *format);
