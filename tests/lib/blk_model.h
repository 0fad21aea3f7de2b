/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A virtio-blk device that obeys (VIRTIO 5.2.6), as far as a driver sees it: from what
 * its queues are given follows what each request must end with. The queues share a disk.
 *
 * Where VIRTIO leaves a choice this is the one that vhost_blk documents: what is wrong
 * with a request is IOERR and what is unknown UNSUPP, and either has changed neither the
 * disk nor the buffers; readable data of a read and writable data of a write are wrong,
 * but a status buffer of more than a byte is not, whose last one it is; GET_ID fills what
 * there is of its 20 bytes; all ranges are checked before the first is touched.
 */
#ifndef TESTS_BLK_MODEL_H
#define TESTS_BLK_MODEL_H

#include <linux/virtio_blk.h>

#include "transfer_model.h"

#define BLK_MODEL_QUEUES 8
#define BLK_MODEL_ID_BYTES VIRTIO_BLK_ID_BYTES

struct blk_model {
	struct memory_model memory;
	struct disk_model disk;
	struct ring_model ring[BLK_MODEL_QUEUES];
	/* What was negotiated, and the device's configuration. */
	uint64_t features;
	uint32_t max_discard, max_discard_seg, max_write_zeroes, max_write_zeroes_seg;
	unsigned char id[BLK_MODEL_ID_BYTES];
	/* Requests that are out, on all queues. */
	unsigned int out;
	/* Those that were judged, and those of which only that they came could be. */
	unsigned long judged, shared;
};

/* Before the driver sets a queue's available index; what it is to be. */
void blk_model_publish(struct blk_model *m, unsigned int queue, uint16_t avail_idx);

/* Judges what has been used of a queue. Returns what is wrong. */
const char *blk_model_collect(struct blk_model *m, unsigned int queue);

#endif
