// SPDX-License-Identifier: GPL-2.0
/* drivers/vhost/scsi/request.c: what a header asks for, and whether it may. */
#include "../../drivers/vhost/scsi/request.c"

#include <stdint.h>
#include "tap.h"

#define OK		VIRTIO_SCSI_S_OK
#define BAD_TARGET	VIRTIO_SCSI_S_BAD_TARGET
#define FAILURE		VIRTIO_SCSI_S_FAILURE
#define READ		{ 0x28 }
#define WRITE		{ 0x2a }
#define TUR		{ 0x00 }

static const struct lun {
	const char *name;
	uint8_t bytes[8];
	bool good;
	uint8_t target;
	uint16_t lun;
	bool well_known;
} luns[] = {
	{ "peripheral_0", { 1, 0, 0, 0 }, true, 0, 0 },
	{ "peripheral_255", { 1, 3, 0, 255 }, true, 3, 255 },
	{ "flat_0", { 1, 255, 0x40, 0 }, true, 255, 0 },
	{ "flat_256", { 1, 1, 0x41, 0 }, true, 1, 256 },
	{ "flat_16383", { 1, 1, 0x7f, 0xff }, true, 1, 16383 },
	{ "well_known", { 0xc1, 1 }, true, 0, 0, true },
	{ "well_known_of_a_target", { 1, 9, 0xc1, 1 }, true, 9, 0, true },
	{ "another_well_known_rejected", { 0xc1, 2 } },
	{ "well_known_and_a_lun_rejected", { 0xc1, 1, 0, 1 } },
	{ "another_well_known_of_a_target_rejected", { 1, 9, 0xc1, 2 } },
	{ "bus_1_rejected", { 1, 1, 1, 0 } },
	{ "bus_63_rejected", { 1, 1, 0x3f, 0 } },
	{ "logical_unit_addressing_rejected", { 1, 1, 0x80, 0 } },
	{ "extended_rejected", { 1, 1, 0xc0, 0 } },
	{ "first_byte_0_rejected", { 0, 1, 0, 0 } },
	{ "first_byte_2_rejected", { 2, 1, 0, 0 } },
	{ "byte_4_rejected", { 1, 1, 0, 0, 1 } },
	{ "byte_7_rejected", { 1, 1, 0, 0, 0, 0, 0, 1 } },
	{ "byte_5_of_the_well_known_rejected", { 0xc1, 1, 0, 0, 0, 1 } },
};

TEST_V(lun, luns)
{
	struct vhost_scsi_lun lun;

	check_eq(vhost_scsi_parse_lun(v->bytes, &lun), v->good);
	if (!v->good)
		return;
	check_eq(lun.target, v->target);
	check_eq(lun.lun, v->lun);
	check_eq(lun.well_known, v->well_known);
}

#define MAX	((u64)VHOST_SCSI_BYTES_MAX)

static const struct request {
	const char *name;
	uint8_t cdb[32];
	u64 out, in;
	u32 pi_out, pi_in;
	uint8_t response, key;
	u32 bytes, pi;
} requests[] = {
	{ "no_data_ok", TUR },
	{ "read_ok", READ, 0, 512, .bytes = 512 },
	{ "write_ok", WRITE, 512, 0, .bytes = 512 },
	{ "read_of_all_ok", READ, 0, MAX, .bytes = MAX },
	{ "write_of_all_ok", WRITE, MAX, 0, .bytes = MAX },
	{ "a_byte_more_rejected", READ, 0, MAX + 1, .key = 5 },
	{ "4_gib_rejected", READ, 0, 1ull << 32, .key = 5 },
	{ "4_tib_rejected", WRITE, 1ull << 42, 0, .key = 5 },
	{ "both_ways_rejected", TUR, 1, 1, .response = FAILURE },
	{ "write_that_reads_rejected", WRITE, 0, 512, .response = FAILURE },
	{ "read_that_writes_rejected", READ, 512, 0, .response = FAILURE },
	{ "vendor_specific_reads_ok", { 0xc0 }, 0, 512, .bytes = 512 },
	{ "vendor_specific_writes_ok", { 0xc0 }, 512, 0, .bytes = 512 },
	{ "write_32_that_reads_rejected", { 0x7f, [7] = 24, [9] = 0x0b }, 0, 512,
	  .response = FAILURE },
	{ "read_32_ok", { 0x7f, [7] = 24, [9] = 0x09 }, 0, 512, .bytes = 512 },
	{ "cdb_of_33_rejected", { 0x7f, [7] = 25, [9] = 0x09 }, 0, 512, .key = 5 },
	{ "cdb_of_263_rejected", { 0x7f, [7] = 255 }, .key = 5 },
	{ "pi_of_a_write_ok", WRITE, 520, 0, 8, 0, .bytes = 512, .pi = 8 },
	{ "pi_of_a_read_ok", READ, 0, 520, 0, 8, .bytes = 512, .pi = 8 },
	{ "pi_beside_all_ok", READ, 0, MAX + VHOST_SCSI_PI_MAX, 0, VHOST_SCSI_PI_MAX,
	  .bytes = MAX, .pi = VHOST_SCSI_PI_MAX },
	{ "more_pi_than_there_can_be_rejected", READ, 0, MAX, 0, VHOST_SCSI_PI_MAX + 8, .key = 5 },
	{ "pi_as_data_rejected", WRITE, 512, 0, 512, 0, .response = BAD_TARGET },
	{ "pi_more_than_data_rejected", WRITE, 512, 0, 520, 0, .response = BAD_TARGET },
	{ "pi_all_ones_rejected", READ, 0, 512, 0, 0xffffffff, .response = BAD_TARGET },
	{ "pi_odd_rejected", READ, 0, 512, 0, 9, .response = BAD_TARGET },
	{ "pi_without_data_rejected", TUR, 0, 0, 8, 0, .response = BAD_TARGET },
	{ "pi_of_the_other_way_rejected", READ, 0, 520, 8, 0, .response = BAD_TARGET },
	{ "pi_of_both_rejected", WRITE, 520, 0, 8, 8, .response = BAD_TARGET },
};

TEST_V(request, requests)
{
	struct vhost_scsi_header hdr = {
		.lun = (u8[8]){ 1, 1 }, .tag = 7, .pi_out = v->pi_out, .pi_in = v->pi_in,
		.cdb = v->cdb,
	};
	struct vhost_scsi_verdict verdict = { .response = 0xff };
	bool good = v->response == OK && !v->key;
	struct vhost_scsi_command command;

	check_eq(vhost_scsi_parse(&hdr, v->out, v->in, &command, &verdict), good);
	check_eq(command.bytes, v->bytes);
	if (!good) {
		check_eq(verdict.response, v->response);
		check_eq(verdict.key, v->key);
		return;
	}
	check_eq(command.pi, v->pi);
	check_eq(command.tag, 7);
	check_eq(command.dir, v->out ? VHOST_SCSI_OUT : v->in ? VHOST_SCSI_IN :
		 VHOST_SCSI_NO_DATA);
}

TEST(lun_is_judged_first)
{
	struct vhost_scsi_header hdr = {
		.lun = (u8[8]){ 9 }, .cdb = (u8[VHOST_SCSI_CDB_BYTES])WRITE,
	};
	struct vhost_scsi_verdict verdict;
	struct vhost_scsi_command command;

	check(!vhost_scsi_parse(&hdr, 1, 1, &command, &verdict), "it was taken");
	check_eq(verdict.response, BAD_TARGET);
}

/* What may be pinned is what moves blocks; all of it has a way of its own. */
TEST(what_reads_and_writes_has_a_way)
{
	unsigned int n = 0;
	u8 cdb[32] = { 0 };

	for (unsigned int op = 0; op < 256; op++) {
		cdb[0] = op;
		if (!vhost_scsi_cdb_is_rw(cdb))
			continue;
		n++;
		check(vhost_scsi_cdb_dir(cdb) == VHOST_SCSI_IN ||
		      vhost_scsi_cdb_dir(cdb) == VHOST_SCSI_OUT, "operation 0x%02x", op);
	}
	check_eq(n, 10);
}

static const struct range {
	const char *name;
	uint8_t cdb[32];
	bool good;
	u64 lba;
	u32 blocks;
	u8 protect;
} ranges[] = {
	{ "read_10_ok", { 0x28, 0, 1, 2, 3, 4, 0, 5, 6 }, true, 0x01020304, 0x0506 },
	{ "write_10_ok", { 0x2a, 0, 255, 255, 255, 255, 0, 255, 255 }, true, 0xffffffff, 0xffff },
	{ "read_16_ok", { 0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, true,
	  0x0102030405060708, 0x090a0b0c },
	{ "write_16_ok", { 0x8a }, true, 0, 0 },
	{ "group_number_ok", { 0x28, [6] = 31, [8] = 1 }, true, 0, 1 },
	{ "fua_rejected", { 0x2a, 0x08, [8] = 1 } }, { "dpo_rejected", { 0x28, 0x10, [8] = 1 } },
	{ "protect_ok", { 0x88, 0x20, [13] = 1 }, true, 0, 1, 1 },
	{ "all_of_protect_ok", { 0x2a, 0xe0, [8] = 1 }, true, 0, 1, 7 },
	{ "bits_behind_protect_rejected", { 0x2a, 0x21, [8] = 1 } },
	{ "control_of_10_rejected", { 0x28, [8] = 1, [9] = 4 } },
	{ "control_of_16_rejected", { 0x8a, [13] = 1, [15] = 4 } },
	{ "read_6_rejected", { 0x08, [4] = 1 } }, { "read_12_rejected", { 0xa8, [9] = 1 } },
	{ "verify_rejected", { 0x2e, [8] = 1 } }, { "read_32_rejected", { 0x7f, [9] = 0x09 } },
	{ "no_read_rejected", { 0x00 } },
};

TEST_V(range, ranges)
{
	struct vhost_scsi_range range = { 0 };

	check_eq(vhost_scsi_cdb_range(v->cdb, &range), v->good);
	if (!v->good)
		return;
	check_eq(range.lba, v->lba);
	check_eq(range.blocks, v->blocks);
	check_eq(range.protect, v->protect);
}

static const struct tuple {
	const char *name;
	uint8_t bytes[8];
	unsigned int type;
	u8 ascq;
} tuples[] = {
	/* Of block 0x1_00000203, whose guard is 0xabcd. */
	{ "good", { 0xab, 0xcd, 1, 2, 0, 0, 2, 3 }, 1, 0 },
	{ "guard", { 0xab, 0xcc, 1, 2, 0, 0, 2, 3 }, 1, 1 },
	{ "guard_before_reference_tag", { 0xab, 0xcc, 1, 2, 0, 0, 2, 4 }, 1, 1 },
	{ "reference_tag", { 0xab, 0xcd, 1, 2, 0, 0, 2, 4 }, 1, 3 },
	{ "upper_byte_of_reference_tag", { 0xab, 0xcd, 1, 2, 1, 0, 2, 3 }, 1, 3 },
	{ "escape", { 0, 0, 0xff, 0xff, 9, 9, 9, 9 }, 1, 0 },
	{ "no_escape", { 0, 0, 0xff, 0xfe, 0, 0, 2, 3 }, 1, 1 },
	{ "type_3_has_no_reference_tag", { 0xab, 0xcd, 1, 2, 9, 9, 9, 9 }, 3, 0 },
	{ "guard_of_type_3", { 0xab, 0xcc, 1, 2, 9, 9, 9, 9 }, 3, 1 },
	{ "escape_of_type_3", { 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, 3, 0 },
	{ "half_an_escape_of_type_3", { 0, 0, 0xff, 0xff, 0, 0, 0, 0 }, 3, 1 },
};

TEST_V(tuple, tuples)
{
	check_eq(vhost_scsi_check_tuple(v->bytes, 0xabcd, 0x100000203, v->type), v->ascq);
}

TEST(commands_are_counted_by_what_they_do)
{
	check_eq(vhost_scsi_cdb_op((u8[32]){ 0x08 }), VHOST_SCSI_READ);
	check_eq(vhost_scsi_cdb_op((u8[32]){ 0x88 }), VHOST_SCSI_READ);
	check_eq(vhost_scsi_cdb_op((u8[32]){ 0x8a }), VHOST_SCSI_WRITE);
	check_eq(vhost_scsi_cdb_op((u8[32]){ 0x35 }), VHOST_SCSI_FLUSH);
	check_eq(vhost_scsi_cdb_op((u8[32]){ 0x91 }), VHOST_SCSI_FLUSH);
	check_eq(vhost_scsi_cdb_op((u8[32]){ 0x42 }), VHOST_SCSI_OTHER);
	check_eq(vhost_scsi_cdb_op((u8[32]){ 0x00 }), VHOST_SCSI_OTHER);
}

/* What is sent at once moves blocks, or only tells something. */
TEST(what_is_quick_is_known)
{
	static const u8 tell[] = { 0x00, 0x03, 0x12, 0x1a, 0x25, 0x5a, 0x9e, 0xa0 };
	u8 cdb[32] = { 0 };
	bool expected;

	for (unsigned int op = 0; op < 256; op++) {
		cdb[0] = op;
		expected = vhost_scsi_cdb_is_rw(cdb) || memchr(tell, op, sizeof(tell));
		check(vhost_scsi_cdb_is_quick(cdb) == expected, "operation 0x%02x", op);
	}
}

TEST(sense_has_a_fixed_format)
{
	const struct vhost_scsi_verdict verdict = { .key = 5, .asc = 0x24, .ascq = 1 };
	const u8 want[18] = { 0x70, 0, 5, [7] = 10, [12] = 0x24, [13] = 1 };
	u8 got[18];

	memset(got, 0xff, sizeof(got));
	vhost_scsi_fill_sense(got, &verdict);
	check(!memcmp(got, want, sizeof(got)), "it is otherwise");
}
