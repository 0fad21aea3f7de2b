/* SPDX-License-Identifier: GPL-2.0 */
/*
 * virtio-scsi commands on /dev/vhost-scsi, and LIO targets for them. Which module is
 * behind it, ours or the kernel's own, a test says before all else.
 */
#ifndef TESTS_SCSI_H
#define TESTS_SCSI_H

#include <linux/virtio_scsi.h>

#include "blk.h"
#include "vring.h"

/* Queues 0 and 1 are for control and events. */
#define SCSI_FIRST_QUEUE 2

#define SCSI_BLOCK 512
#define SCSI_TPGT 1
#define SCSI_OTHER_TPGT 2

#define SCSI_FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC))

/* The backend is a WWPN. */
extern const struct vdev_ops scsi_ops;

/* Loads the kernel's own module in the place of ours; skips on a debug kernel. Back again. */
void scsi_load_intree(void);
void scsi_load_ours(void);

/* How many commands of a device may fail, of our module: 0, without a limit. */
#define SCSI_FAILURES_A_SECOND 10
void scsi_limit_failures(unsigned int a_second);

/* A target's folder, and the name of it, which is what SET_ENDPOINT takes. */
#define SCSI_LIO "/sys/kernel/config/target"
#define SCSI_WWPN "naa.5001405763686f31"
#define SCSI_TPG SCSI_LIO "/vhost/" SCSI_WWPN "/tpgt_1"

/* What is behind a LUN: a RAM disk of that many MiB, or a block device. */
struct scsi_lun {
	unsigned int mb;
	const char *path;
	bool read_only;			/* a block device */
	unsigned int block_size;	/* 0: what it has */
	unsigned int pi_type;		/* of a RAM disk */
	bool no_tas;			/* commands that others abort have no status */
	const char *serial;		/* NULL: it has none */
};

/* All of it goes when the test has ended, or here. */
void scsi_tpg_new(void);
void scsi_tpg_drop(void);
void scsi_lun_add(unsigned int lun, const struct scsi_lun *setup);
/* The RAM disk of another LUN once more: making one takes its time. */
void scsi_lun_add_same(unsigned int lun, unsigned int as);
void scsi_lun_remove(unsigned int lun);
/* The block device of LUN 0 as LUN 0 of another target, which is another initiator's. */
void scsi_other_target(void);
/* Whether reads and writes may go the short way. */
void scsi_set_direct(bool on);
/* An attribute of the backstore of LUN 0, which is a block device. */
void scsi_put_attribute(const char *name, const char *value);
/* The above, with one LUN 0; returns the name. */
const char *scsi_target_with(const struct scsi_lun *setup);
const char *scsi_target_new(unsigned int mb);

/* Returns -1 and errno. */
int scsi_set_endpoint(const struct vdev *dev, const char *wwpn);
int scsi_clear_endpoint(const struct vdev *dev, const char *wwpn);

/* A device with request queues of that size, its endpoint set. */
struct vdev *scsi_start(const char *target, unsigned int queues, unsigned int num,
			uint64_t features);
struct vq *scsi_queue(struct vdev *dev, unsigned int n);

/*
 * A command, cut in any way, and what came of it: the general form. NULL for a layout
 * is the usual one, command and data, response and data.
 */
struct scsi_cmd {
	uint8_t cdb[VIRTIO_SCSI_CDB_SIZE];
	const void *out;
	uint32_t out_len;
	uint32_t in_len;
	/* Of these, how much is protection information. */
	uint32_t pi_out, pi_in;
	/* NULL: LUN 0. */
	const uint8_t *lun;
	uint64_t tag;
	uint8_t task_attr;
	unsigned int header_cut, response_cut;
	const struct blk_layout *layout;
};

struct scsi_result {
	struct blk_req io;
	struct virtio_scsi_cmd_resp resp;
	/* Behind the response. */
	const uint8_t *data;
};

/* The header of a command as it is negotiated; returns its bytes. */
uint32_t scsi_put_header(const struct vdev *dev, const struct scsi_cmd *cmd, unsigned char *to);

struct scsi_result scsi_cmd_add(struct vq *vq, const struct scsi_cmd *cmd);
void scsi_cmd_finish(struct scsi_result *res, struct used u);
/* All of those, in whatever order they come. */
void scsi_finish_all(struct vq *vq, struct scsi_result *res, unsigned int n);
/* All steps of one; the memory that it took is free again. */
struct scsi_result scsi_cmd_do(struct vq *vq, const struct scsi_cmd *cmd);
void scsi_result_free(struct scsi_result *res);

/* Of the general form, the most frequent ones. */
struct scsi_cmd scsi_cmd_read(uint32_t lba, uint32_t blocks);
struct scsi_cmd scsi_cmd_write(uint32_t lba, uint32_t blocks, const void *data);
/* RDPROTECT and WRPROTECT 1: protection information, before the data, is moved and checked. */
struct scsi_cmd scsi_cmd_read_pi(uint32_t lba, uint32_t blocks);
struct scsi_cmd scsi_cmd_write_pi(uint32_t lba, uint32_t blocks, const void *bytes);
/* What it must have ended with; @key 0: GOOD. */
void scsi_check_response(const struct scsi_result *res, uint8_t response);
void scsi_check_sense(const struct scsi_result *res, uint8_t key, uint8_t asc, uint8_t ascq);
/*
 * A command that the host had no memory for, or whose device an error: BUSY, of either sort,
 * TASK SET FULL, or what the target core says of all errors of the backstore.
 */
void scsi_check_host_failed(const struct scsi_result *res);
/* The guest has not had an answer. */
#define SCSI_NO_RESPONSE 0xee

/* A request of the control queue: any bytes, with room for so many in return. */
struct blk_req scsi_control_add(struct vdev *dev, const void *bytes, uint32_t len, uint32_t room);
/* All steps of one. */
struct blk_req scsi_control_do(struct vdev *dev, const void *bytes, uint32_t len, uint32_t room);
/* A task management function, which must be answered so. */
void scsi_tmf_do(struct vdev *dev, const struct virtio_scsi_ctrl_tmf_req *tmf, uint8_t response);

/* A command of LUN 0, in one descriptor each: for many of them. */
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
