// SPDX-License-Identifier: GPL-2.0
/* Each way in which a command ends that does not simply read or write blocks. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scsi.h"
#include "tap.h"

#define RESP sizeof(struct virtio_scsi_cmd_resp)
#define HEADER sizeof(struct virtio_scsi_cmd_req)

static struct vq *start(const char *target)
{
	struct vdev *dev = scsi_start(target, 1, 128, SCSI_FEATURES);

	vdev_start(dev);
	return scsi_queue(dev, 0);
}

static struct vq *start_16(void)
{
	return start(scsi_target_new(16));
}

/* A disk that LIO knows more commands for. */
static struct vq *start_on_a_disk(void)
{
	const char *disk = nullb_new(&(struct nullb){});

	return start(scsi_target_with(&(struct scsi_lun){ .path = disk }));
}

/* Sends it; it must end with that response, and write no data. */
static void must_end(struct vq *vq, const struct scsi_cmd *cmd, uint8_t response)
{
	struct scsi_result res = scsi_cmd_do(vq, cmd);

	scsi_check_response(&res, response);
	check_eq(res.io.used_len, RESP);
	/* What the CDB wants beyond the data is no residual. */
	if (response == VIRTIO_SCSI_S_OVERRUN)
		check_eq(le32toh(res.resp.resid), 0);
	for (uint32_t i = 0; i < cmd->in_len; i++)
		check(res.data[i] == BLK_UNTOUCHED, "byte %u of the data was written", i);
	scsi_result_free(&res);
}

static void must_sense(struct vq *vq, const struct scsi_cmd *cmd, uint8_t key, uint8_t asc,
		       uint8_t ascq)
{
	struct scsi_result res = scsi_cmd_do(vq, cmd);

	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, key, asc, ascq);
	check_eq(res.io.used_len, RESP);
	scsi_result_free(&res);
}

static const struct bad_lun {
	const char *name;
	uint8_t lun[8];
} bad_targets[] = {
	{ "first_byte_0", { 0, 1, 0x40, 0 } },
	{ "first_byte_2", { 2, 1, 0x40, 0 } },
	{ "no_such_target", { 1, 2, 0x40, 0 } },
	{ "target_255", { 1, 255, 0x40, 0 } },
	{ "byte_4", { 1, 1, 0x40, 0, 1 } },
	{ "byte_7", { 1, 1, 0x40, 0, 0, 0, 0, 1 } },
	{ "logical_unit_addressing", { 1, 1, 0x80, 0 } },
	{ "extended_addressing", { 1, 1, 0xd2, 0 } },
	{ "bus_1", { 1, 1, 0x01, 0 } },
	{ "all_ones", { 255, 255, 255, 255, 255, 255, 255, 255 } },
};

TEST_PATHS(bad_target, bad_targets)
{
	struct vq *vq = start_16();
	struct scsi_cmd cmd = scsi_cmd_read(0, 8);

	cmd.lun = v->lun;
	must_end(vq, &cmd, VIRTIO_SCSI_S_BAD_TARGET);
	cmd.lun = NULL;
	cmd = (struct scsi_cmd){ .cdb = { 0 } };
	must_end(vq, &cmd, VIRTIO_SCSI_S_OK);
}

static const struct bad_lun luns[] = {
	{ "peripheral", { 1, 1, 0, 7 } },
	{ "flat", { 1, 1, 0x40, 7 } },
	{ "flat_16383", { 1, 1, 0x7f, 0xff } },
};

TEST_V(no_such_lun_is_told_by_sense, luns)
{
	struct scsi_cmd cmd = { .cdb = { 0x12, 0, 0, 0, 96 }, .in_len = 96, .lun = v->lun };

	must_sense(start_16(), &cmd, 5, 0x25, 0);
}

static const struct bad_lun zero[] = {
	{ "peripheral", { 1, 1, 0, 0 } }, { "flat", { 1, 1, 0x40, 0 } },
};

TEST_V(lun_0_in_both_formats_ok, zero)
{
	struct scsi_cmd cmd = { .cdb = { 0 }, .lun = v->lun };

	must_sense(start_16(), &cmd, 0, 0, 0);
}

/* A write that could read, and the other way round, would pass the target core's checks. */
static const struct wrong_way {
	const char *name;
	struct scsi_cmd cmd;
} wrong_ways[] = {
	{ "both", { .cdb = { 0x28, 0, 0, 0, 0, 0, 0, 0, 1 }, .out = "", .out_len = 1, .in_len = 512 } },
	{ "write_10", { .cdb = { 0x2a, 0, 0, 0, 0, 0, 0, 0, 1 }, .in_len = 512 } },
	{ "write_same", { .cdb = { 0x41, 0, 0, 0, 0, 0, 0, 0, 1 }, .in_len = 512 } },
	{ "write_same_16", { .cdb = { 0x93, [13] = 1 }, .in_len = 512 } },
	{ "unmap", { .cdb = { 0x42, [8] = 24 }, .in_len = 24 } },
	{ "compare_and_write", { .cdb = { 0x89, [13] = 1 }, .in_len = 1024 } },
	{ "persistent_reserve_out", { .cdb = { 0x5f, [8] = 24 }, .in_len = 24 } },
	{ "inquiry", { .cdb = { 0x12, 0, 0, 0, 1 }, .out = "", .out_len = 1 } },
	{ "read_capacity", { .cdb = { 0x25 }, .out = "12345678", .out_len = 8 } },
};

TEST_PATHS(wrong_way_is_a_failure, wrong_ways)
{
	must_end(start_16(), &v->cmd, VIRTIO_SCSI_S_FAILURE);
}

/* What the target core refuses, and what does not get there. */
static const struct {
	const char *name;
	struct scsi_cmd cmd;
	uint8_t asc;
} refused[] = {
	{ "unknown_command", { .cdb = { 0xc0 } }, 0x20 },
	{ "no_such_lun", { .cdb = { 0 }, .lun = (const uint8_t[]){ 1, 1, 0x40, 7, 0, 0, 0, 0 } }, 0x25 },
};

/* COMPARE AND WRITE tells in its sense data where the difference is. */
TEST_V(sense_of_the_command_before_is_gone, refused)
{
	static unsigned char data[2 * SCSI_BLOCK] = { [300] = 1 };
	const struct scsi_cmd compare = { .cdb = { 0x89, [13] = 1 }, .out = data,
					  .out_len = sizeof(data) };
	struct vq *vq = start_on_a_disk();
	struct scsi_result first = scsi_cmd_do(vq, &v->cmd), then;

	scsi_check_sense(&first, 5, v->asc, 0);
	must_sense(vq, &compare, 0x0e, 0x1d, 0);
	then = scsi_cmd_do(vq, &v->cmd);
	scsi_check_sense(&then, 5, v->asc, 0);
	check_same(then.resp.sense, first.resp.sense, sizeof(then.resp.sense), "the sense data");
}

/* More is asked for than there is room for, or data. */
static const struct wrong_way overruns[] = {
	{ "read", { .cdb = { 0x28, 0, 0, 0, 0, 0, 0, 0, 2 }, .in_len = 512 } },
	{ "read_of_no_data", { .cdb = { 0x28, 0, 0, 0, 0, 0, 0, 0, 2 } } },
	{ "write_of_no_data", { .cdb = { 0x2a, 0, 0, 0, 0, 0, 0, 0, 2 } } },
	{ "write_same_of_no_data", { .cdb = { 0x41, 0, 0, 0, 0, 0, 0, 0, 1 } } },
	{ "write_same_16_of_no_data", { .cdb = { 0x93, [13] = 1 } } },
	{ "compare_and_write_of_no_data", { .cdb = { 0x89, [13] = 1 } } },
	{ "inquiry", { .cdb = { 0x12, 0, 0, 0, 96 }, .in_len = 36 } },
	{ "inquiry_of_no_data", { .cdb = { 0x12, 0, 0, 0, 96 } } },
};

TEST_PATHS(overrun, overruns)
{
	must_end(start_on_a_disk(), &v->cmd, VIRTIO_SCSI_S_OVERRUN);
}

/* What has a range, and no data. */
static const struct wrong_way ranges[] = {
	{ "verify_10", { .cdb = { 0x2f, 0, 0, 0, 0, 0, 0, 0, 2 } } },
	{ "verify_16", { .cdb = { 0x8f, [13] = 2 } } },
	{ "synchronize_cache", { .cdb = { 0x35, 0, 0, 0, 0, 0, 0, 0, 2 } } },
	{ "synchronize_cache_16", { .cdb = { 0x91, [13] = 2 } } },
};

TEST_V(range_without_data_ok, ranges)
{
	must_sense(start_on_a_disk(), &v->cmd, 0, 0, 0);
}

/* Past the end of it: LOGICAL BLOCK ADDRESS OUT OF RANGE. */
TEST_V(range_past_the_end_rejected, ranges)
{
	struct scsi_cmd cmd = v->cmd;

	cmd.cdb[2] = 0x7f;
	must_sense(start_on_a_disk(), &cmd, 5, 0x21, 0);
}

TEST(more_room_than_is_asked_for_is_a_residual)
{
	struct vq *vq = start_16();
	struct scsi_cmd cmd = { .cdb = { 0x12, 0, 0, 0, 36 }, .in_len = 200 };
	struct scsi_result res = scsi_cmd_do(vq, &cmd);

	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 0, 0, 0);
	check_eq(le32toh(res.resp.resid), 200 - 36);
	check_eq(res.io.used_len, RESP + 36);
	check(!memcmp(res.data + 8, "LIO-ORG ", 8), "the vendor is '%.8s'", res.data + 8);
	check_eq(res.data[36], BLK_UNTOUCHED);
	scsi_result_free(&res);
	cmd = scsi_cmd_read(0, 2);
	cmd.in_len = 4096;
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_sense(&res, 0, 0, 0);
	check_eq(le32toh(res.resp.resid), 3072);
	check_eq(res.io.used_len, RESP + 1024);
	check_eq(res.data[1024], BLK_UNTOUCHED);
	scsi_result_free(&res);
}

/* A write of more data than blocks writes none of it. */
TEST(more_data_than_blocks_rejected)
{
	struct vq *vq = start_16();
	unsigned char data[4096];
	struct scsi_cmd cmd = scsi_cmd_write(0, 1, data);
	struct scsi_result res;

	fill(data, sizeof(data), 1);
	cmd.out_len = sizeof(data);
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 5, 0x0e, 3);
	scsi_result_free(&res);
	cmd = scsi_cmd_read(0, 1);
	res = scsi_cmd_do(vq, &cmd);
	memset(data, 0, sizeof(data));
	check_same(res.data, data, 512, "the disk");
}

static const struct sensed {
	const char *name;
	struct scsi_cmd cmd;
	uint8_t key, asc, ascq;
} sensed[] = {
	{ "unknown_opcode", { .cdb = { 0xff } }, 5, 0x20, 0 },
	{ "read_past_the_end", { .cdb = { 0x28, 0, 1, 0, 0, 0, 0, 0, 1 }, .in_len = 512 }, 5, 0x21, 0 },
	{ "cdb_longer_than_there_is", { .cdb = { 0x7f, [7] = 25 } }, 5, 0x24, 0 },
	{ "cdb_of_255", { .cdb = { 0x7f, [7] = 255 } }, 5, 0x24, 0 },
};

TEST_V(check_condition, sensed)
{
	must_sense(start_16(), &v->cmd, v->key, v->asc, v->ascq);
}

static const struct sized {
	const char *name;
	unsigned int header_cut, response_cut;
} shorts[] = {
	{ "header_without_a_byte", 1, 0 },
	{ "header_of_a_byte", HEADER - 1, 0 },
	{ "no_header", HEADER, 0 },
	{ "response_without_a_byte", 0, 1 },
	{ "response_without_sense", 0, 96 },
};

TEST_V(short_request_is_a_failure, shorts)
{
	struct scsi_cmd cmd = { .header_cut = v->header_cut, .response_cut = v->response_cut };
	struct scsi_result res = scsi_cmd_do(start_16(), &cmd);

	scsi_check_response(&res, VIRTIO_SCSI_S_FAILURE);
	check_eq(res.io.used_len, RESP - v->response_cut);
}

/* Not even a response code has room: there is no answer, and the queue stops. */
TEST(response_of_11_bytes_stops_the_queue)
{
	struct scsi_cmd cmd = { .response_cut = RESP - 11 };
	struct vq *vq = start_16();

	scsi_cmd_add(vq, &cmd);
	blk_send(vq);
	vq_must_break(vq);
}

static const struct {
	const char *name;
	uint8_t attr;
	uint8_t key;
} attrs[] = {
	{ "simple", VIRTIO_SCSI_S_SIMPLE, 0 },
	{ "ordered", VIRTIO_SCSI_S_ORDERED, 0 },
	{ "head", VIRTIO_SCSI_S_HEAD, 0 },
	{ "aca", VIRTIO_SCSI_S_ACA, 5 },
	{ "unknown", 200, 0 },
};

TEST_V(task_attribute, attrs)
{
	struct scsi_cmd cmd = scsi_cmd_read(0, 8);
	struct scsi_result res;

	cmd.task_attr = v->attr;
	res = scsi_cmd_do(start_16(), &cmd);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, v->key, v->key ? 0x24 : 0, 0);
}

/* LUNs that REPORT LUNS tells of, each once. */
static void must_report(struct vq *vq, const uint8_t *lun, unsigned int want)
{
	struct scsi_cmd cmd = { .cdb = { 0xa0, [8] = 16 }, .in_len = 4096, .lun = lun };
	struct scsi_result res = scsi_cmd_do(vq, &cmd);
	uint32_t bytes;

	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 0, 0, 0);
	memcpy(&bytes, res.data, sizeof(bytes));
	check_eq(be32toh(bytes), 8 * want);
	check_eq(res.io.used_len, RESP + 8 + 8 * want);
	scsi_result_free(&res);
}

static const uint8_t well_known[8] = { 0xc1, 1 }, well_known_1[8] = { 1, 1, 0xc1, 1 };

TEST(report_luns_ok)
{
	struct vq *vq = start_16();

	for (unsigned int i = 1; i < 5; i++)
		scsi_lun_add(i, &(struct scsi_lun){ .mb = 1 });
	must_report(vq, NULL, 5);
	must_report(vq, well_known, 5);
	must_report(vq, well_known_1, 5);
}

TEST(report_luns_without_lun_0_ok)
{
	struct vq *vq;

	scsi_tpg_new();
	scsi_lun_add(3, &(struct scsi_lun){ .mb = 1 });
	vq = start(SCSI_WWPN);
	must_report(vq, well_known, 1);
	must_report(vq, NULL, 1);
}

TEST(well_known_lun_knows_nothing_else)
{
	struct scsi_cmd cmd = { .cdb = { 0x12, 0, 0, 0, 96 }, .in_len = 96, .lun = well_known };

	must_sense(start_16(), &cmd, 5, 0x25, 0);
}

/* Of eight disks, each LUN with a block of its own: neighbours have different ones. */
TEST_LIMIT(all_of_256_luns_serve, 120)
{
	unsigned char data[512], *other = calloc(1, 512);
	struct scsi_result res;
	uint8_t lun[8] = { 1, 1 };
	struct scsi_cmd cmd;
	struct vq *vq;

	scsi_tpg_new();
	for (unsigned int i = 0; i < 8; i++)
		scsi_lun_add(i, &(struct scsi_lun){ .mb = 1 });
	for (unsigned int i = 8; i < 256; i++)
		scsi_lun_add_same(i, (i + i / 8) % 8);
	vq = start(SCSI_WWPN);
	for (unsigned int i = 0; i < 256; i++) {
		fill(data, sizeof(data), i);
		lun[3] = i;
		/* REPORTED LUNS DATA HAS CHANGED, since the nexus was made. */
		cmd = (struct scsi_cmd){ .cdb = { 0 }, .lun = lun };
		res = scsi_cmd_do(vq, &cmd);
		scsi_result_free(&res);
		cmd = scsi_cmd_write(i, 1, data);
		cmd.lun = lun;
		must_sense(vq, &cmd, 0, 0, 0);
	}
	for (unsigned int i = 0; i < 256; i++) {
		fill(other, sizeof(data), i);
		lun[3] = i;
		cmd = scsi_cmd_read(i, 1);
		cmd.lun = lun;
		res = scsi_cmd_do(vq, &cmd);
		check_same(res.data, other, 512, "a LUN");
		scsi_result_free(&res);
	}
}

/* What LIO maps as if each piece were a whole page must be one. */
TEST(parameter_list_in_pieces_ok)
{
	const struct blk_layout pieces = { "", .out = { HEADER, 5, 7, 4 }, .out_every = 3,
					   .in = { RESP }, .direct = VQ_DIRECT };
	struct vq *vq = start_on_a_disk();
	/* WRITE SAME of blocks, its data in pieces. */
	struct scsi_cmd cmd = { .cdb = { 0x41, [5] = 10, [8] = 4 }, .out_len = 512 };
	unsigned char data[2048];
	struct scsi_result res;

	/* Where LIO keeps reservations, or a note that there are none. */
	run_command("mkdir -p /etc/target/pr");
	for (unsigned int i = 0; i < 4; i++)
		fill(data + 512 * i, 512, 7);
	cmd.out = data;
	cmd.layout = &(struct blk_layout){ "", .out = { HEADER, 100, 200 }, .in = { RESP } };
	must_sense(vq, &cmd, 0, 0, 0);
	cmd = scsi_cmd_read(10, 4);
	res = scsi_cmd_do(vq, &cmd);
	check_same(res.data, data, 2048, "what was written");
	/* PERSISTENT RESERVE OUT: REGISTER, a list of 24 bytes. */
	cmd = (struct scsi_cmd){ .cdb = { 0x5f, [8] = 24 }, .out_len = 24, .layout = &pieces,
				 .out = "\0\0\0\0\0\0\0\0\1\2\3\4\5\6\7\10\0\0\0\0\0\0\0" };
	must_sense(vq, &cmd, 0, 0, 0);
	/* PERSISTENT RESERVE IN: READ KEYS, into pieces as well. */
	cmd = (struct scsi_cmd){ .cdb = { 0x5e, [8] = 64 }, .in_len = 64, .layout =
		&(struct blk_layout){ "", .in = { RESP }, .in_every = 3, .direct = VQ_DIRECT } };
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_sense(&res, 0, 0, 0);
	check_same(res.data + 8, "\1\2\3\4\5\6\7\10", 8, "the key");
}
