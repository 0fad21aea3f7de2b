// SPDX-License-Identifier: GPL-2.0
/* The trace points' code; all files but this one only have their declarations. */
#include "vhost_blk.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
