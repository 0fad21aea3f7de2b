/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost_blk.ko, private: the device and its requests, and what each file gives
 * the others. A request meets the files in this order: queue.c, request.c,
 * bio.c (or ranges.c, zones.c), complete.c. Files call downwards only, in the order
 * of Kbuild.
 */
#ifndef _VHOST_BLK_H
#define _VHOST_BLK_H

#include <linux/blkdev.h>
#include <linux/bio.h>
#include <linux/workqueue.h>
#include <linux/vhost_blk.h>
#include "request.h"
#include "vhost_storage.h"

/* Ring features; the device's own come with the backend, see config.c. */
#define VHOST_BLK_RING_FEATURES					\
	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ANY_LAYOUT) |	\
	 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX))

#define VHOST_BLK_BASE_FEATURES						\
	(VHOST_BLK_RING_FEATURES |					\
	 BIT_ULL(VIRTIO_BLK_F_SIZE_MAX) | BIT_ULL(VIRTIO_BLK_F_SEG_MAX) | \
	 BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) | BIT_ULL(VIRTIO_BLK_F_TOPOLOGY) | \
	 BIT_ULL(VIRTIO_BLK_F_FLUSH) | BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE) | \
	 BIT_ULL(VIRTIO_BLK_F_MQ))

#define VHOST_BLK_FEATURES						\
	(VHOST_BLK_BASE_FEATURES | BIT_ULL(VHOST_F_LOG_ALL) | BIT_ULL(VIRTIO_BLK_F_RO) | \
	 BIT_ULL(VIRTIO_BLK_F_DISCARD) | BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES) | \
	 BIT_ULL(VIRTIO_BLK_F_SECURE_ERASE) | BIT_ULL(VIRTIO_BLK_F_ZONED))

/* What the guest reads is little-endian: VERSION_1 is a must. */
#define cpu_to_blk16(v)	__cpu_to_virtio16(true, v)
#define cpu_to_blk32(v)	__cpu_to_virtio32(true, v)
#define cpu_to_blk64(v)	__cpu_to_virtio64(true, v)

/*
 * Most sectors of a range that is zeroed by writing zeroes: a request of as many such
 * ranges as there may be is within VHOST_BLK_VQ_BYTES.
 */
#define VHOST_BLK_ZERO_SECTORS	((512u << 10) >> 9)

/* Vecs a request has without allocating: small pages for 32 KiB, or 28 KiB unaligned. */
#define VHOST_BLK_INLINE_VECS	8
/* Data of a request beyond that counts as VHOST_BLK_VQ_BYTES says. */
#define VHOST_BLK_SMALL_BYTES	(VHOST_BLK_INLINE_VECS * PAGE_SIZE)
/* Statuses that VIRTIO 5.2.6 has, zones' included. */
#define VHOST_BLK_STATUSES	7
/* Vecs of an allocated bio: with it they fill a page. */
#define VHOST_BLK_BIO_VECS	240
/*
 * Data that the large requests and bounce pages of a vq carry at one time, and zeroes
 * that it writes; a request that would exceed it waits in the ring. No less than one
 * request. It bounds allocated bios, and what a backend's detaching has to wait for.
 */
#define VHOST_BLK_VQ_BYTES	VHOST_BLK_BYTES_MAX

/**
 * struct vhost_blk_backend - an open block device or regular file
 * @file: the caller's open file; keeps @bdev open and carries the right to write
 * @bdev: the device; NULL: @file is a regular file, see file.c
 * @block_size: what sectors and lengths are multiples of, fixed while it is open
 * @addr_mask: bits that must be 0 in the address of guest memory that is to
 *	reach the device unbounced
 * @max_write_zeroes: as it was when it was opened, and as the guest was told: the
 *	device's own may become less
 */
struct vhost_blk_backend {
	struct file *file;
	struct block_device *bdev;
	unsigned int block_size;
	unsigned int addr_mask;
	u32 max_write_zeroes;
};

/**
 * struct vhost_blk_bio - a bio of a request
 * @next: of the same request; bi_next is the block layer's
 * @iocb: where it is sent to a file
 * @bio: its table is behind it, or in the request for the embedded one
 */
struct vhost_blk_bio {
	struct vhost_blk_bio *next;
	struct kiocb iocb;
	struct bio bio;
};

/**
 * enum vhost_blk_pages - whose pages a request's bios carry
 * @VHOST_BLK_PINNED: the guest's, pinned for the request
 * @VHOST_BLK_HELD: the guest's, which stay pinned
 * @VHOST_BLK_BOUNCED: ours, of the request alone
 * @VHOST_BLK_ZERO_PAGES: none, or the kernel's page of zeroes
 */
enum vhost_blk_pages {
	VHOST_BLK_PINNED,
	VHOST_BLK_HELD,
	VHOST_BLK_BOUNCED,
	VHOST_BLK_ZERO_PAGES,
};

/**
 * struct vhost_blk_req - a request in flight; a vq has as many as entries
 * @cmd: the core's part
 * @next_free: while it is free
 * @command: what it is
 * @status_at: where the guest wants the status byte
 * @status: the VIRTIO status, final when the command is done
 * @in: bytes of writable data before the status byte
 * @written: how many of them, from the first on, were written
 * @bytes: what it holds of VHOST_BLK_VQ_BYTES
 * @bios_left: bios whose end_io is to come, and one while submitting
 * @bio_status: the first error of a bio
 * @bios: all bios, in the order of their sectors
 * @iov: the guest's buffers where they are written when it has ended; else NULL
 * @segs: how many they are
 * @pages: what the bios carry
 * @reader: where these are held ones
 * @ranges: of a DISCARD, WRITE_ZEROES, SECURE_ERASE, else NULL
 * @report: of a ZONE_REPORT, else NULL
 * @answer: writes what the guest is to have beside the status byte, or NULL: it has all
 * @work: does what is only done synchronously
 * @sync: what that is
 * @bio: the embedded bio, for what needs no more than @vecs
 * @vecs: its table
 */
struct vhost_blk_req {
	struct vstor_cmd cmd;
	struct vhost_blk_req *next_free;
	struct vhost_blk_command command;
	u8 __user *status_at;
	u8 status;
	enum vhost_blk_pages pages;
	int reader;
	u32 in;
	u32 written;
	u32 bytes;
	atomic_t bios_left;
	blk_status_t bio_status;
	struct vhost_blk_bio *bios;
	struct iovec *iov;
	unsigned int segs;
	struct vhost_blk_ranges *ranges;
	struct virtio_blk_zone_report *report;
	int (*answer)(struct vhost_blk_req *req);
	struct vstor_work work;
	void (*sync)(struct vhost_blk_req *req);
	struct vhost_blk_bio bio;
	struct bio_vec vecs[VHOST_BLK_INLINE_VECS];
};

struct vhost_blk;

/**
 * struct vhost_blk_stats - what a vq's requests were; as struct vstor_stats
 * @requests: of each kind, also those that ended in an error
 * @bytes: their data; what names ranges has none but these, of 16 bytes each
 * @statuses: how many ended in each VIRTIO status
 * @protection: of the errors, those of protection information
 */
struct vhost_blk_stats {
	u64 requests[VHOST_BLK_OPS];
	u64 bytes[VHOST_BLK_OPS];
	u64 statuses[VHOST_BLK_STATUSES];
	u64 protection;
};

/**
 * struct vhost_blk_vq - a request queue
 * @svq: the core's part; its vq's private_data is the backend
 * @blk: the device
 * @reqs: vq->num requests, while there is a backend
 * @free: those that are not in flight
 * @bytes: sum of their @bytes
 * @limits: the backend's, as the present batch found them
 * @stats: see above
 */
struct vhost_blk_vq {
	struct vstor_vq svq;
	struct vhost_blk *blk;
	struct vhost_blk_req *reqs;
	struct vhost_blk_req *free;
	u32 bytes;
	struct vhost_blk_limits limits;
	struct vhost_blk_stats stats;
};

/**
 * struct vhost_blk - an open /dev/vhost-blk
 * @dev: what vhost knows of it
 * @vqs: @queues as vhost wants them
 * @queues: the request queues, all VHOST_BLK_MAX_QUEUES
 * @backend: attached or NULL; dev.mutex
 * @works: runs what its requests need done synchronously; from the first backend on
 * @writeback: as VHOST_BLK_SET_WRITEBACK says; changes while the vqs stand still
 * @number: in names and traces; fixed
 * @serial: GET_ID's answer; @serial_lock
 * @stats_file: in debugfs
 * @config_call: signalled when the capacity changes, or NULL; dev.mutex
 * @config_work: looks at the capacity while there are a backend and a call
 * @capacity: what was seen last, which may be 0; dev.mutex
 * @capacity_known: it was seen once; dev.mutex
 */
struct vhost_blk {
	struct vhost_dev dev;
	struct vhost_virtqueue *vqs[VHOST_BLK_MAX_QUEUES];
	struct vhost_blk_vq *queues[VHOST_BLK_MAX_QUEUES];
	struct vhost_blk_backend *backend;
	struct workqueue_struct *works;
	bool writeback;
	unsigned int number;
	spinlock_t serial_lock; /* serial */
	u8 serial[VHOST_BLK_SERIAL_BYTES];
	struct vstor_stats_file stats_file;
	struct eventfd_ctx *config_call;
	struct delayed_work config_work;
	u64 capacity;
	bool capacity_known;
};

static inline struct vhost_blk_vq *to_vhost_blk_vq(struct vstor_vq *svq)
{
	return container_of(svq, struct vhost_blk_vq, svq);
}

/* Process context; nobody sleeps under its lock. */
static inline void vhost_blk_copy_serial(struct vhost_blk *blk, u8 *serial)
{
	spin_lock(&blk->serial_lock);
	memcpy(serial, blk->serial, VHOST_BLK_SERIAL_BYTES);
	spin_unlock(&blk->serial_lock);
}

/*
 * Must a write be stable when it completes? VIRTIO 5.2.6.2: the writes of a driver that
 * cannot flush are, and those of one that has switched the cache to write-through.
 */
static inline bool vhost_blk_is_stable(struct vhost_blk_vq *bq)
{
	return !bq->blk->writeback || !vhost_has_feature(&bq->svq.vq, VIRTIO_BLK_F_FLUSH);
}

/* Fixed while the request is in flight. */
static inline struct vhost_blk_backend *vhost_blk_req_backend(struct vhost_blk_req *req)
{
	return vhost_vq_get_backend(&req->cmd.svq->vq);
}

/* ioctl.c */
extern const struct file_operations vhost_blk_fops;

/* config.c: process context */
long vhost_blk_get_config(struct vhost_blk *blk, void __user *argp);
long vhost_blk_set_config_call(struct vhost_blk *blk, void __user *argp);
/* The backend has changed; dev.mutex held. */
void vhost_blk_config_start(struct vhost_blk *blk);
void vhost_blk_config_init(struct vhost_blk *blk);
/* On release, when no ioctl can come any more. */
void vhost_blk_config_exit(struct vhost_blk *blk);

/* attach.c: process context, dev.mutex held */
long vhost_blk_set_backend(struct vhost_blk *blk, void __user *argp);
long vhost_blk_set_writeback(struct vhost_blk *blk, void __user *argp);
void vhost_blk_detach(struct vhost_blk *blk);

/* queue.c: process context, vq->mutex held */
extern const struct vstor_ops vhost_blk_ops;
int vhost_blk_vq_alloc_reqs(struct vhost_blk_vq *bq);
void vhost_blk_vq_free_reqs(struct vhost_blk_vq *bq);

/* complete.c: vstor_ops->finish() */
s64 vhost_blk_finish(struct vstor_cmd *cmd, bool discard);

/* ranges.c: the vq's worker, vq->mutex held */

/*
 * Starts the request, whose ranges @from is at. Ends as vhost_blk_submit_rw()
 * does, or returns the status to end it with, or -EFAULT.
 */
int vhost_blk_submit_ranges(struct vhost_blk_req *req,
			    const struct vhost_blk_limits *limits, struct iov_iter *from);

/* zones.c: requests of zoned devices; the vq's worker, vq->mutex held */

/* Before one of any sort is started: what is to be done where it fails. */
void vhost_blk_zone_init(struct vhost_blk_req *req);
/* Start a request as vhost_blk_submit_rw() does. */
int vhost_blk_submit_crossing(struct vhost_blk_req *req, struct vhost_blk_backend *backend,
			      const struct iovec *iov, unsigned int segs, size_t skip);
int vhost_blk_submit_append(struct vhost_blk_req *req, struct vhost_blk_backend *backend,
			    const struct iovec *iov, unsigned int out, unsigned int in);
int vhost_blk_submit_report(struct vhost_blk_req *req, const struct iovec *iov,
			    unsigned int segs);
void vhost_blk_submit_zone(struct vhost_blk_req *req, struct vhost_blk_backend *backend);

/* bio.c: the vq's worker, vq->mutex held */

/*
 * Starts the request, whose data is @skip bytes into @iov; it ends in
 * vstor_cmd_done(), perhaps before this returns. Returns -EAGAIN where it would
 * exceed the vq's share of memory, with nothing done.
 */
int vhost_blk_submit_rw(struct vhost_blk_req *req, struct vhost_blk_backend *backend,
			const struct iovec *iov, unsigned int segs, size_t skip);
/*
 * The same without sending the bios. What went wrong is in the request's status, and
 * there are none then. @bounce: they must not carry the guest's own pages.
 */
int vhost_blk_map(struct vhost_blk_req *req, struct vhost_blk_backend *backend,
		  const struct iovec *iov, unsigned int segs, size_t skip, bool bounce);
void vhost_blk_submit_flush(struct vhost_blk_req *req,
			    struct vhost_blk_backend *backend);
/* Takes a share of the vq's memory; false: there is not so much left of it. */
bool vhost_blk_reserve(struct vhost_blk_vq *bq, struct vhost_blk_req *req, u64 bytes);
/* Copies @iov, for what is written to it when the request has ended. */
int vhost_blk_save_iov(struct vhost_blk_req *req, const struct iovec *iov,
		       unsigned int segs);
/* A bio with room for @vecs: the embedded one if it is free and large enough. */
struct vhost_blk_bio *vhost_blk_new_bio(struct vhost_blk_req *req,
					struct vhost_blk_backend *backend,
					blk_opf_t opf, unsigned int vecs);
/* Submits all bios of the request, of which there may be none. */
void vhost_blk_send(struct vhost_blk_req *req);
/* Gives back the pages and the bios. */
void vhost_blk_free_bios(struct vhost_blk_req *req);
/* The one table from what the kernel says to what the guest is told. */
u8 vhost_blk_status(blk_status_t status);

/* backend.c: process context */
struct vhost_blk_backend *vhost_blk_backend_open(int fd);
void vhost_blk_backend_close(struct vhost_blk_backend *backend);
u64 vhost_blk_backend_capacity(const struct vhost_blk_backend *backend);
bool vhost_blk_backend_read_only(const struct vhost_blk_backend *backend);
/* As they are now, but for the negotiated features. */
void vhost_blk_backend_limits(const struct vhost_blk_backend *backend,
			      struct vhost_blk_limits *limits);
/* Brings those up to date that may change under a request: capacity, read-only. */
void vhost_blk_backend_look(const struct vhost_blk_backend *backend,
			    struct vhost_blk_limits *limits);
/* What was written is stable then. May sleep for long. */
int vhost_blk_backend_flush(struct vhost_blk_backend *backend);
/* The host's page cache has nothing of a device any more. The same. */
int vhost_blk_backend_sync_cache(struct vhost_blk_backend *backend);

/* file.c: a regular file as backend */

/* Fills in what follows from the file. Process context. */
int vhost_blk_file_open(struct vhost_blk_backend *backend);
void vhost_blk_file_limits(const struct vhost_blk_backend *backend,
			   struct vhost_blk_limits *limits);
/* As submit_bio() does; bi_end_io is called in any context. */
void vhost_blk_file_submit(struct vhost_blk_backend *backend, struct vhost_blk_bio *bio);
/* Discards or zeroes. May sleep for long. */
int vhost_blk_file_range(struct vhost_blk_backend *backend, enum vhost_blk_op op,
			 const struct vhost_blk_range *range);

/* work.c: for what sleeps on the backend */

/* Before the first backend; again, it does nothing. dev.mutex held. */
int vhost_blk_work_init(struct vhost_blk *blk);
/* On release; waits for what still runs. */
void vhost_blk_work_exit(struct vhost_blk *blk);
/* @sync, which may sleep, ends in vstor_cmd_done(). In the owner's mm. */
void vhost_blk_queue_work(struct vhost_blk_req *req, void (*sync)(struct vhost_blk_req *req));

/* stats.c */

void vhost_blk_stats_init(void);
void vhost_blk_stats_exit(void);
/* The device's file comes. */
void vhost_blk_stats_add(struct vhost_blk *blk);
/* Another backend, or none. Process context. */
void vhost_blk_stats_backend(struct vhost_blk *blk);
/* A request was taken; has ended. vq->mutex held. */
void vhost_blk_stats_taken(struct vhost_blk_vq *bq, const struct vhost_blk_command *command);
void vhost_blk_stats_ended(struct vhost_blk_vq *bq, struct vhost_blk_req *req);

#endif /* _VHOST_BLK_H */
