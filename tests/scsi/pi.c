// SPDX-License-Identifier: GPL-2.0
/*
 * Protection information from the guest to a medium that keeps it, and back: 8 bytes
 * for each block, a guard, an application tag and a reference tag.
 */
#include <endian.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "integrity.h"
#include "scsi.h"
#include "tap.h"

#define RESP sizeof(struct virtio_scsi_cmd_resp)
#define HEADER sizeof(struct virtio_scsi_cmd_req_pi)
#define PI PI_TUPLE
#define LBA 40

#define NVME { NULL, "T10-DIF-TYPE1-CRC" }
#define SCSI_1 { "dif=1 dix=1", "T10-DIF-TYPE1-CRC" }
#define SCSI_3 { "dif=3 dix=1", "T10-DIF-TYPE3-CRC" }

static const struct medium {
	const char *name;
	/* That of the target core's RAM disk; 0: a disk. */
	unsigned int ram_type;
	struct pi_disk disk;
	bool long_way;
} media[] = {
	{ "ram_type_1", .ram_type = 1 }, { "ram_type_3", .ram_type = 3 },
	{ "nvme", .disk = NVME }, { "nvme_long_way", .disk = NVME, .long_way = true },
	{ "scsi_type_1", .disk = SCSI_1 }, { "scsi_type_3", .disk = SCSI_3 },
	{ "scsi_long_way", .disk = SCSI_1, .long_way = true },
};

static const struct medium ram = { "", .ram_type = 1 };

static const char *disk_of(const struct medium *m)
{
	return m->ram_type ? NULL : pi_disk_new(&m->disk);
}

/* @path: as disk_of() said. */
static struct vq *start_with(const struct medium *m, const char *path, uint64_t features)
{
	struct scsi_lun lun = { .mb = 16, .pi_type = m->ram_type, .path = path };
	struct vdev *dev = scsi_start(scsi_target_with(&lun), 1, 128, features);

	if (m->long_way)
		scsi_set_direct(false);
	vdev_start(dev);
	return scsi_queue(dev, 0);
}

static struct vq *start_on(const struct medium *m, const char *path)
{
	return start_with(m, path, SCSI_FEATURES | BIT(VIRTIO_SCSI_F_T10_PI));
}

static struct vq *start(const struct medium *m)
{
	return start_on(m, disk_of(m));
}

static void must(struct vq *vq, const struct scsi_cmd *cmd, uint8_t key, uint8_t ascq)
{
	struct scsi_result res = scsi_cmd_do(vq, cmd);

	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, key, key ? 0x10 : 0, ascq);
	scsi_result_free(&res);
}

static void both_ways(struct vq *vq, unsigned int blocks, const struct blk_layout *l)
{
	unsigned char *bytes = pi_protected(LBA, blocks, blocks);
	struct scsi_cmd cmd = scsi_cmd_write_pi(LBA, blocks, bytes);
	struct scsi_result res;

	cmd.layout = l;
	must(vq, &cmd, 0, 0);
	cmd = scsi_cmd_read_pi(LBA, blocks);
	cmd.layout = l;
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 0, 0, 0);
	check_eq(res.io.used_len, RESP + cmd.in_len);
	check_same(res.data, bytes, blocks * PI, "protection information");
	check_same(res.data + blocks * PI, bytes + blocks * PI, blocks * SCSI_BLOCK, "data");
	scsi_result_free(&res);
	free(bytes);
}

TEST_PATHS(tuples_come_back_as_written, media)
{
	struct vq *vq = start(v);

	both_ways(vq, 1, NULL);
	both_ways(vq, 8, NULL);
	both_ways(vq, 8, &(struct blk_layout){ "", .out = { HEADER, 64 }, .in = { RESP, 64 } });
	both_ways(vq, 100, NULL);
	/* More than a page of tuples. */
	both_ways(vq, 2048, &(struct blk_layout){
		"", .out = { HEADER }, .out_every = 65536, .in = { RESP }, .in_every = 65536 });
}

static const struct blk_layout layouts[] = {
	{ "one_descriptor_each_way", .direct = VQ_DIRECT },
	{ "tuples_in_pieces", .out = { HEADER, 3, 5, 11 }, .in = { RESP, 3, 5, 11 } },
	{ "small_pieces", .out_every = 700, .in_every = 700 },
	{ "misaligned", .out = { HEADER, 64 }, .in = { RESP, 64 }, .offset = 3 },
};

TEST_V(layout_ok, layouts)
{
	both_ways(start(&ram), 8, v);
}

/* What is damaged is caught, with the sense for it, and nothing is written. */
static const struct damage {
	const char *name;
	unsigned int at;	/* byte of the second tuple */
	uint8_t ascq;
	struct medium medium;
} damages[] = {
	{ "guard", 0, 1, { "", 1 } }, { "reference_tag", 7, 3, { "", 1 } },
	{ "guard_of_type_3", 1, 1, { "", 3 } },
	{ "guard_to_nvme", 0, 1, { "", .disk = NVME } },
	{ "reference_tag_to_nvme", 7, 3, { "", .disk = NVME } },
	{ "guard_to_scsi", 0, 1, { "", .disk = SCSI_1 } },
	{ "reference_tag_to_scsi", 7, 3, { "", .disk = SCSI_1 } },
	{ "guard_to_scsi_type_3", 0, 1, { "", .disk = SCSI_3 } },
	{ "guard_to_nvme_long_way", 0, 1, { "", .disk = NVME, .long_way = true } },
	{ "reference_tag_to_scsi_long_way", 7, 3, { "", .disk = SCSI_1, .long_way = true } },
};

TEST_PATHS(damaged_write_is_refused, damages)
{
	unsigned char *bytes = pi_protected(LBA, 4, 1);
	struct scsi_cmd cmd = scsi_cmd_write_pi(LBA, 4, bytes);
	struct vq *vq = start(&v->medium);
	struct scsi_result res;

	must(vq, &cmd, 0, 0);
	free(bytes);
	bytes = pi_protected(LBA, 4, 2);
	bytes[PI + v->at] ^= 1;
	cmd = scsi_cmd_write_pi(LBA, 4, bytes);
	must(vq, &cmd, 0xb, v->ascq);
	free(bytes);
	bytes = pi_protected(LBA, 4, 1);
	cmd = scsi_cmd_read_pi(LBA, 4);
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_sense(&res, 0, 0, 0);
	check_same(res.data, bytes, 4 * (PI + SCSI_BLOCK), "the disk");
}

/* Type 3 has nothing that says where a block belongs. */
static const struct medium placed[] = {
	{ "ram", .ram_type = 1 }, { "nvme", .disk = NVME }, { "scsi", .disk = SCSI_1 },
};

/* Written for another place, as a misdirected write is. */
TEST_PATHS(misdirected_write_is_refused, placed)
{
	unsigned char *bytes = pi_protected(LBA + 8, 4, 1);
	struct scsi_cmd cmd = scsi_cmd_write_pi(LBA, 4, bytes);

	must(start(v), &cmd, 0xb, 3);
}

/* All three of what the guest wrote, by another way to the medium. */
TEST(tuples_are_on_the_medium)
{
	static const struct medium nvme = { "", .disk = NVME };
	const char *path = disk_of(&nvme);
	unsigned char *bytes = pi_protected(LBA, 8, 1), data[SCSI_BLOCK], tuple[PI];
	struct scsi_cmd cmd = scsi_cmd_write_pi(LBA, 8, bytes);

	must(start_on(&nvme, path), &cmd, 0, 0);
	for (unsigned int i = 0; i < 8; i++) {
		pi_read_nvme(path, LBA + i, data, tuple);
		check_same(tuple, bytes + i * PI, PI, "protection information");
		check_same(data, bytes + 8 * PI + i * SCSI_BLOCK, SCSI_BLOCK, "data");
	}
}

static const struct medium disks[] = {
	{ "nvme", .disk = NVME }, { "nvme_long_way", .disk = NVME, .long_way = true },
	{ "scsi_type_1", .disk = SCSI_1 }, { "scsi_type_3", .disk = SCSI_3 },
	{ "scsi_long_way", .disk = SCSI_1, .long_way = true },
};

static void write_blocks(struct vq *vq, uint32_t lba, unsigned int blocks, uint64_t seed)
{
	unsigned char *bytes = pi_protected(lba, blocks, seed);
	struct scsi_cmd cmd = scsi_cmd_write_pi(lba, blocks, bytes);

	must(vq, &cmd, 0, 0);
	free(bytes);
}

/* A read that must not be good, of which the guest has no data. */
static void read_must_fail(struct vq *vq, uint32_t lba, unsigned int blocks, uint8_t ascq)
{
	struct scsi_cmd cmd = scsi_cmd_read_pi(lba, blocks);

	must(vq, &cmd, 0xb, ascq);
	/* And so must one that is not about its protection. */
	cmd = scsi_cmd_read(lba, blocks);
	must(vq, &cmd, 0xb, ascq);
}

/* Where it is, is an answer too: the information field of fixed format sense. */
static void must_tell_block(struct vq *vq, const struct scsi_cmd *cmd, uint32_t lba)
{
	struct scsi_result res = scsi_cmd_do(vq, cmd);
	const uint8_t *sense = res.resp.sense;
	uint32_t told;

	check_eq(sense[0], 0xf0);
	memcpy(&told, sense + 3, sizeof(told));
	check_eq(be32toh(told), lba);
	scsi_result_free(&res);
}

TEST_PATHS(damaged_block_is_an_error, disks)
{
	const char *path = disk_of(v);
	struct vq *vq = start_on(v, path);
	struct scsi_cmd cmd;

	write_blocks(vq, LBA, 8, 1);
	pi_damage(path, LBA + 2);
	read_must_fail(vq, LBA + 2, 1, 1);
	read_must_fail(vq, LBA, 8, 1);
	cmd = scsi_cmd_read_pi(LBA, 8);
	must_tell_block(vq, &cmd, LBA + 2);
	cmd = scsi_cmd_read_pi(LBA, 2);
	must(vq, &cmd, 0, 0);
	cmd = scsi_cmd_read_pi(LBA + 3, 5);
	must(vq, &cmd, 0, 0);
	write_blocks(vq, LBA + 2, 1, 2);
	cmd = scsi_cmd_read_pi(LBA, 8);
	must(vq, &cmd, 0, 0);
}

static const struct {
	const char *name;
	uint32_t blocks;
	struct medium medium;
} tuples[] = {
	{ "few", 8, { "", .ram_type = 1 } }, { "many", 512, { "", .ram_type = 1 } },
	{ "few_of_the_short_way", 8, { "", .disk = NVME } },
};

/* A command that makes none has no others to show. */
TEST_V(tuples_of_the_command_before_are_gone, tuples)
{
	struct scsi_cmd inquiry = { .cdb = { 0x12, 0, 0, 0x20 }, .pi_in = v->blocks * PI,
				    .in_len = v->blocks * PI + 0x2000 };
	struct vq *vq = start(&v->medium);
	struct scsi_result res;

	for (unsigned int i = 0; i < 4; i++) {
		both_ways(vq, v->blocks, NULL);
		res = scsi_cmd_do(vq, &inquiry);
		scsi_check_response(&res, VIRTIO_SCSI_S_OK);
		scsi_check_sense(&res, 0, 0, 0);
		for (uint32_t at = 0; at < inquiry.pi_in; at++)
			check(!res.data[at], "byte %u of the tuples is %02x", at, res.data[at]);
		check_same(res.data + inquiry.pi_in + 8, (const unsigned char *)"LIO-ORG", 7,
			   "the vendor");
		scsi_result_free(&res);
	}
}

static const struct lengths {
	const char *name;
	bool out;
	uint32_t pi_out, pi_in, len;
} bad[] = {
	{ "as_much_as_data", true, 4096, 0, 4096 },
	{ "more_than_data", true, 4097, 0, 4096 },
	{ "all_ones", true, 0xffffffff, 0, 4096 },
	{ "no_multiple_of_8", true, 12, 0, 4096 },
	{ "read_as_much_as_data", false, 0, 4096, 4096 },
	{ "read_all_ones", false, 0, 0xffffffff, 4096 },
	{ "write_with_that_of_a_read", true, 0, 64, 4096 },
	{ "read_with_that_of_a_write", false, 64, 0, 4096 },
	{ "both", true, 64, 64, 4096 },
	{ "without_data", true, 8, 0, 0 },
};

/* VIRTIO 5.6.6.1. The in-tree module of 6.12 takes some of them. */
TEST_PATHS(bad_length_rejected, bad)
{
	unsigned char *bytes = calloc(1, 8192);
	struct scsi_cmd cmd = v->out ? scsi_cmd_write(0, 8, bytes) : scsi_cmd_read(0, 8);
	struct scsi_result res;

	cmd.pi_out = v->pi_out;
	cmd.pi_in = v->pi_in;
	if (v->out)
		cmd.out_len = v->len;
	else
		cmd.in_len = v->len;
	res = scsi_cmd_do(start(&ram), &cmd);
	scsi_check_response(&res, VIRTIO_SCSI_S_BAD_TARGET);
	check_eq(res.io.used_len, RESP);
}

/* Less than the blocks have: a device would move more than there is. */
TEST(less_than_the_blocks_have_rejected)
{
	unsigned char *bytes = pi_protected(LBA, 8, 1);
	struct scsi_cmd cmd = scsi_cmd_write_pi(LBA, 8, bytes);
	struct vq *vq = start(&ram);
	struct scsi_result res;

	cmd.pi_out = 4 * PI;
	cmd.out_len = 8 * SCSI_BLOCK + 4 * PI;
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 5, 0x24, 0);
	scsi_result_free(&res);
	cmd = scsi_cmd_read_pi(LBA, 8);
	cmd.pi_in = PI;
	cmd.in_len = 8 * SCSI_BLOCK + PI;
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 5, 0x24, 0);
}

/* What there is of data and protection information, and what the CDB wants of it. */
static const struct mismatch {
	const char *name;
	bool out;
	uint8_t protect;
	unsigned int blocks;
	uint32_t data, pi;
	/* Else it is good, with so much of the data. */
	bool refused;
} mismatches[] = {
	{ "read_of_less", false, 1, 1, 65536, 8 },
	{ "plain_read_of_less", false, 0, 1, 65536, 0 },
	{ "read_of_more", false, 1, 8, 512, 64, true },
	{ "read_of_nothing", false, 1, 0, 4096, 0 },
	{ "plain_read_of_nothing", false, 0, 0, 65536, 0 },
	{ "read_with_more_protection", false, 1, 1, 512, 64, true },
	{ "write_of_less", true, 1, 1, 65536, 8 },
	{ "write_of_more", true, 1, 8, 512, 64, true },
	{ "write_of_nothing", true, 1, 0, 4096, 0 },
	{ "write_with_more_protection", true, 1, 1, 512, 64, true },
};

static void send_mismatch(struct vq *vq, const struct mismatch *m, const unsigned char *bytes)
{
	struct scsi_cmd cmd = m->out ? scsi_cmd_write(LBA, m->blocks, bytes) :
				       scsi_cmd_read(LBA, m->blocks);
	struct scsi_result res;

	cmd.cdb[1] = m->protect << 5;
	*(m->out ? &cmd.pi_out : &cmd.pi_in) = m->pi;
	*(m->out ? &cmd.out_len : &cmd.in_len) = m->pi + m->data;
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, m->refused ? 5 : 0, 0x24, 0);
	if (!m->refused) {
		check_eq(le32toh(res.resp.resid), m->data - m->blocks * SCSI_BLOCK);
		if (!m->out)
			check_eq(res.io.used_len, RESP + m->pi + m->blocks * SCSI_BLOCK);
	}
	scsi_result_free(&res);
}

/* A device that moves more than there is of either moves it out of or into the host's memory. */
static void mismatch(const struct medium *m, const struct mismatch *mismatch)
{
	unsigned char *was = pi_protected(LBA + 1, 7, 1), *bytes = calloc(1, 128 * 1024);
	unsigned char *block = pi_protected(LBA, 1, 2);
	struct scsi_cmd cmd = scsi_cmd_write_pi(LBA + 1, 7, was);
	struct vq *vq = start(m);
	struct scsi_result res;

	must(vq, &cmd, 0, 0);
	memcpy(bytes, block, PI);
	memcpy(bytes + mismatch->pi, block + PI, SCSI_BLOCK);
	cmd = scsi_cmd_write_pi(LBA, 1, block);
	must(vq, &cmd, 0, 0);
	send_mismatch(vq, mismatch, bytes);
	cmd = scsi_cmd_read_pi(LBA + 1, 7);
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_sense(&res, 0, 0, 0);
	check_same(res.data, was, 7 * (PI + SCSI_BLOCK), "the blocks behind");
	both_ways(vq, 8, NULL);
}

TEST_PATHS(data_of_another_length_on_ram, mismatches)
{
	mismatch(&ram, v);
}

TEST_PATHS(data_of_another_length_on_nvme, mismatches)
{
	mismatch(&(struct medium){ "", .disk = NVME }, v);
}

TEST_PATHS(data_of_another_length_on_scsi, mismatches)
{
	mismatch(&(struct medium){ "", .disk = SCSI_1 }, v);
}

static const struct {
	const char *name;
	uint8_t opcode;
} of_nothing[] = { { "read", 0x88 }, { "write", 0x8a } };

/* LIO would oops over it: it must not get there. */
TEST_V(no_blocks_ok, of_nothing)
{
	struct scsi_cmd cmd = { .cdb = { v->opcode, 1 << 5 } };
	struct vq *vq = start(&ram);

	must(vq, &cmd, 0, 0);
	both_ways(vq, 1, NULL);
}

/* A driver that did not accept the feature has headers without the lengths. */
TEST_PATHS(without_the_feature_ok, media)
{
	struct vq *vq = start_with(v, disk_of(v), SCSI_FEATURES);
	unsigned char data[4096];
	struct scsi_result res;
	struct scsi_cmd cmd;

	fill(data, sizeof(data), 1);
	cmd = scsi_cmd_write(LBA, 8, data);
	must(vq, &cmd, 0, 0);
	cmd = scsi_cmd_read(LBA, 8);
	res = scsi_cmd_do(vq, &cmd);
	scsi_check_sense(&res, 0, 0, 0);
	check_same(res.data, data, sizeof(data), "data");
}

static void *scribble(void *arg)
{
	for (unsigned char n = 0;; n++) {
		memset(arg, n, 64 * 1024);
		pthread_testcancel();
	}
	return NULL;
}

/*
 * Linux's page cache changes what it writes while it is written. Without protection
 * information of the guest, what is on the medium is then either, and good.
 */
TEST_PATHS(data_may_change_while_it_is_written, media)
{
	struct vq *vq = start_with(v, disk_of(v), SCSI_FEATURES);
	uint64_t gpa = guest_alloc(&vq->dev->mem, 64 * 1024, GUEST_PAGE);
	struct scsi_io io = scsi_write10(LBA, 128, gpa);
	struct scsi_cmd cmd = scsi_cmd_read(LBA, 128);
	pthread_t thread;

	check(!pthread_create(&thread, NULL, scribble,
			      guest_ptr(&vq->dev->mem, gpa, 65536)), "no thread");
	for (unsigned int i = 0; i < 30; i++)
		scsi_do(vq, &io);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	must(vq, &cmd, 0, 0);
}

/* With virtual_gb, scsi_debug has another block where this one is: see pi_misdirect(). */
static const struct medium reached_otherwise[] = {
	{ "nvme", .disk = NVME },
	{ "scsi", .disk = { "dif=1 dix=1 virtual_gb=1", "T10-DIF-TYPE1-CRC" } },
	{ "scsi_long_way", .disk = { "dif=1 dix=1 virtual_gb=1", "T10-DIF-TYPE1-CRC" },
	  .long_way = true },
};

static void write_sector(void *arg, uint64_t sector, const void *data)
{
	struct scsi_cmd cmd = scsi_cmd_write(sector, 1, data);

	must(arg, &cmd, 0, 0);
}

TEST_PATHS(misdirected_block_is_an_error, reached_otherwise)
{
	const char *path = disk_of(v);
	struct vq *vq = start_on(v, path);
	struct scsi_cmd cmd;

	write_blocks(vq, 0, 64, 1);
	pi_misdirect(&v->disk, path, 30, write_sector, vq);
	/* What was wrong, this kernel's NVMe driver has no way to tell: it says guard. */
	read_must_fail(vq, 30, 1, v->disk.scsi_debug ? 3 : 1);
	cmd = scsi_cmd_read_pi(31, 33);
	must(vq, &cmd, 0, 0);
}

/* What a plain command needs of the device's protection, and what one with it. */
TEST_PATHS(commands_go_the_short_way, disks)
{
	struct vq *vq = start(v);
	struct scsi_cmd tur = { 0 };

	must(vq, &tur, 0, 0);
	both_ways(vq, 1, &(struct blk_layout){ "", .out = { HEADER, 8 }, .in = { RESP, 8 } });
	both_ways(vq, 64, &(struct blk_layout){ "", .out = { HEADER, 512 }, .in = { RESP, 512 } });
	check_eq(vdev_stat(SCSI_FIRST_QUEUE, "direct", 1), v->long_way ? 0 : 4);
	/* In pieces, before data that a page ends in a block of, or more of it: it does not. */
	both_ways(vq, 8, &(struct blk_layout){ "", .out = { HEADER, 3 }, .in = { RESP, 3 } });
	both_ways(vq, 8, NULL);
	both_ways(vq, 65, &(struct blk_layout){ "", .out = { HEADER, 520 }, .in = { RESP, 520 } });
	check_eq(vdev_stat(SCSI_FIRST_QUEUE, "direct", 1), v->long_way ? 0 : 4);
}

/* READ CAPACITY (16): is the LUN one with protection information? */
static bool says_protected(struct vq *vq)
{
	struct scsi_cmd cmd = { .cdb = { 0x9e, 0x10, [13] = 32 }, .in_len = 32 };
	struct scsi_result res = scsi_cmd_do(vq, &cmd);

	scsi_check_sense(&res, 0, 0, 0);
	return res.data[12] & 1;
}

/* As rtslib restores it: the nexus first. The in-tree module then has none. */
TEST(fabric_prot_type_set_after_the_nexus_counts)
{
	const char *target = scsi_target_new(16);
	struct vdev *dev;

	put_attribute(SCSI_TPG "/attrib", "fabric_prot_type", "1");
	dev = scsi_start(target, 1, 128, SCSI_FEATURES | BIT(VIRTIO_SCSI_F_T10_PI));
	vdev_start(dev);
	check(says_protected(scsi_queue(dev, 0)), "the LUN has no protection information");
	vdev_stop(dev);
	put_attribute(SCSI_TPG "/attrib", "fabric_prot_type", "0");
	check_ok(scsi_set_endpoint(dev, target));
	check(!says_protected(scsi_queue(dev, 0)), "the LUN has protection information");
}
