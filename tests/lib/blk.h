/* SPDX-License-Identifier: GPL-2.0 */
/* virtio-blk requests on /dev/vhost-blk, cut up in any way. */
#ifndef TESTS_BLK_H
#define TESTS_BLK_H

#include <linux/vhost_blk.h>
#include <linux/virtio_blk.h>

#include "devices.h"
#include "vring.h"

#define BLK_HEADER 16
#define SECTOR 512

/* What is promised: a change of the capacity is told within that. */
#define CHANGE_MS patience(1000)

/* What a status byte is before the device has written it. */
#define BLK_NO_STATUS 0xee
/* Bytes on both sides of each piece that must not change, and their value. */
#define BLK_GUARD 32
#define BLK_GUARD_BYTE 0xa5
/* Writable bytes before the device has written them. */
#define BLK_UNTOUCHED 0x5c

#define BLK_FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
		      BIT(VIRTIO_BLK_F_FLUSH))

extern const struct vdev_ops blk_ops;

/* What most tests want: a device with queues over a disk. 0: the default. */
struct blk_setup {
	struct nullb disk;
	const char *path;		/* this one instead of a disk */
	bool read_only;			/* opened with O_RDONLY */
	bool write_only;
	bool kernel_thread;		/* as worker */
	unsigned int queues;		/* 1 */
	unsigned int num;		/* 128 */
	uint64_t features;		/* BLK_FEATURES */
	uint64_t memory;		/* 64 MiB */
};

struct blk {
	struct vdev *dev;
	/* The first queue. */
	struct vq *vq;
	struct guest *mem;
	const char *path;
	int fd;
	uint64_t capacity;
};

struct blk blk_start(const struct blk_setup *setup);
/* Without the last step, so that a test may change things before. */
struct blk blk_prepare(const struct blk_setup *setup);

int blk_set_backend(const struct vdev *dev, int fd);
int blk_get_config(const struct vdev *dev, int fd, struct vhost_blk_config *config);
int blk_set_writeback(const struct vdev *dev, int writeback);
int blk_set_config_call(const struct vdev *dev, int event);
void blk_set_serial(const struct vdev *dev, const char *serial);

/*
 * How a request is cut: the sizes of the pieces of its readable bytes, and of
 * its writable ones. After a 0 the rest goes in pieces of out_every or in_every
 * bytes, or in one where that is 0. NULL for a layout is the usual one: header,
 * data, status.
 */
struct blk_layout {
	const char *name;
	uint32_t out[12];
	uint32_t out_every;
	uint32_t in[12];
	uint32_t in_every;
	/* As in vq_add. */
	unsigned int direct;
	/* Where pieces begin: that many bytes past a page. */
	unsigned int offset;
	/* One piece behind the other in memory, as far as they fit. */
	bool packed;
};

/* A request: its readable bytes are header and out, its writable in and status. */
struct blk_io {
	uint32_t type;
	uint64_t sector;
	const void *out;
	uint32_t out_len;
	uint32_t in_len;
	/* Cut off the end of the header, of the status: 16 and 1 leave none. */
	unsigned int header_cut;
	bool no_status;
	const struct blk_layout *layout;
};

struct blk_piece {
	struct seg seg;
	unsigned char *bytes;
};

struct blk_req {
	struct vq *vq;
	uint16_t head;
	unsigned int n;
	struct blk_piece *pieces;
	/* All readable bytes as they were sent. */
	unsigned char *sent;
	uint32_t sent_len;
	/* When it is done: all writable bytes, status and used length. */
	unsigned char *in;
	uint32_t in_len;
	uint8_t status;
	uint32_t used_len;
	bool done;
};

/*
 * A request of any bytes, readable and then writable as they are before the device has
 * written them, for devices of any sort; what blk_finish() does of it, but the status.
 */
struct blk_req req_add(struct vq *vq, const void *out, uint32_t out_len, const void *in,
		       uint32_t in_len, const struct blk_layout *layout);
void req_finish(struct blk_req *req, struct used u);
/* Pieces of that many bytes are in memory no more. */
void req_drop(struct blk_req *req, uint32_t bytes);

/* Adds it to the ring, and neither publishes nor kicks; the other half of it. */
struct blk_req blk_add(struct vq *vq, const struct blk_io *io);
void blk_send(struct vq *vq);

/*
 * Takes what the device wrote, and requires that it wrote nothing beside the
 * buffers, and nothing into a readable one, and that the used length does not
 * claim bytes that are as they were before.
 */
void blk_finish(struct blk_req *req, struct used u);
void blk_free(struct blk_req *req);

/* Waits for n requests of a queue, which may come in any order. */
void blk_reap(struct vq *vq, struct blk_req *reqs, unsigned int n);

/* The same request n times at once; all must be good. */
void blk_batch(struct vq *vq, const struct blk_io *io, unsigned int n);

/* All steps of one request; the memory it took is free again. */
struct blk_req blk_do(struct vq *vq, const struct blk_io *io);

/* The same, and requires the status. */
void blk_expect(struct vq *vq, const struct blk_io *io, uint8_t status);
void blk_expect_len(struct vq *vq, const struct blk_io *io, uint8_t status,
		    uint32_t used_len);

void blk_write(struct vq *vq, uint64_t sector, const void *data, uint32_t len);
void blk_read(struct vq *vq, uint64_t sector, void *data, uint32_t len);
/* Sends one, in or out, whose data lie at @gpa in one piece. Returns where its status comes. */
const uint8_t *blk_send_at(struct vq *vq, uint32_t type, uint64_t sector, uint64_t gpa,
			   uint32_t len);
/* The same, and waits: it must end well. */
void blk_transfer(struct vq *vq, uint32_t type, uint64_t sector, uint64_t gpa, uint32_t len);

/*
 * What the device's file in debugfs says: all of it; a value of a vq by its name and
 * column, from 1 on. The only device of this process is meant. A vq is not in it before
 * its first kick was seen.
 */
const char *vdev_stats(void);
unsigned long long vdev_stat(unsigned int vq, const char *name, unsigned int column);
/* Until so many requests of the first vq are in flight. */
void vdev_wait_in_flight(unsigned int n);

/* The first place where two buffers differ must not exist. */
void check_same(const void *got, const void *want, size_t len, const char *what);

#endif
