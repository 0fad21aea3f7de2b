/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From a request's header to a SCSI command: no memory but its arguments, no kernel
 * service, so that tests/unit runs it in userspace.
 */
#ifndef _VHOST_SCSI_REQUEST_H
#define _VHOST_SCSI_REQUEST_H

#include <linux/types.h>
#include <linux/virtio_scsi.h>

/* The most data of a command: what max_sectors of QEMU's default allows. It bounds memory. */
#define VHOST_SCSI_BYTES_MAX	(32u << 20)
/* Bytes of protection information for each block. */
#define VHOST_SCSI_TUPLE_BYTES	8
/* Of blocks of 512. */
#define VHOST_SCSI_PI_MAX	(VHOST_SCSI_BYTES_MAX / 512 * VHOST_SCSI_TUPLE_BYTES)
#define VHOST_SCSI_CDB_BYTES	32
#define VHOST_SCSI_RESP_BYTES	sizeof(struct virtio_scsi_cmd_resp)
/* Of it, up to the response code: less is no answer. */
#define VHOST_SCSI_RESP_MIN	offsetof(struct virtio_scsi_cmd_resp, sense)
#define VHOST_SCSI_SENSE_BYTES	18

/* Additional sense code of what is wrong with protection information, and its qualifiers. */
#define VHOST_SCSI_ASC_PROTECTION	0x10
#define VHOST_SCSI_ASCQ_GUARD		0x01
#define VHOST_SCSI_ASCQ_REF_TAG		0x03
/* RDPROTECT and WRPROTECT: it is moved, and checked. */
#define VHOST_SCSI_PROTECT_CHECKED	1

/* What LIO numbers LUNs up to here, 14 bits: flat addressing. */
#define VHOST_SCSI_LUNS		16384
/* The well-known logical unit that REPORT LUNS goes to. */
#define VHOST_SCSI_REPORT_LUNS_WLUN	0xc101

/**
 * struct vhost_scsi_header - a request's header, in the CPU's byte order
 * @lun: as the guest wrote it, in a copy of the whole; 8 bytes
 * @tag: names the command in a task management function
 * @task_attr: VIRTIO_SCSI_S_SIMPLE and so on
 * @pi_out: bytes of protection information before the data to write
 * @pi_in: the same before the data to read; both 0 without VIRTIO_SCSI_F_T10_PI
 * @cdb: the SCSI command, in the same; VHOST_SCSI_CDB_BYTES
 */
struct vhost_scsi_header {
	const u8 *lun;
	u64 tag;
	u8 task_attr;
	u32 pi_out;
	u32 pi_in;
	const u8 *cdb;
};

enum vhost_scsi_dir {
	VHOST_SCSI_NO_DATA,
	VHOST_SCSI_OUT,
	VHOST_SCSI_IN,
	VHOST_SCSI_ANY_DATA,
};

/**
 * struct vhost_scsi_lun - a logical unit that the guest named
 * @target: of it
 * @any_target: it is the well-known one of the whole device
 * @well_known: it is a well-known one
 * @lun: its number
 */
struct vhost_scsi_lun {
	u8 target;
	bool any_target;
	bool well_known;
	u16 lun;
};

/**
 * struct vhost_scsi_command - a request that was checked
 * @lun: whom it is for
 * @dir: which way its data goes
 * @bytes: how much data, without protection information
 * @pi: bytes of that; same way
 * @tag: see above
 * @task_attr: see above
 * @cdb: the SCSI command, none of it behind these
 */
struct vhost_scsi_command {
	struct vhost_scsi_lun lun;
	enum vhost_scsi_dir dir;
	u32 bytes;
	u32 pi;
	u64 tag;
	u8 task_attr;
	u8 cdb[VHOST_SCSI_CDB_BYTES];
};

/**
 * struct vhost_scsi_verdict - how a request ends that goes no further
 * @response: VIRTIO_SCSI_S_OK, where the others are 0 or a CHECK CONDITION, or another
 * @key: the sense key, 0: no CHECK CONDITION
 * @asc: additional sense code
 * @ascq: and its qualifier
 */
struct vhost_scsi_verdict {
	u8 response;
	u8 key;
	u8 asc;
	u8 ascq;
};

/* VIRTIO 5.6.6.1: the only formats of a LUN; false: none of them. */
bool vhost_scsi_parse_lun(const u8 *bytes, struct vhost_scsi_lun *lun);

/*
 * Which way the data of a command must go, as far as its operation code says;
 * VHOST_SCSI_ANY_DATA: it does not say.
 */
enum vhost_scsi_dir vhost_scsi_cdb_dir(const u8 *cdb);

/**
 * enum vhost_scsi_op - sorts of commands, as they are counted
 */
enum vhost_scsi_op {
	VHOST_SCSI_READ,
	VHOST_SCSI_WRITE,
	VHOST_SCSI_FLUSH,
	VHOST_SCSI_OTHER,
	VHOST_SCSI_OPS,
};

enum vhost_scsi_op vhost_scsi_cdb_op(const u8 *cdb);

/**
 * struct vhost_scsi_range - blocks that are read or written
 * @lba: the first one
 * @blocks: how many
 * @protect: RDPROTECT or WRPROTECT: what becomes of their protection information
 */
struct vhost_scsi_range {
	u64 lba;
	u32 blocks;
	u8 protect;
};

/*
 * The range of a plain READ or WRITE, of 10 or 16 bytes: no cache control, no ACA. False: it
 * is no such, but may still read or write.
 */
bool vhost_scsi_cdb_range(const u8 *cdb, struct vhost_scsi_range *range);

/*
 * SBC, protection information of type 1 or 3: what is wrong with the tuple of block @lba,
 * whose data has that guard? An additional sense code qualifier, 0: nothing.
 */
u8 vhost_scsi_check_tuple(const u8 *tuple, u16 guard, u64 lba, unsigned int type);

/* Reads or writes blocks, of which the target core takes the data in any pieces. */
bool vhost_scsi_cdb_is_rw(const u8 *cdb);

/* Does the target core answer it, or send it on, without sleeping for long? */
bool vhost_scsi_cdb_is_quick(const u8 *cdb);

/*
 * Checks the header of a request with @out bytes of readable data behind it and @in
 * writable ones behind the response. True: *command is filled in. False: *verdict is.
 */
bool vhost_scsi_parse(const struct vhost_scsi_header *hdr, u64 out, u64 in,
		      struct vhost_scsi_command *command, struct vhost_scsi_verdict *verdict);

/* Sense data of fixed format, as much as there is of it: VHOST_SCSI_SENSE_BYTES. */
void vhost_scsi_fill_sense(u8 *sense, const struct vhost_scsi_verdict *verdict);

#endif /* _VHOST_SCSI_REQUEST_H */
