/* SPDX-License-Identifier: GPL-2.0 */
/* virtio-scsi commands on /dev/vhost-scsi, and a LIO target for them. */
#ifndef TESTS_SCSI_H
#define TESTS_SCSI_H

#include <linux/virtio_scsi.h>

#include "vring.h"

/* Queues 0 and 1 are for control and events. */
#define SCSI_FIRST_QUEUE 2

#define SCSI_BLOCK 512
#define SCSI_TPGT 1

/* The backend is a WWPN. */
extern const struct vdev_ops scsi_ops;

/*
 * A target with a RAM disk of that many MiB as LUN 0; returns its name, which
 * is what SET_ENDPOINT takes. It goes when the test has ended.
 */
const char *scsi_target_new(unsigned int mb);

/* A device with request queues of that size, its endpoint set. */
struct vdev *scsi_start(const char *target, unsigned int queues, unsigned int num,
			uint64_t features);
struct vq *scsi_queue(struct vdev *dev, unsigned int n);

struct scsi_io {
	uint8_t cdb[VIRTIO_SCSI_CDB_SIZE];
	/* Data in the guest's memory; at most one of the two. */
	uint64_t out, in;
	uint32_t out_len, in_len;
	/* As in vq_add. */
	unsigned int direct;
};

struct scsi_req {
	struct vq *vq;
	uint16_t head;
	const struct virtio_scsi_cmd_resp *resp;
};

struct scsi_io scsi_tur(void);
struct scsi_io scsi_inquiry(uint64_t data, uint8_t len);
struct scsi_io scsi_read10(uint32_t lba, uint16_t blocks, uint64_t data);
struct scsi_io scsi_write10(uint32_t lba, uint16_t blocks, uint64_t data);

/* Adds the command, and neither publishes nor kicks. */
struct scsi_req scsi_add(struct vq *vq, const struct scsi_io *io);

/* Sends it, waits for it, and requires that it was good. */
void scsi_do(struct vq *vq, const struct scsi_io *io);
void scsi_check_good(const struct scsi_req *req);

#endif
