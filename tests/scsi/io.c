// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and writes: of any size, however they are cut and wherever they lie, they move
 * the data that they say, and the used length says what the device has written.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "scsi.h"
#include "tap.h"

#define RESP sizeof(struct virtio_scsi_cmd_resp)
#define HEADER sizeof(struct virtio_scsi_cmd_req)

static struct vq *start(const char *target, uint64_t memory)
{
	struct vdev *dev = vdev_open(&scsi_ops, memory);

	dev->backend_name = target;
	vdev_negotiate(dev, SCSI_FEATURES);
	for (unsigned int i = 0; i < SCSI_FIRST_QUEUE + 1; i++)
		vq_new(dev, i, 256);
	vdev_start(dev);
	return scsi_queue(dev, 0);
}

static void write_blocks(struct vq *vq, uint32_t lba, uint32_t blocks, const void *data,
			 const struct blk_layout *l)
{
	struct scsi_cmd cmd = scsi_cmd_write(lba, blocks, data);
	struct scsi_result res;

	cmd.layout = l;
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 0, 0, 0);
	check_eq(le32toh(res.resp.resid), 0);
	check_eq(res.io.used_len, RESP);
	scsi_result_free(&res);
}

static void read_blocks(struct vq *vq, uint32_t lba, uint32_t blocks, const void *want,
			const struct blk_layout *l)
{
	struct scsi_cmd cmd = scsi_cmd_read(lba, blocks);
	struct scsi_result res;

	cmd.layout = l;
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 0, 0, 0);
	check_eq(le32toh(res.resp.resid), 0);
	check_eq(res.io.used_len, RESP + blocks * SCSI_BLOCK);
	check_same(res.data, want, blocks * SCSI_BLOCK, "read");
	scsi_result_free(&res);
}

/* Written in one layout and read in it, and in the usual one. */
static void both_ways(struct vq *vq, uint32_t lba, uint32_t blocks, const struct blk_layout *l)
{
	unsigned char *data = malloc(blocks * SCSI_BLOCK);

	fill(data, blocks * SCSI_BLOCK, lba * 1000 + blocks);
	write_blocks(vq, lba, blocks, data, l);
	read_blocks(vq, lba, blocks, data, NULL);
	fill(data, blocks * SCSI_BLOCK, lba * 1000 + blocks + 1);
	write_blocks(vq, lba, blocks, data, NULL);
	read_blocks(vq, lba, blocks, data, l);
	free(data);
}

static const struct blk_layout layouts[] = {
	{ "direct", .out = { HEADER }, .in = { RESP }, .direct = VQ_DIRECT },
	{ "indirect", .out = { HEADER }, .in = { RESP } },
	{ "one_descriptor_each_way", .direct = VQ_DIRECT },
	{ "header_in_pieces", .out = { 7, 20, 3, 21 }, .in = { 11, 50, 1, 46 } },
	{ "blocks", .out = { HEADER }, .out_every = 512, .in = { RESP }, .in_every = 512 },
	{ "pages", .out = { HEADER }, .out_every = 4096, .in = { RESP }, .in_every = 4096 },
	{ "odd_pieces", .out = { HEADER, 100, 412, 1 }, .in = { RESP, 3, 1000, 21 } },
	{ "small_pieces", .out_every = 300, .in_every = 300 },
	{ "misaligned", .out = { HEADER }, .in = { RESP }, .offset = 1 },
	{ "misaligned_packed", .packed = true },
	{ "in_the_middle_of_a_page", .out = { HEADER }, .in = { RESP }, .offset = 512 },
};

TEST_V(layout_ok, layouts)
{
	struct vq *vq = start(scsi_target_new(16), 64 << 20);

	both_ways(vq, 5, 1, v);
	both_ways(vq, 8, 8, v);
	both_ways(vq, 33, 17, v);
	both_ways(vq, 100, 100, v);
}

TEST_V(layout_over_a_block_device_ok, layouts)
{
	const char *disk = nullb_new(&(struct nullb){});
	struct vq *vq = start(scsi_target_with(&(struct scsi_lun){ .path = disk }), 64 << 20);

	both_ways(vq, 5, 1, v);
	both_ways(vq, 33, 17, v);
	both_ways(vq, 100, 100, v);
}

/* Pieces that are no whole blocks of a disk with large ones go through other pages. */
TEST_V(layout_over_large_blocks_ok, layouts)
{
	const char *disk = loop_new(16, 4096);
	struct vq *vq = start(scsi_target_with(&(struct scsi_lun){ .path = disk }), 64 << 20);
	unsigned char data[5 * 4096];
	struct scsi_cmd cmd = scsi_cmd_write(3, 5, data);
	struct scsi_result res;

	fill(data, sizeof(data), 3);
	cmd.out_len = sizeof(data);
	cmd.layout = v;
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_sense(&res, 0, 0, 0);
	scsi_result_free(&res);
	cmd = scsi_cmd_read(3, 5);
	cmd.in_len = sizeof(data);
	cmd.layout = v;
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_sense(&res, 0, 0, 0);
	check_same(res.data, data, sizeof(data), "read");
	scsi_result_free(&res);
}

static const struct size {
	const char *name;
	uint32_t blocks;
} sizes[] = {
	{ "1_MiB", 2048 }, { "8_MiB", 16384 }, { "8_MiB_and_a_block", 16385 },
	{ "31_MiB", 63488 }, { "32_MiB", 65536 },
};

static const struct blk_layout large = {
	"large", .out = { HEADER }, .out_every = 1 << 20, .in = { RESP }, .in_every = 1 << 20,
};

/* The in-tree module loses what is more than 8 MiB: no answer ever comes. */
TEST_V_LIMIT(large_command_ok, sizes, 60)
{
	struct vq *vq = start(scsi_target_new(64), 320ull << 20);

	both_ways(vq, 1, v->blocks, &large);
}

TEST_V_LIMIT(large_command_over_a_block_device_ok, sizes, 60)
{
	const char *disk = nullb_new(&(struct nullb){ .mb = 64 });
	struct vq *vq = start(scsi_target_with(&(struct scsi_lun){ .path = disk }), 320ull << 20);

	both_ways(vq, 1, v->blocks, &large);
}

/* In pieces of odd sizes it goes through pages of the host's. */
TEST_LIMIT(large_bounced_command_ok, 60)
{
	const struct blk_layout odd = {
		"odd", .out = { HEADER, 100 }, .out_every = 1 << 20, .in = { RESP, 100 },
		.in_every = 1 << 20,
	};
	struct vq *vq = start(scsi_target_new(64), 320ull << 20);

	both_ways(vq, 1, 65536, &odd);
}

/* Not silence: a SCSI error. */
TEST(more_than_32_mib_rejected)
{
	struct vq *vq = start(scsi_target_new(64), 128ull << 20);
	struct scsi_cmd cmd = scsi_cmd_read(0, 65537);
	struct scsi_result res;

	cmd.layout = &large;
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 5, 0x24, 0);
	check_eq(res.io.used_len, RESP);
	check_eq(res.data[0], BLK_UNTOUCHED);
	scsi_result_free(&res);
}

/* More large commands than a queue may have in flight at one time wait in the ring. */
TEST_LIMIT(large_commands_at_once_ok, 60)
{
	struct vq *vq = start(scsi_target_new(64), 512ull << 20);
	unsigned char *data = malloc(20 << 20);
	struct scsi_result res[6];
	struct scsi_cmd cmd;

	fill(data, 20 << 20, 1);
	write_blocks(vq, 0, 40960, data, &large);
	for (unsigned int i = 0; i < 6; i++) {
		cmd = scsi_cmd_read(0, 40960);
		cmd.layout = &large;
		res[i] = scsi_cmd_add(vq, &cmd);
	}
	blk_send(vq);
	scsi_finish_all(vq, res, 6);
	for (unsigned int i = 0; i < 6; i++) {
		scsi_check_response(&res[i], VIRTIO_SCSI_S_OK);
		check_same(res[i].data, data, 20 << 20, "read");
	}
}

/* More than the ring has at a time, in an order that the device chooses. */
TEST(many_commands_at_once_ok)
{
	struct vq *vq = start(scsi_target_new(16), 64 << 20);
	struct scsi_result res[60];
	unsigned char data[4096];
	struct scsi_cmd cmd;

	for (unsigned int i = 0; i < 60; i++) {
		fill(data, sizeof(data), i);
		cmd = scsi_cmd_write(i * 8, 8, data);
		res[i] = scsi_cmd_add(vq, &cmd);
	}
	blk_send(vq);
	scsi_finish_all(vq, res, 60);
	for (unsigned int i = 0; i < 60; i++) {
		scsi_check_response(&res[i], VIRTIO_SCSI_S_OK);
		fill(data, sizeof(data), i);
		read_blocks(vq, i * 8, 8, data, NULL);
	}
}
