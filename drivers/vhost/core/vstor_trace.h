/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoints of the core: /sys/kernel/tracing/events/vhost_storage. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vhost_storage

#if !defined(_VSTOR_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _VSTOR_TRACE_H

#include <linux/tracepoint.h>
#include "vhost_storage.h"

/* Used entries went into the ring; did the guest want to be told? */
TRACE_EVENT(vstor_signal,
	TP_PROTO(struct vstor_vq *svq, unsigned int entries, bool signalled),
	TP_ARGS(svq, entries, signalled),
	TP_STRUCT__entry(
		__field(unsigned int, device)
		__field(unsigned int, vq)
		__field(unsigned int, entries)
		__field(bool, signalled)
	),
	TP_fast_assign(
		__entry->device = svq->number;
		__entry->vq = svq->index;
		__entry->entries = entries;
		__entry->signalled = signalled;
	),
	TP_printk("device=%u vq=%u entries=%u signalled=%d", __entry->device,
		  __entry->vq, __entry->entries, __entry->signalled)
);

#endif /* _VSTOR_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE vstor_trace
#include <trace/define_trace.h>
