/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of a request's way: /sys/kernel/tracing/events/vhost_blk. The signal
 * that ends it is the core's, vhost_storage:vstor_signal.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vhost_blk

#if !defined(_VHOST_BLK_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _VHOST_BLK_TRACE_H

#include <linux/tracepoint.h>
#include "vhost_blk.h"

TRACE_DEFINE_ENUM(VHOST_BLK_UNKNOWN);
TRACE_DEFINE_ENUM(VHOST_BLK_READ);
TRACE_DEFINE_ENUM(VHOST_BLK_WRITE);
TRACE_DEFINE_ENUM(VHOST_BLK_FLUSH);
TRACE_DEFINE_ENUM(VHOST_BLK_GET_ID);
TRACE_DEFINE_ENUM(VHOST_BLK_DISCARD);
TRACE_DEFINE_ENUM(VHOST_BLK_WRITE_ZEROES);
TRACE_DEFINE_ENUM(VHOST_BLK_SECURE_ERASE);
TRACE_DEFINE_ENUM(VHOST_BLK_ZONE_APPEND);
TRACE_DEFINE_ENUM(VHOST_BLK_ZONE_REPORT);
TRACE_DEFINE_ENUM(VHOST_BLK_ZONE_OPEN);
TRACE_DEFINE_ENUM(VHOST_BLK_ZONE_CLOSE);
TRACE_DEFINE_ENUM(VHOST_BLK_ZONE_FINISH);
TRACE_DEFINE_ENUM(VHOST_BLK_ZONE_RESET);
TRACE_DEFINE_ENUM(VHOST_BLK_ZONE_RESET_ALL);

#define vhost_blk_trace_op(op)					\
	__print_symbolic(op,					\
		{ VHOST_BLK_UNKNOWN, "unknown" },		\
		{ VHOST_BLK_READ, "read" },			\
		{ VHOST_BLK_WRITE, "write" },			\
		{ VHOST_BLK_FLUSH, "flush" },			\
		{ VHOST_BLK_GET_ID, "get_id" },			\
		{ VHOST_BLK_DISCARD, "discard" },		\
		{ VHOST_BLK_WRITE_ZEROES, "write_zeroes" },	\
		{ VHOST_BLK_SECURE_ERASE, "secure_erase" },	\
		{ VHOST_BLK_ZONE_APPEND, "zone_append" },	\
		{ VHOST_BLK_ZONE_REPORT, "zone_report" },	\
		{ VHOST_BLK_ZONE_OPEN, "zone_open" },		\
		{ VHOST_BLK_ZONE_CLOSE, "zone_close" },		\
		{ VHOST_BLK_ZONE_FINISH, "zone_finish" },	\
		{ VHOST_BLK_ZONE_RESET, "zone_reset" },		\
		{ VHOST_BLK_ZONE_RESET_ALL, "zone_reset_all" })

/* A request was taken off the ring; @status is not 0 where it ends here. */
TRACE_EVENT(vhost_blk_intake,
	TP_PROTO(struct vhost_blk_req *req, unsigned int status),
	TP_ARGS(req, status),
	TP_STRUCT__entry(
		__field(unsigned int, device)
		__field(unsigned int, vq)
		__field(unsigned int, head)
		__field(unsigned int, op)
		__field(u64, sector)
		__field(unsigned int, bytes)
		__field(unsigned int, status)
	),
	TP_fast_assign(
		__entry->device = req->cmd.svq->number;
		__entry->vq = req->cmd.svq->index;
		__entry->head = req->cmd.head;
		__entry->op = req->command.op;
		__entry->sector = req->command.sector;
		__entry->bytes = req->command.bytes;
		__entry->status = status;
	),
	TP_printk("device=%u vq=%u head=%u %s sector=%llu bytes=%u status=%u",
		  __entry->device, __entry->vq, __entry->head,
		  vhost_blk_trace_op(__entry->op), __entry->sector, __entry->bytes,
		  __entry->status)
);

/* Its bios, of which there may be none, go to the backend. */
TRACE_EVENT(vhost_blk_submit,
	TP_PROTO(struct vhost_blk_req *req),
	TP_ARGS(req),
	TP_STRUCT__entry(
		__field(unsigned int, device)
		__field(unsigned int, vq)
		__field(unsigned int, head)
		__field(unsigned int, bios)
		__field(bool, bounced)
	),
	TP_fast_assign(
		struct vhost_blk_bio *bio;

		__entry->device = req->cmd.svq->number;
		__entry->vq = req->cmd.svq->index;
		__entry->head = req->cmd.head;
		__entry->bios = 0;
		for (bio = req->bios; bio; bio = bio->next)
			__entry->bios++;
		__entry->bounced = req->pages == VHOST_BLK_BOUNCED;
	),
	TP_printk("device=%u vq=%u head=%u bios=%u bounced=%d", __entry->device,
		  __entry->vq, __entry->head, __entry->bios, __entry->bounced)
);

/* It has ended: @error is the backend's (a blk_status_t), status the guest's. */
TRACE_EVENT(vhost_blk_complete,
	TP_PROTO(struct vhost_blk_req *req),
	TP_ARGS(req),
	TP_STRUCT__entry(
		__field(unsigned int, device)
		__field(unsigned int, vq)
		__field(unsigned int, head)
		__field(unsigned int, status)
		__field(unsigned int, error)
	),
	TP_fast_assign(
		__entry->device = req->cmd.svq->number;
		__entry->vq = req->cmd.svq->index;
		__entry->head = req->cmd.head;
		__entry->status = req->status;
		__entry->error = (__force unsigned int)req->bio_status;
	),
	TP_printk("device=%u vq=%u head=%u status=%u error=%u", __entry->device,
		  __entry->vq, __entry->head, __entry->status, __entry->error)
);

#endif /* _VHOST_BLK_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
