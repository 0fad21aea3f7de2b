// SPDX-License-Identifier: GPL-2.0
/*
 * The same commands to the kernel's own vhost_scsi and to ours, each over a target that is
 * made for it, and all that the guest then has of them, byte for byte. What is meant to
 * differ says so, and why: the row of the table in Documentation/vhost-scsi.md. The used
 * length differs always. What hangs the kernel's module, or the host, is not here.
 */
#include <endian.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integrity.h"
#include "load.h"
#include "scsi.h"
#include "tap.h"

#define RESP sizeof(struct virtio_scsi_cmd_resp)
#define HEADER sizeof(struct virtio_scsi_cmd_req)
#define PI_HEADER sizeof(struct virtio_scsi_cmd_req_pi)
#define BLOCK SCSI_BLOCK
#define DISK_MB 16

/* LUN 0 is a block device, LUN 1 a RAM disk; or both are RAM disks, of type 1 and type 3. */
#define DISK 0
#define RAM 1
#define LUNS 2

/* What of an answer can differ. */
enum {
	RESPONSE = BIT(0), STATUS = BIT(1), QUALIFIER = BIT(2), RESIDUAL = BIT(3),
	SENSE = BIT(4), SENSE_LENGTH = BIT(5),
	/* As much of it as ours says to have read, and room behind that. */
	DATA = BIT(6), BEHIND = BIT(7),
	/* Whether the eventfd for a queue's errors has fired. */
	ERROR = BIT(8),
};

static const char *const parts[] = {
	"RESPONSE", "STATUS", "QUALIFIER", "RESIDUAL", "SENSE", "SENSE_LENGTH", "DATA", "BEHIND",
	"ERROR",
};

/* A request of the control queue: so many bytes of it, and room for its answer. */
struct control {
	uint32_t type, subtype;
	uint8_t lun[8];
	uint32_t len, room;
};

/* A command, or a request of the control queue; or that, which finds the command in flight. */
struct step {
	const char *name;
	struct scsi_cmd cmd;
	const struct control *control;
	bool in_flight;
	/* That, for the reason that a row tells; on one LUN only: BIT(DISK), BIT(RAM). */
	unsigned int differs;
	const char *why;
	unsigned int on;
};

#define NO_DATA(...) { .cdb = { __VA_ARGS__ } }
#define READS(bytes, ...) { .cdb = { __VA_ARGS__ }, .in_len = (bytes) }
#define WRITES(bytes, from, ...) { .cdb = { __VA_ARGS__ }, .out = (from), .out_len = (bytes) }
#define DIFFERS(what, row) .differs = (what), .why = (row)
#define ON_DISK .on = BIT(DISK)
#define ON_RAM .on = BIT(RAM)

/* Rows of the table. */
#define BEHIND_IT "what is behind parameter data that was read"
#define LESS "more asked for than there is room for"
#define EVENTFD "the error eventfd"
#define RANGE "VERIFY and SYNCHRONIZE CACHE of blocks"
#define MORE_ROOM "room for more blocks than the CDB has"
#define PIECES "data in pieces that are no blocks, of a block device"
#define WRONG_WAY "a write's CDB with data to read"
#define LONG_CDB "a CDB that says it is longer than 32 bytes"
#define SHORT_HEADER "a short header"
#define NO_LUN "a LUN that is not there"
#define NO_LUN_0 "a LUN 0 that is not there"
#define FORMAT "a LUN in a format that is none of VIRTIO's"
#define WELL_KNOWN "the well-known LUN"
#define FUNCTIONS "task management"
#define GOOD_ANSWER "its good answer"
#define FUNCTION_NO_LUN "a LUN that is not there, to task management"
#define RESET "a command that a LOGICAL UNIT RESET aborts"
#define READ_ONLY "a write to a backstore that is `readonly=1`"
#define SHORT_CONTROL "a short control request"
#define NO_TARGET "notifications of a target that is not there"
#define NONE_GIVEN "data without protection information, to a RAM disk with it"
#define NOT_ASKED_FOR "protection information, and RDPROTECT or WRPROTECT 0"
#define MAXIMUM "MAXIMUM TRANSFER LENGTH of a RAM disk"

/* One of them says GOOD, the other CHECK CONDITION. */
#define CHECK (STATUS | SENSE | SENSE_LENGTH)

#define ZEROED DIFFERS(BEHIND, BEHIND_IT)
#define ERRORS DIFFERS(ERROR, EVENTFD)
#define OVERRUN DIFFERS(RESPONSE | RESIDUAL, LESS)
#define OVERRUN_NOT_GOOD DIFFERS(RESPONSE | RESIDUAL | CHECK, LESS)
#define OVERRUN_OTHER_SENSE DIFFERS(RESPONSE | RESIDUAL | SENSE, LESS)

static unsigned char pattern[256 * BLOCK], other[BLOCK];
static const unsigned char zeroes[1024];

/* Before those of a family: what unit attentions a new target has. */
static const struct step first[] = {
	{ "first", NO_DATA(0) }, { "second", NO_DATA(0) }, { "third", NO_DATA(0) },
};

#define FIRST ARRAY_SIZE(first)

static const struct step inquiry[] = {
	{ "standard", READS(96, 0x12, [4] = 96) },
	{ "of_36_bytes", READS(36, 0x12, [4] = 36) },
	{ "of_5_bytes", READS(5, 0x12, [4] = 5) },
	{ "of_no_bytes", NO_DATA(0x12) },
	{ "of_1000_bytes", READS(1000, 0x12, [3] = 3, 0xe8), ZEROED },
	{ "more_room", READS(200, 0x12, [4] = 36), ZEROED },
	{ "room_and_nothing_asked_for", READS(200, 0x12), ZEROED },
	{ "less_room", READS(36, 0x12, [4] = 96), OVERRUN },
	{ "no_room", NO_DATA(0x12, [4] = 96), OVERRUN_NOT_GOOD },
	{ "page_without_evpd", READS(96, 0x12, 0, 0x80, [4] = 96), ZEROED },
	{ "cmddt", READS(96, 0x12, 2, [4] = 96) },
	{ "vpd_00", READS(255, 0x12, 1, 0, [4] = 255), ZEROED },
	{ "vpd_80", READS(255, 0x12, 1, 0x80, [4] = 255), ZEROED },
	{ "vpd_83", READS(255, 0x12, 1, 0x83, [4] = 255), ZEROED },
	{ "vpd_86", READS(255, 0x12, 1, 0x86, [4] = 255), ZEROED },
	{ "vpd_b0", READS(20, 0x12, 1, 0xb0, [4] = 20), DIFFERS(DATA, MAXIMUM), ON_RAM },
	{ "vpd_b1", READS(255, 0x12, 1, 0xb1, [4] = 255), ZEROED },
	{ "vpd_b2", READS(255, 0x12, 1, 0xb2, [4] = 255), ZEROED },
	{ "vpd_b3", READS(255, 0x12, 1, 0xb3, [4] = 255), ZEROED },
	{ "vpd_c0", READS(255, 0x12, 1, 0xc0, [4] = 255), ZEROED },
	{ "vpd_83_of_8_bytes", READS(8, 0x12, 1, 0x83, [4] = 8) },
	{ "vpd_83_of_1000_bytes", READS(1000, 0x12, 1, 0x83, 3, 0xe8), ZEROED },
	{ "vpd_83_less_room", READS(8, 0x12, 1, 0x83, [4] = 255), OVERRUN },
	{ "naca", READS(96, 0x12, [4] = 96, 4) },
};

static const struct step capacity_and_modes[] = {
	{ "test_unit_ready", NO_DATA(0) },
	{ "test_unit_ready_with_room", READS(64, 0), ZEROED },
	{ "request_sense", READS(18, 0x03, [4] = 18) },
	{ "request_sense_of_96_bytes", READS(96, 0x03, [4] = 96) },
	{ "request_sense_of_4_bytes", READS(4, 0x03, [4] = 4) },
	{ "request_sense_in_descriptors", READS(96, 0x03, 1, [4] = 96), ZEROED },
	{ "read_capacity_10", READS(8, 0x25) },
	{ "read_capacity_10_of_a_block", READS(8, 0x25, [5] = 1), ZEROED },
	{ "read_capacity_10_with_pmi", READS(8, 0x25, [5] = 1, [8] = 1) },
	{ "read_capacity_10_more_room", READS(64, 0x25), ZEROED },
	{ "read_capacity_10_less_room", READS(4, 0x25), OVERRUN },
	{ "read_capacity_16", READS(32, 0x9e, 0x10, [13] = 32) },
	{ "read_capacity_16_of_12_bytes", READS(12, 0x9e, 0x10, [13] = 12) },
	{ "read_capacity_16_more_room", READS(64, 0x9e, 0x10, [13] = 32), ZEROED },
	{ "report_referrals", READS(64, 0x9e, 0x13, [13] = 64), ZEROED },
	{ "service_action_in_16_unknown", READS(32, 0x9e, 0x12, [13] = 32) },
	{ "mode_sense_6_all", READS(255, 0x1a, 0, 0x3f, 0, 255), ZEROED },
	{ "mode_sense_6_all_subpages", READS(255, 0x1a, 0, 0x3f, 0xff, 255), ZEROED },
	{ "mode_sense_6_no_descriptor", READS(255, 0x1a, 8, 0x3f, 0, 255), ZEROED },
	{ "mode_sense_6_caching", READS(64, 0x1a, 0, 0x08, 0, 64), ZEROED },
	{ "mode_sense_6_caching_changeable", READS(64, 0x1a, 0, 0x48, 0, 64), ZEROED },
	{ "mode_sense_6_saved", READS(64, 0x1a, 0, 0xc8, 0, 64), ZEROED },
	{ "mode_sense_6_control", READS(64, 0x1a, 0, 0x0a, 0, 64), ZEROED },
	{ "mode_sense_6_control_extension", READS(64, 0x1a, 0, 0x0a, 1, 64), ZEROED },
	{ "mode_sense_6_exceptions", READS(64, 0x1a, 0, 0x1c, 0, 64), ZEROED },
	{ "mode_sense_6_unknown_page", READS(64, 0x1a, 0, 0x2a, 0, 64), ZEROED },
	{ "mode_sense_6_of_4_bytes", READS(4, 0x1a, 0, 0x3f, 0, 4) },
	{ "mode_sense_6_less_room", READS(4, 0x1a, 0, 0x3f, 0, 64), OVERRUN },
	{ "mode_sense_10_all", READS(255, 0x5a, 0, 0x3f, [8] = 255), ZEROED },
	{ "mode_sense_10_long_addresses", READS(255, 0x5a, 0x10, 0x3f, [8] = 255), ZEROED },
	{ "mode_sense_10_unknown_page", READS(64, 0x5a, 0, 0x2a, [8] = 64), ZEROED },
	{ "mode_sense_10_of_8_bytes", READS(8, 0x5a, 0, 0x3f, [8] = 8) },
	{ "mode_select_6_of_nothing", NO_DATA(0x15, 0x10) },
	{ "mode_select_6_without_pf", WRITES(24, other, 0x15, 0, [4] = 24) },
	{ "mode_select_6_of_junk", WRITES(24, other, 0x15, 0x10, [4] = 24) },
	{ "mode_select_6_of_2_bytes", WRITES(2, other, 0x15, 0x10, [4] = 2) },
	{ "mode_select_6_less_data", WRITES(8, other, 0x15, 0x10, [4] = 24), OVERRUN },
	{ "mode_select_6_no_data", NO_DATA(0x15, 0x10, [4] = 24), OVERRUN_NOT_GOOD },
	{ "mode_select_6_more_data", WRITES(64, other, 0x15, 0x10, [4] = 24) },
	{ "mode_select_10_of_junk", WRITES(24, other, 0x55, 0x10, [8] = 24) },
	{ "report_luns", READS(256, 0xa0, [8] = 1), ZEROED },
	{ "report_luns_of_16_bytes", READS(16, 0xa0, [9] = 16) },
	{ "report_luns_of_8_bytes", READS(8, 0xa0, [9] = 8) },
	{ "report_luns_well_known", READS(256, 0xa0, 0, 1, [8] = 1), ZEROED },
	{ "report_luns_both", READS(256, 0xa0, 0, 2, [8] = 1), ZEROED },
	{ "report_luns_unknown", READS(256, 0xa0, 0, 0x55, [8] = 1), ZEROED },
	{ "report_luns_more_room", READS(4096, 0xa0, [8] = 1), ZEROED },
	{ "operation_codes", READS(2048, 0xa3, 0x0c, [8] = 8), ZEROED },
	{ "operation_codes_with_timeouts", READS(4096, 0xa3, 0x0c, 0x80, [8] = 16), ZEROED },
	{ "operation_codes_of_4_bytes", READS(4, 0xa3, 0x0c, [9] = 4) },
	{ "operation_code_inquiry", READS(64, 0xa3, 0x0c, 1, 0x12, [9] = 64), ZEROED },
	{ "operation_code_unknown", READS(64, 0xa3, 0x0c, 1, 0xfe, [9] = 64), ZEROED },
	{ "operation_code_with_service_action",
	  READS(64, 0xa3, 0x0c, 2, 0x9e, 0, 0x10, [9] = 64), ZEROED },
	{ "operation_code_with_none", READS(64, 0xa3, 0x0c, 2, 0x12, [9] = 64), ZEROED },
	{ "operation_code_of_either", READS(64, 0xa3, 0x0c, 3, 0x5e, 0, 1, [9] = 64), ZEROED },
	{ "operation_codes_reserved_option", READS(64, 0xa3, 0x0c, 5, 0x12, [9] = 64), ZEROED },
	{ "maintenance_in_unknown", READS(64, 0xa3, 0x0f, [9] = 64) },
	{ "receive_copy_results", READS(64, 0x84, 0x03, [13] = 64) },
	{ "receive_copy_results_unknown", READS(64, 0x84, 0x04, [13] = 64), ZEROED },
	{ "log_sense", READS(64, 0x4d, 0, 0x40, [8] = 64) },
	{ "start", NO_DATA(0x1b, [4] = 1) },
	{ "stop", NO_DATA(0x1b, [4] = 0) },
	{ "start_at_once", NO_DATA(0x1b, 1, [4] = 1) },
	{ "start_load_eject", NO_DATA(0x1b, [4] = 3) },
	{ "start_power_condition", NO_DATA(0x1b, [4] = 0x30) },
	{ "send_diagnostic", NO_DATA(0x1d, 4) },
	{ "receive_diagnostic", READS(64, 0x1c, 1, 0, 0, 64) },
	{ "prevent_removal", NO_DATA(0x1e, [4] = 1) },
	{ "rezero_unit", NO_DATA(0x01) },
	{ "seek_6", NO_DATA(0x0b) },
	{ "seek_10", NO_DATA(0x2b) },
	{ "format_unit", NO_DATA(0x04) },
	{ "write_buffer", WRITES(64, other, 0x3b, 2, [8] = 64) },
	{ "security_protocol_in", READS(64, 0xa2, 0, [9] = 64) },
};

static const struct blk_layout
	in_one = { "one descriptor each way", .direct = VQ_DIRECT },
	in_blocks = { "blocks", .out = { HEADER }, .out_every = BLOCK,
		      .in = { RESP }, .in_every = BLOCK },
	in_pages = { "pages", .out = { HEADER }, .out_every = 4096,
		     .in = { RESP }, .in_every = 4096 },
	in_a_page = { "in the middle of a page", .out = { HEADER }, .in = { RESP }, .offset = 512,
		      .direct = VQ_DIRECT },
	header_cut = { "header in pieces", .out = { 7, 20, 3, 21 }, .in = { RESP },
		       .direct = VQ_DIRECT },
	response_cut = { "response in pieces", .out = { HEADER }, .in = { 11, 50, 1, 46 },
			 .direct = VQ_DIRECT };

#define READS_IN(how, bytes, ...) \
	{ .cdb = { __VA_ARGS__ }, .in_len = (bytes), .layout = &(how) }
#define WRITES_IN(how, bytes, ...) \
	{ .cdb = { __VA_ARGS__ }, .out = pattern, .out_len = (bytes), .layout = &(how) }

static const struct step reads_and_writes[] = {
	{ "read_of_zeroes", READS(4096, 0x28, [8] = 8) },
	{ "write_6", WRITES(512, pattern, 0x0a, 0, 0, 1, 1) },
	{ "write_10", WRITES(4096, pattern, 0x2a, [5] = 8, [8] = 8) },
	{ "write_12", WRITES(4096, pattern + 7, 0xaa, [5] = 16, [9] = 8) },
	{ "write_16", WRITES(4096, pattern + 9, 0x8a, [9] = 24, [13] = 8) },
	{ "write_32", WRITES(512, pattern, 0x7f, [7] = 24, 0, 0x0b, [19] = 1, [31] = 1) },
	{ "read_6", READS(512, 0x08, 0, 0, 1, 1) },
	{ "read_6_of_256_blocks", READS(256 * BLOCK, 0x08, 0, 0, 0, 0) },
	{ "read_10", READS(4096, 0x28, [5] = 8, [8] = 8) },
	{ "read_12", READS(4096, 0xa8, [5] = 16, [9] = 8) },
	{ "read_16", READS(4096, 0x88, [9] = 24, [13] = 8) },
	{ "read_32", READS(512, 0x7f, [7] = 24, 0, 0x09, [19] = 1, [31] = 1) },
	{ "write_and_verify_10", WRITES(512, pattern, 0x2e, [5] = 40, [8] = 1) },
	{ "write_and_verify_16", WRITES(512, pattern, 0x8e, [9] = 41, [13] = 1) },
	{ "read_of_both", READS(1024, 0x28, [5] = 40, [8] = 2) },
	{ "write_fua", WRITES(512, other, 0x2a, 8, [5] = 42, [8] = 1) },
	{ "read_fua", READS(512, 0x28, 8, [5] = 42, [8] = 1) },
	{ "read_dpo", READS(512, 0x28, 0x10, [5] = 42, [8] = 1) },
	{ "read_rdprotect", READS(512, 0x28, 0x20, [5] = 42, [8] = 1) },
	{ "write_wrprotect", WRITES(512, pattern, 0x2a, 0x20, [5] = 42, [8] = 1) },
	{ "read_reserved_bits", READS(512, 0x28, 7, [5] = 42, [6] = 31, [8] = 1) },
	{ "read_naca", READS(512, 0x28, [5] = 42, [8] = 1, 4) },
	{ "read_10_of_nothing", NO_DATA(0x28) },
	{ "read_16_of_nothing", NO_DATA(0x88) },
	{ "write_10_of_nothing", NO_DATA(0x2a) },
	{ "write_16_of_nothing", NO_DATA(0x8a) },
	{ "read_of_nothing_at_the_end", NO_DATA(0x28, [4] = 0x80) },
	{ "read_of_nothing_past_the_end", NO_DATA(0x28, [4] = 0x80, 1) },
	{ "write_of_the_last_block", WRITES(512, other, 0x2a, [4] = 0x7f, 0xff, [8] = 1) },
	{ "read_of_the_last_block", READS(512, 0x28, [4] = 0x7f, 0xff, [8] = 1) },
	{ "verify_10", NO_DATA(0x2f, [5] = 8, [8] = 8), DIFFERS(RESIDUAL, RANGE) },
	{ "verify_10_of_nothing", NO_DATA(0x2f) },
	{ "verify_12", NO_DATA(0xaf, [5] = 8, [9] = 8) },
	{ "verify_16", NO_DATA(0x8f, [9] = 8, [13] = 8), DIFFERS(RESIDUAL, RANGE) },
	{ "verify_10_of_data", WRITES(512, other, 0x2f, 2, [5] = 8, [8] = 1) },
	{ "synchronize_cache_10", NO_DATA(0x35) },
	{ "synchronize_cache_10_of_8_blocks", NO_DATA(0x35, [8] = 8),
	  DIFFERS(RESIDUAL, RANGE), ON_DISK },
	{ "synchronize_cache_10_at_once", NO_DATA(0x35, 2) },
	{ "synchronize_cache_16", NO_DATA(0x91) },
	{ "synchronize_cache_16_of_8_blocks", NO_DATA(0x91, [13] = 8),
	  DIFFERS(RESIDUAL, RANGE), ON_DISK },
	{ "write_of_a_descriptor", WRITES_IN(in_one, 512, 0x2a, [5] = 64, [8] = 1) },
	{ "write_in_blocks", WRITES_IN(in_blocks, 4096, 0x2a, [5] = 72, [8] = 8) },
	{ "write_in_pages", WRITES_IN(in_pages, 65536, 0x2a, [4] = 1, [8] = 128) },
	{ "write_in_a_page", WRITES_IN(in_a_page, 16384, 0x2a, [5] = 128, [8] = 32) },
	{ "write_of_a_cut_header", WRITES_IN(header_cut, 512, 0x2a, [5] = 80, [8] = 1) },
	{ "write_of_a_cut_response", WRITES_IN(response_cut, 512, 0x2a, [5] = 81, [8] = 1) },
	{ "read_of_a_descriptor", READS_IN(in_one, 512, 0x28, [5] = 64, [8] = 1) },
	{ "read_in_blocks", READS_IN(in_blocks, 4096, 0x28, [5] = 72, [8] = 8) },
	{ "read_in_pages", READS_IN(in_pages, 131072, 0x28, [4] = 1, [7] = 1) },
	{ "read_in_a_page", READS_IN(in_a_page, 16384, 0x28, [5] = 128, [8] = 32) },
	{ "read_of_a_cut_response", READS_IN(response_cut, 512, 0x28, [5] = 80, [8] = 1) },
	{ "error_of_a_cut_response", READS_IN(response_cut, 512, 0x28, 0x20, [8] = 1) },
	{ "read_into_a_descriptor_of_more", READS_IN(in_one, 8192, 0x28, [5] = 8, [8] = 16),
	  DIFFERS(DATA, PIECES), ON_DISK },
	{ "write_6_of_256_blocks", WRITES(256 * BLOCK, pattern, 0x0a, 2) },
	{ "read_of_it", READS(256 * BLOCK, 0x88, [7] = 2, [12] = 1) },
};

static const struct step lengths[] = {
	{ "write", WRITES(8192, pattern, 0x2a, [8] = 16) },
	{ "read_more_room", READS(4096, 0x28, [8] = 1), DIFFERS(BEHIND, MORE_ROOM), ON_DISK },
	{ "read_more_room_in_blocks", READS_IN(in_blocks, 4096, 0x28, [8] = 2),
	  DIFFERS(BEHIND, MORE_ROOM), ON_DISK },
	{ "read_16_more_room", READS(4096, 0x88, [13] = 3), DIFFERS(BEHIND, MORE_ROOM), ON_DISK },
	{ "read_odd_room", READS(600, 0x28, [8] = 1), DIFFERS(CHECK | DATA, MORE_ROOM), ON_DISK },
	{ "read_less_room", READS(512, 0x28, [8] = 2), OVERRUN },
	{ "read_16_less_room", READS(512, 0x88, [13] = 2), OVERRUN },
	{ "read_not_a_block_of_room", READS(100, 0x28, [8] = 1), OVERRUN },
	{ "read_no_room", NO_DATA(0x28, [8] = 1), OVERRUN_NOT_GOOD },
	{ "read_of_nothing_with_room", READS(512, 0x28), DIFFERS(BEHIND, MORE_ROOM), ON_DISK },
	{ "read_more_room_at_the_end", READS(1024, 0x28, [4] = 0x7f, 0xff, [8] = 1),
	  DIFFERS(CHECK | DATA, MORE_ROOM), ON_DISK },
	{ "write_more_data", WRITES(1024, other, 0x2a, [8] = 1) },
	{ "write_less_data", WRITES(512, other, 0x2a, [8] = 2), OVERRUN },
	{ "write_16_less_data", WRITES(512, other, 0x8a, [13] = 2), OVERRUN },
	{ "write_not_a_block", WRITES(100, other, 0x2a, [8] = 1), OVERRUN },
	{ "write_no_data", NO_DATA(0x2a, [8] = 1), OVERRUN_NOT_GOOD },
	{ "write_of_nothing_with_data", WRITES(512, other, 0x2a) },
	{ "write_and_verify_less_data", WRITES(512, other, 0x2e, [8] = 2), OVERRUN },
	{ "write_with_data_to_read", READS(512, 0x2a, [8] = 1),
	  DIFFERS(RESPONSE | BEHIND, WRONG_WAY) },
	{ "nothing_was_written", READS(8192, 0x28, [8] = 16) },
	{ "test_unit_ready_with_data", WRITES(64, other, 0) },
	{ "synchronize_cache_with_data", WRITES(512, other, 0x35, [8] = 1) },
	{ "synchronize_cache_with_room", READS(512, 0x35, [8] = 1), ZEROED, ON_RAM },
	{ "verify_with_room", READS(512, 0x2f, [8] = 1) },
	{ "verify_less_data", WRITES(512, other, 0x2f, 2, [8] = 2), OVERRUN },
	{ "start_with_room", READS(512, 0x1b, [4] = 1), ZEROED },
};

static const struct step errors[] = {
	{ "unknown_ff", NO_DATA(0xff) },
	{ "unknown_c0", READS(64, 0xc0) },
	{ "unknown_with_data", WRITES(64, other, 0xb9) },
	{ "read_10_past_the_end", READS(512, 0x28, [4] = 0x80, [8] = 1) },
	{ "read_10_over_the_end", READS(1024, 0x28, [4] = 0x7f, 0xff, [8] = 2) },
	{ "read_10_far_past_the_end", READS(512, 0x28, 0, 0xff, 0xff, 0xff, 0xff, [8] = 1) },
	{ "read_6_past_the_end", READS(512, 0x08, 0x1f, 0xff, 0xff, 1) },
	{ "read_12_past_the_end", READS(512, 0xa8, [4] = 0x80, [9] = 1) },
	{ "read_16_past_the_end", READS(512, 0x88, [4] = 1, [13] = 1) },
	{ "read_16_around_the_end",
	  READS(1024, 0x88, [2 ... 9] = 0xff, [13] = 2) },
	{ "write_10_past_the_end", WRITES(512, other, 0x2a, [4] = 0x80, [8] = 1) },
	{ "write_10_over_the_end", WRITES(1024, other, 0x2a, [4] = 0x7f, 0xff, [8] = 2) },
	{ "write_6_past_the_end", WRITES(512, other, 0x0a, 0x1f, 0xff, 0xff, 1) },
	{ "write_16_around_the_end", WRITES(1024, other, 0x8a, [2 ... 9] = 0xff, [13] = 2) },
	{ "the_last_block_is_as_it_was", READS(512, 0x28, [4] = 0x7f, 0xff, [8] = 1) },
	{ "verify_10_past_the_end", NO_DATA(0x2f, [4] = 0x80, [8] = 2) },
	{ "verify_16_past_the_end", NO_DATA(0x8f, [4] = 0x80, [13] = 2) },
	{ "synchronize_cache_past_the_end", NO_DATA(0x35, [4] = 0x80, [8] = 2) },
	{ "synchronize_cache_16_past_the_end", NO_DATA(0x91, [4] = 0x80, [13] = 2) },
	{ "cdb_longer_than_there_is", NO_DATA(0x7f, [7] = 25),
	  DIFFERS(RESPONSE | CHECK | ERROR, LONG_CDB) },
	{ "cdb_of_255", NO_DATA(0x7f, [7] = 255), DIFFERS(RESPONSE | CHECK | ERROR, LONG_CDB) },
	{ "cdb_of_no_length", NO_DATA(0x7f) },
	{ "unknown_service_action", NO_DATA(0x7f, [7] = 24, 0x7e, 0x7e) },
	{ "header_without_a_byte", { .header_cut = 1 }, DIFFERS(RESPONSE | ERROR, SHORT_HEADER) },
	{ "no_header", { .header_cut = HEADER }, DIFFERS(RESPONSE | ERROR, SHORT_HEADER) },
	{ "head_of_queue", { .cdb = { 0x28, [8] = 1 }, .in_len = 512,
			     .task_attr = VIRTIO_SCSI_S_HEAD } },
	{ "ordered", { .cdb = { 0x28, [8] = 1 }, .in_len = 512,
		       .task_attr = VIRTIO_SCSI_S_ORDERED } },
	{ "ordered_write", { .cdb = { 0x2a, [8] = 1 }, .out = other, .out_len = 512,
			     .task_attr = VIRTIO_SCSI_S_ORDERED } },
	{ "aca", { .cdb = { 0x28, [8] = 1 }, .in_len = 512, .task_attr = VIRTIO_SCSI_S_ACA } },
	{ "unknown_task_attribute", { .cdb = { 0x28, [8] = 1 }, .in_len = 512,
				      .task_attr = 200 } },
	{ "tag_of_all_ones", { .cdb = { 0x28, [8] = 1 }, .in_len = 512, .tag = ~0ull } },
};

#define LUN(...) .lun = (const uint8_t []){ __VA_ARGS__ }
#define INQUIRY_OF(...) { .cdb = { 0x12, [4] = 96 }, .in_len = 96, LUN(__VA_ARGS__) }
#define READ_OF(...) { .cdb = { 0x28, [8] = 1 }, .in_len = 512, LUN(__VA_ARGS__) }
#define TUR_OF(...) { LUN(__VA_ARGS__) }

static const struct step addresses[] = {
	{ "lun_0_peripheral", READ_OF(1, 1, 0, 0, 0, 0, 0, 0) },
	{ "lun_1_peripheral", INQUIRY_OF(1, 1, 0, 1, 0, 0, 0, 0) },
	{ "lun_7", INQUIRY_OF(1, 1, 0x40, 7, 0, 0, 0, 0), DIFFERS(SENSE_LENGTH, NO_LUN) },
	{ "lun_7_peripheral", READ_OF(1, 1, 0, 7, 0, 0, 0, 0), DIFFERS(SENSE_LENGTH, NO_LUN) },
	{ "lun_7_test_unit_ready", TUR_OF(1, 1, 0x40, 7, 0, 0, 0, 0),
	  DIFFERS(SENSE_LENGTH, NO_LUN) },
	{ "lun_256", READ_OF(1, 1, 0x41, 0, 0, 0, 0, 0), DIFFERS(SENSE_LENGTH, NO_LUN) },
	{ "lun_16383", READ_OF(1, 1, 0x7f, 0xff, 0, 0, 0, 0), DIFFERS(SENSE_LENGTH, NO_LUN) },
	{ "bus_1", INQUIRY_OF(1, 1, 0x01, 0, 0, 0, 0, 0), DIFFERS(RESPONSE | CHECK, FORMAT) },
	{ "logical_unit_addressing", INQUIRY_OF(1, 1, 0x80, 0, 0, 0, 0, 0),
	  DIFFERS(RESPONSE | BEHIND, FORMAT) },
	{ "extended_addressing", INQUIRY_OF(1, 1, 0xd2, 0, 0, 0, 0, 0),
	  DIFFERS(RESPONSE | CHECK, FORMAT) },
	{ "second_level", INQUIRY_OF(1, 1, 0x40, 0, 1, 0, 0, 0),
	  DIFFERS(RESPONSE | BEHIND, FORMAT) },
	{ "byte_7", READ_OF(1, 1, 0x40, 0, 0, 0, 0, 1), DIFFERS(RESPONSE | BEHIND, FORMAT) },
	{ "first_byte_0", READ_OF(0, 1, 0x40, 0, 0, 0, 0, 0), ERRORS },
	{ "first_byte_2", READ_OF(2, 1, 0x40, 0, 0, 0, 0, 0), ERRORS },
	{ "target_0", READ_OF(1, 0, 0x40, 0, 0, 0, 0, 0) },
	{ "target_2", READ_OF(1, 2, 0x40, 0, 0, 0, 0, 0) },
	{ "target_255", READ_OF(1, 255, 0x40, 0, 0, 0, 0, 0) },
	{ "all_ones", READ_OF(255, 255, 255, 255, 255, 255, 255, 255), ERRORS },
	{ "report_luns_of_the_well_known",
	  { .cdb = { 0xa0, [8] = 1 }, .in_len = 256, LUN(1, 1, 0xc1, 1, 0, 0, 0, 0) },
	  DIFFERS(RESIDUAL | CHECK | DATA, WELL_KNOWN) },
	{ "report_luns_of_the_device",
	  { .cdb = { 0xa0, [8] = 1 }, .in_len = 256, LUN(0xc1, 1, 0, 0, 0, 0, 0, 0) },
	  DIFFERS(RESPONSE | RESIDUAL | DATA | ERROR, WELL_KNOWN) },
	{ "inquiry_of_the_well_known", INQUIRY_OF(1, 1, 0xc1, 1, 0, 0, 0, 0),
	  DIFFERS(SENSE_LENGTH, NO_LUN) },
};

/* A target whose only LUN is 1. */
static const struct step without_lun_0[] = {
	{ "inquiry", READS(96, 0x12, [4] = 96) },
	{ "vpd_00", READS(96, 0x12, 1, 0, [4] = 96), ZEROED },
	{ "report_luns", READS(256, 0xa0, [8] = 1), ZEROED },
	{ "request_sense", READS(18, 0x03, [4] = 18) },
	{ "test_unit_ready", NO_DATA(0), DIFFERS(CHECK, NO_LUN_0) },
	{ "read_capacity_10", READS(8, 0x25), DIFFERS(CHECK | BEHIND, NO_LUN_0) },
	{ "read", READS(512, 0x28, [8] = 1), DIFFERS(CHECK, NO_LUN_0) },
	{ "write", WRITES(512, other, 0x2a, [8] = 1), DIFFERS(SENSE | SENSE_LENGTH, NO_LUN_0) },
	{ "mode_sense", READS(64, 0x1a, 0, 0x3f, 0, 64),
	  DIFFERS(RESIDUAL | CHECK | BEHIND, NO_LUN_0) },
	{ "unknown", NO_DATA(0xff), DIFFERS(SENSE | SENSE_LENGTH, NO_LUN_0) },
	{ "lun_1", INQUIRY_OF(1, 1, 0x40, 1, 0, 0, 0, 0) },
};

/* Parameter lists of UNMAP: two lengths, and ranges. */
static const unsigned char unmap_one[24] = { 0, 22, 0, 16, [15] = 8, [19] = 8 },
	unmap_two[40] = { 0, 38, 0, 32, [15] = 40, [19] = 8, [31] = 64, [35] = 1 },
	unmap_past[24] = { 0, 22, 0, 16, [14] = 0x80, [19] = 8 },
	unmap_nothing[24] = { 0, 22, 0, 16 },
	unmap_no_range[8] = { 0, 6 },
	unmap_wrong_length[24] = { 0, 100, 0, 200, [15] = 8, [19] = 8 };

static const struct step space[] = {
	{ "write", WRITES(65536, pattern, 0x2a, [8] = 128) },
	{ "vpd_b0", READS(64, 0x12, 1, 0xb0, [4] = 64), DIFFERS(DATA | BEHIND, MAXIMUM), ON_RAM },
	{ "vpd_b2", READS(64, 0x12, 1, 0xb2, [4] = 64), ZEROED },
	{ "read_capacity_16", READS(32, 0x9e, 0x10, [13] = 32) },
	{ "unmap", WRITES(24, unmap_one, 0x42, [8] = 24) },
	{ "unmap_of_two_ranges", WRITES(40, unmap_two, 0x42, [8] = 40) },
	{ "unmap_past_the_end", WRITES(24, unmap_past, 0x42, [8] = 24) },
	{ "unmap_of_no_blocks", WRITES(24, unmap_nothing, 0x42, [8] = 24) },
	{ "unmap_of_no_range", WRITES(8, unmap_no_range, 0x42, [8] = 8) },
	{ "unmap_of_wrong_lengths", WRITES(24, unmap_wrong_length, 0x42, [8] = 24) },
	{ "unmap_anchored", WRITES(24, unmap_one, 0x42, 1, [8] = 24) },
	{ "unmap_of_4_bytes", WRITES(4, unmap_one, 0x42, [8] = 4) },
	{ "unmap_of_nothing", NO_DATA(0x42) },
	{ "unmap_no_data", NO_DATA(0x42, [8] = 24), OVERRUN_NOT_GOOD, ON_DISK },
	{ "unmap_less_data", WRITES(16, unmap_one, 0x42, [8] = 24), OVERRUN, ON_DISK },
	{ "unmap_more_data", WRITES(40, unmap_two, 0x42, [8] = 24) },
	{ "read_of_what_is_left", READS(65536, 0x28, [8] = 128) },
	{ "get_lba_status", READS(32, 0x9e, 0x12, [13] = 32) },
	{ "write_same_10", WRITES(512, other, 0x41, [5] = 10, [8] = 4) },
	{ "write_same_16", WRITES(512, other, 0x93, [9] = 20, [13] = 4) },
	{ "write_same_32", WRITES(512, other, 0x7f, [7] = 24, 0, 0x0d, [19] = 30, [31] = 4) },
	{ "write_same_10_unmap", WRITES(512, other, 0x41, 8, [5] = 40, [8] = 4) },
	{ "write_same_16_unmap", WRITES(512, other, 0x93, 8, [9] = 48, [13] = 4) },
	{ "write_same_16_anchored", WRITES(512, other, 0x93, 0x18, [9] = 48, [13] = 4) },
	{ "write_same_16_without_data", WRITES(512, other, 0x93, 1, [9] = 48, [13] = 4) },
	{ "write_same_10_lbdata", WRITES(512, other, 0x41, 2, [5] = 40, [8] = 4) },
	{ "write_same_10_wrprotect", WRITES(512, other, 0x41, 0x20, [5] = 40, [8] = 4) },
	{ "write_same_10_of_no_blocks", WRITES(512, other, 0x41, [5] = 40) },
	{ "write_same_16_of_no_blocks", WRITES(512, other, 0x93, [9] = 40) },
	{ "write_same_16_past_the_end", WRITES(512, other, 0x93, [8] = 0x80, [13] = 4) },
	{ "write_same_16_too_long", WRITES(512, other, 0x93, [10] = 0x7f) },
	{ "write_same_10_less_data", WRITES(100, other, 0x41, [5] = 40, [8] = 4),
	  OVERRUN, ON_DISK },
	{ "write_same_10_more_data", WRITES(1024, pattern, 0x41, [5] = 40, [8] = 4) },
	{ "write_same_10_no_data", NO_DATA(0x41, [5] = 40, [8] = 4), OVERRUN, ON_DISK },
	{ "write_same_16_no_data", NO_DATA(0x93, [9] = 40, [13] = 4), OVERRUN, ON_DISK },
	{ "read_of_that", READS(65536, 0x28, [8] = 128) },
	{ "compare_write", WRITES(512, pattern, 0x2a, [5] = 100, [8] = 1) },
	{ "compare_and_write", WRITES(1024, pattern, 0x89, [9] = 100, [13] = 1) },
	{ "compare_and_write_of_another", WRITES(1024, pattern, 0x89, [9] = 100, [13] = 1) },
	{ "compare_and_write_read", READS(512, 0x28, [5] = 100, [8] = 1) },
	{ "compare_and_write_of_2_blocks", WRITES(2048, pattern, 0x89, [9] = 100, [13] = 2) },
	{ "compare_and_write_of_no_blocks", NO_DATA(0x89, [9] = 100) },
	{ "compare_and_write_past_the_end", WRITES(1024, pattern, 0x89, [8] = 0x80, [13] = 1) },
	{ "compare_and_write_less_data", WRITES(512, pattern, 0x89, [9] = 100, [13] = 1), OVERRUN },
	{ "compare_and_write_more_data", WRITES(2048, pattern, 0x89, [9] = 100, [13] = 1) },
	{ "compare_and_write_read_again", READS(512, 0x28, [5] = 100, [8] = 1) },
};

/* Of PERSISTENT RESERVE OUT: the key that there is, another one; APTPL. */
#define KEYS(is, will) { [7] = (is), [15] = (will) }
static const unsigned char register_5[24] = KEYS(0, 5), key_5[24] = KEYS(5, 0),
	wrong_key[24] = KEYS(6, 0), key_5_to_7[24] = KEYS(5, 7), key_7[24] = KEYS(7, 0),
	key_7_to_9[24] = KEYS(7, 9), unregister_7[24] = KEYS(7, 0),
	register_aptpl[24] = { [15] = 5, [20] = 1 },
	all_ports[24] = { [15] = 5, [20] = 4 }, named_ports[24] = { [15] = 5, [20] = 8 };

#define RESERVE_OUT(action, type, list) \
	WRITES(24, list, 0x5f, (action), (type), [8] = 24)
#define RESERVE_IN(action, bytes) READS(bytes, 0x5e, (action), [8] = (bytes))

static const struct step reservations[] = {
	{ "no_keys", RESERVE_IN(0, 64), ZEROED },
	{ "no_reservation", RESERVE_IN(1, 64), ZEROED },
	{ "capabilities", RESERVE_IN(2, 64), ZEROED },
	{ "no_full_status", RESERVE_IN(3, 200), ZEROED },
	{ "unknown_in", RESERVE_IN(4, 64), ZEROED },
	{ "reserve_unregistered", RESERVE_OUT(1, 1, key_5) },
	{ "register", RESERVE_OUT(0, 0, register_5) },
	{ "keys", RESERVE_IN(0, 64), ZEROED },
	{ "keys_of_8_bytes", RESERVE_IN(0, 8) },
	{ "keys_of_4_bytes", RESERVE_IN(0, 4), ZEROED },
	{ "keys_less_room", READS(8, 0x5e, 0, [8] = 64), OVERRUN },
	{ "keys_no_room", NO_DATA(0x5e, 0, [8] = 64), OVERRUN },
	{ "keys_more_room", READS(128, 0x5e, 0, [8] = 64), ZEROED },
	{ "register_with_a_wrong_key", RESERVE_OUT(0, 0, wrong_key) },
	{ "reserve_with_a_wrong_key", RESERVE_OUT(1, 1, wrong_key) },
	{ "reserve_unknown_type", RESERVE_OUT(1, 2, key_5) },
	{ "reserve_unknown_scope", RESERVE_OUT(1, 0x13, key_5) },
	{ "reserve_write_exclusive", RESERVE_OUT(1, 1, key_5) },
	{ "reservation", RESERVE_IN(1, 64), ZEROED },
	{ "full_status", RESERVE_IN(3, 200), ZEROED },
	{ "reserve_again", RESERVE_OUT(1, 1, key_5) },
	{ "reserve_another_type", RESERVE_OUT(1, 3, key_5) },
	{ "write_of_the_holder", WRITES(512, other, 0x2a, [8] = 1) },
	{ "read_of_the_holder", READS(512, 0x28, [8] = 1) },
	{ "release_another_type", RESERVE_OUT(2, 3, key_5) },
	{ "release_with_a_wrong_key", RESERVE_OUT(2, 1, wrong_key) },
	{ "release", RESERVE_OUT(2, 1, key_5) },
	{ "release_again", RESERVE_OUT(2, 1, key_5) },
	{ "register_another_key", RESERVE_OUT(0, 0, key_5_to_7) },
	{ "reserve_all_registrants", RESERVE_OUT(1, 8, key_7) },
	{ "reservation_of_all", RESERVE_IN(1, 64), ZEROED },
	{ "full_status_of_all", RESERVE_IN(3, 200), ZEROED },
	{ "preempt_oneself", RESERVE_OUT(4, 8, key_7) },
	{ "preempt_an_unknown_key", RESERVE_OUT(4, 8, key_7_to_9) },
	{ "preempt_and_abort_an_unknown_key", RESERVE_OUT(5, 8, key_7_to_9) },
	{ "clear", RESERVE_OUT(3, 0, key_7) },
	{ "keys_after_clear", RESERVE_IN(0, 64), ZEROED },
	{ "register_and_ignore", RESERVE_OUT(6, 0, key_5_to_7) },
	{ "unregister", RESERVE_OUT(0, 0, unregister_7) },
	{ "keys_after_unregister", RESERVE_IN(0, 64), ZEROED },
	{ "register_all_ports", RESERVE_OUT(0, 0, all_ports) },
	{ "unregister_all_ports", RESERVE_OUT(0, 0, key_5) },
	{ "register_named_ports", RESERVE_OUT(0, 0, named_ports) },
	{ "register_aptpl", RESERVE_OUT(0, 0, register_aptpl) },
	{ "capabilities_with_aptpl", RESERVE_IN(2, 64), ZEROED },
	{ "register_and_move_of_nothing", RESERVE_OUT(7, 0, key_5) },
	{ "unknown_out", RESERVE_OUT(9, 0, key_5) },
	{ "list_of_8_bytes", WRITES(8, key_5, 0x5f, 0, 0, [8] = 8) },
	{ "list_less_data", WRITES(8, key_5, 0x5f, 0, 0, [8] = 24), OVERRUN },
	{ "list_no_data", NO_DATA(0x5f, 0, 0, [8] = 24), OVERRUN_OTHER_SENSE },
	{ "list_more_data", WRITES(40, pattern, 0x5f, 0, 0, [8] = 24) },
	{ "clear_at_the_end", RESERVE_OUT(3, 0, key_5) },
	{ "reserve_6", NO_DATA(0x16) },
	{ "reserved_by_us", READS(512, 0x28, [8] = 1) },
	{ "persistent_beside_it", RESERVE_IN(0, 64), ZEROED },
	{ "release_6", NO_DATA(0x17) },
	{ "reserve_10", NO_DATA(0x56) },
	{ "release_10", NO_DATA(0x57) },
	{ "reserve_6_third_party", NO_DATA(0x16, 0x10) },
};

/* Of SET TARGET PORT GROUPS: a state for a group. */
static const unsigned char standby[8] = { [4] = 2 }, unavailable[8] = { [4] = 3 },
	optimized[8] = { 0 }, non_optimized[8] = { [4] = 1 }, unknown_state[8] = { [4] = 9 },
	unknown_group[8] = { [4] = 2, [6] = 0x12 }, transitioning[8] = { [4] = 15 };

#define SET_STATE(list) WRITES(8, list, 0xa4, 0x0a, [9] = 8)
#define STATES READS(64, 0xa3, 0x0a, [9] = 64)

static const struct step alua[] = {
	{ "report", STATES, ZEROED },
	{ "report_extended", READS(64, 0xa3, 0x2a, [9] = 64), ZEROED },
	{ "report_of_8_bytes", READS(8, 0xa3, 0x0a, [9] = 8) },
	{ "report_of_3_bytes", READS(3, 0xa3, 0x0a, [9] = 3), ZEROED },
	{ "report_of_nothing", NO_DATA(0xa3, 0x0a) },
	{ "report_more_room", READS(128, 0xa3, 0x0a, [9] = 64), ZEROED },
	{ "report_less_room", READS(8, 0xa3, 0x0a, [9] = 64), OVERRUN },
	{ "set_standby", SET_STATE(standby) },
	{ "report_standby", STATES, ZEROED },
	{ "read_standby", READS(512, 0x28, [8] = 1) },
	{ "read_standby_again", READS(512, 0x28, [8] = 1) },
	{ "write_standby", WRITES(512, other, 0x2a, [8] = 1) },
	{ "inquiry_standby", READS(96, 0x12, [4] = 96) },
	{ "test_unit_ready_standby", NO_DATA(0) },
	{ "set_unavailable", SET_STATE(unavailable) },
	{ "read_unavailable", READS(512, 0x28, [8] = 1) },
	{ "inquiry_unavailable", READS(96, 0x12, [4] = 96) },
	{ "set_non_optimized", SET_STATE(non_optimized) },
	{ "read_non_optimized", READS(512, 0x28, [8] = 1) },
	{ "set_optimized", SET_STATE(optimized) },
	{ "read_optimized", READS(512, 0x28, [8] = 1) },
	{ "set_unknown_state", SET_STATE(unknown_state) },
	{ "set_transitioning", SET_STATE(transitioning) },
	{ "set_unknown_group", SET_STATE(unknown_group) },
	{ "set_of_nothing", NO_DATA(0xa4, 0x0a) },
	{ "set_of_2_bytes", WRITES(2, standby, 0xa4, 0x0a, [9] = 2) },
	{ "set_no_data", NO_DATA(0xa4, 0x0a, [9] = 8), OVERRUN_OTHER_SENSE },
	{ "set_less_data", WRITES(4, standby, 0xa4, 0x0a, [9] = 8), OVERRUN },
	{ "set_more_data", WRITES(64, zeroes, 0xa4, 0x0a, [9] = 8) },
	{ "maintenance_out_unknown", WRITES(8, standby, 0xa4, 0x0b, [9] = 8) },
	{ "report_at_the_end", STATES, ZEROED },
	{ "read_at_the_end", READS(512, 0x28, [8] = 1) },
};

#define TMF_OF(function, ...) \
	.control = &(const struct control){ VIRTIO_SCSI_T_TMF, (function), { __VA_ARGS__ }, 24, 1 }
#define TMF(function) TMF_OF(VIRTIO_SCSI_T_TMF_##function, 1, SCSI_TPGT, 0x40)
#define NOTIFICATION(what, ...) \
	.control = &(const struct control){ VIRTIO_SCSI_T_AN_##what, 0x7e, { __VA_ARGS__ }, 16, 5 }
#define CUT(length, room) \
	.control = &(const struct control){ VIRTIO_SCSI_T_TMF, 5, { 1, 1, 0x40 }, length, room }

static const struct step task_management[] = {
	{ "logical_unit_reset", TMF(LOGICAL_UNIT_RESET), DIFFERS(RESPONSE, GOOD_ANSWER) },
	{ "unit_attention", NO_DATA(0) },
	{ "no_other", NO_DATA(0) },
	{ "reserve", NO_DATA(0x16) },
	{ "reset_of_a_reservation", TMF(LOGICAL_UNIT_RESET), DIFFERS(RESPONSE, GOOD_ANSWER) },
	{ "sense_after_it", READS(18, 0x03, [4] = 18) },
	{ "good_after_it", NO_DATA(0) },
	{ "reset_of_lun_1", TMF_OF(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 1, 1, 0, 1),
	  DIFFERS(RESPONSE, GOOD_ANSWER) },
	{ "unit_attention_of_lun_1", TUR_OF(1, 1, 0, 1, 0, 0, 0, 0) },
	{ "none_of_lun_0", NO_DATA(0) },
	{ "abort_task", TMF(ABORT_TASK), DIFFERS(RESPONSE, FUNCTIONS) },
	{ "abort_task_set", TMF(ABORT_TASK_SET), DIFFERS(RESPONSE, FUNCTIONS) },
	{ "clear_aca", TMF(CLEAR_ACA) },
	{ "clear_task_set", TMF(CLEAR_TASK_SET) },
	{ "query_task", TMF(QUERY_TASK), DIFFERS(RESPONSE, FUNCTIONS) },
	{ "query_task_set", TMF(QUERY_TASK_SET), DIFFERS(RESPONSE, FUNCTIONS) },
	{ "i_t_nexus_reset", TMF(I_T_NEXUS_RESET), DIFFERS(RESPONSE, FUNCTIONS) },
	{ "after_the_nexus_reset", NO_DATA(0), DIFFERS(CHECK, FUNCTIONS) },
	{ "unknown_function", TMF_OF(8, 1, SCSI_TPGT, 0x40) },
	{ "reset_of_lun_9", TMF_OF(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 1, 1, 0x40, 9),
	  DIFFERS(RESPONSE, FUNCTION_NO_LUN) },
	{ "reset_of_no_target", TMF_OF(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 1, 77, 0x40) },
	{ "reset_of_all_ones", TMF_OF(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 255, 255, 255, 255),
	  ERRORS },
	{ "reset_with_byte_7", TMF_OF(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 1, 1, 0x40, [7] = 1),
	  DIFFERS(RESPONSE, FORMAT) },
	{ "unknown_function_of_no_target", TMF_OF(8, 1, 77, 0x40) },
	{ "reset_with_more_room", CUT(24, 5), DIFFERS(RESPONSE, GOOD_ANSWER) },
	{ "reset_without_a_byte", CUT(23, 5), DIFFERS(RESPONSE | ERROR, SHORT_CONTROL) },
	{ "type_of_a_function_only", CUT(4, 5), DIFFERS(RESPONSE | ERROR, SHORT_CONTROL) },
	{ "query", NOTIFICATION(QUERY, 1, SCSI_TPGT, 0x40) },
	{ "subscribe", NOTIFICATION(SUBSCRIBE, 1, SCSI_TPGT, 0x40) },
	{ "query_of_lun_9", NOTIFICATION(QUERY, 1, SCSI_TPGT, 0x40, 9) },
	{ "query_of_no_target", NOTIFICATION(QUERY, 1, 77, 0x40), DIFFERS(RESPONSE, NO_TARGET) },
	{ "query_of_first_byte_0", NOTIFICATION(QUERY, 0, SCSI_TPGT, 0x40), ERRORS },
	{ "good_in_the_end", NO_DATA(0) },
};

/* A reset of what takes its time. An ORDERED command behind one hangs the kernel's module. */
#define IN_FLIGHT TMF(LOGICAL_UNIT_RESET), .in_flight = true

static const struct step resets[] = {
	{ "write", WRITES(4096, pattern, 0x2a, [8] = 8) },
	{ "read_is_reset", READS(4096, 0x28, [8] = 8), IN_FLIGHT, DIFFERS(RESPONSE, RESET) },
	{ "unit_attention", NO_DATA(0) },
	{ "write_is_reset", WRITES(4096, pattern, 0x8a, [9] = 64, [13] = 8), IN_FLIGHT,
	  DIFFERS(RESPONSE, RESET) },
	{ "unit_attention_again", NO_DATA(0) },
	{ "read_12_is_reset", READS(512, 0xa8, [9] = 1), IN_FLIGHT, DIFFERS(RESPONSE, RESET) },
	{ "unit_attention_in_the_end", NO_DATA(0) },
	{ "read", READS(4096, 0x28, [8] = 8) },
};

/* A backstore with readonly=1. */
static const struct step read_only[] = {
	{ "mode_sense", READS(68, 0x1a, 0, 0x3f, 0, 68) },
	{ "read", READS(4096, 0x28, [8] = 8) },
	{ "write_10", WRITES(512, other, 0x2a, [8] = 1), DIFFERS(CHECK, READ_ONLY) },
	{ "write_6", WRITES(512, other, 0x0a, [3] = 1, 1), DIFFERS(CHECK, READ_ONLY) },
	{ "write_same", WRITES(512, other, 0x93, [9] = 2, [13] = 1), DIFFERS(CHECK, READ_ONLY) },
	{ "unmap", WRITES(24, unmap_one, 0x42, [8] = 24), DIFFERS(CHECK, READ_ONLY) },
	{ "compare_and_write", WRITES(1024, zeroes, 0x89, [9] = 20, [13] = 1),
	  DIFFERS(CHECK, READ_ONLY) },
	{ "synchronize_cache", NO_DATA(0x35) },
	{ "read_of_it", READS(4096, 0x28, [8] = 8), DIFFERS(DATA, READ_ONLY) },
};

/* Four blocks with protection information, and what may be wrong with the second. */
#define PI_LBA 40
#define PI_BYTES (4 * PI_TUPLE)
#define PI_DATA (PI_BYTES + 4 * BLOCK)
static unsigned char protected[PI_DATA], bad_guard[PI_DATA], bad_ref_tag[PI_DATA],
	bad_app_tag[PI_DATA], elsewhere[PI_DATA], escaped[PI_DATA];

static const struct blk_layout tuples_apart = {
	"tuples apart", .out = { PI_HEADER, PI_BYTES }, .in = { RESP, PI_BYTES },
	.direct = VQ_DIRECT,
};

#define READS_PI(protect) { \
		.cdb = { 0x28, (protect) << 5, [5] = PI_LBA, [8] = 4 }, \
		.in_len = PI_DATA, .pi_in = PI_BYTES, .layout = &tuples_apart, \
	}
#define WRITES_PI(protect, bytes) { \
		.cdb = { 0x2a, (protect) << 5, [5] = PI_LBA, [8] = 4 }, .out = (bytes), \
		.out_len = PI_DATA, .pi_out = PI_BYTES, .layout = &tuples_apart, \
	}

static const struct step protection[] = {
	{ "inquiry", READS(96, 0x12, [4] = 96) },
	{ "vpd_86", READS(64, 0x12, 1, 0x86, [4] = 64) },
	{ "read_capacity_16", READS(32, 0x9e, 0x10, [13] = 32) },
	{ "mode_sense_control", READS(64, 0x1a, 0, 0x0a, 0, 64), ZEROED },
	{ "read_of_a_new_disk", READS_PI(1) },
	{ "write", WRITES_PI(1, protected) },
	{ "read", READS_PI(1) },
	{ "plain_read", READS(2048, 0x28, [5] = PI_LBA, [8] = 4) },
	{ "write_16", { .cdb = { 0x8a, 0x20, [9] = PI_LBA, [13] = 4 }, .out = protected,
			.out_len = PI_DATA, .pi_out = PI_BYTES } },
	{ "read_16", { .cdb = { 0x88, 0x20, [9] = PI_LBA, [13] = 4 }, .in_len = PI_DATA,
		       .pi_in = PI_BYTES } },
	{ "write_12", { .cdb = { 0xaa, 0x20, [5] = PI_LBA, [9] = 4 }, .out = protected,
			.out_len = PI_DATA, .pi_out = PI_BYTES } },
	{ "read_12", { .cdb = { 0xa8, 0x20, [5] = PI_LBA, [9] = 4 }, .in_len = PI_DATA,
		       .pi_in = PI_BYTES } },
	{ "write_bad_guard", WRITES_PI(1, bad_guard) },
	{ "write_bad_reference_tag", WRITES_PI(1, bad_ref_tag) },
	{ "write_misdirected", WRITES_PI(1, elsewhere) },
	{ "read_unchanged", READS_PI(1) },
	{ "write_another_application_tag", WRITES_PI(1, bad_app_tag) },
	{ "read_another_application_tag", READS_PI(1) },
	{ "write_escaped", WRITES_PI(1, escaped) },
	{ "read_escaped", READS_PI(1) },
	{ "write_bad_guard_unchecked", WRITES_PI(3, bad_guard) },
	{ "read_bad_guard", READS_PI(1) },
	{ "read_bad_guard_unchecked", READS_PI(3) },
	{ "plain_read_bad_guard", READS(2048, 0x28, [5] = PI_LBA, [8] = 4),
	  DIFFERS(CHECK, NONE_GIVEN) },
	{ "write_bad_reference_tag_unchecked", WRITES_PI(3, bad_ref_tag) },
	{ "read_bad_reference_tag", READS_PI(1) },
	{ "write_protect_2", WRITES_PI(2, protected) },
	{ "read_protect_2", READS_PI(2) },
	{ "write_protect_5", WRITES_PI(5, protected) },
	{ "read_protect_5", READS_PI(5) },
	{ "read_protect_7", READS_PI(7) },
	{ "read_with_room_for_it_and_no_rdprotect", READS_PI(0), DIFFERS(RESIDUAL, NOT_ASKED_FOR) },
	{ "write_with_it_and_no_wrprotect", WRITES_PI(0, protected),
	  DIFFERS(RESIDUAL | CHECK, NOT_ASKED_FOR) },
	{ "read_rdprotect_without_room", READS(2048, 0x28, 0x20, [5] = PI_LBA, [8] = 4) },
	{ "plain_write", WRITES(2048, pattern, 0x2a, [5] = PI_LBA, [8] = 4) },
	{ "plain_read_of_that", READS(2048, 0x28, [5] = PI_LBA, [8] = 4) },
	{ "read_of_that", READS_PI(1), DIFFERS(CHECK | DATA, NONE_GIVEN) },
	{ "write_wrprotect_without_it", WRITES(2048, pattern, 0x2a, 0x20, [5] = PI_LBA, [8] = 4) },
	{ "read_of_that_too", READS_PI(1), DIFFERS(CHECK | DATA, NONE_GIVEN) },
	{ "write_again", WRITES_PI(1, protected) },
	{ "read_past_the_end", { .cdb = { 0x28, 0x20, [4] = 0x80, [8] = 4 }, .in_len = PI_DATA,
				 .pi_in = PI_BYTES } },
	{ "read_with_that_of_a_write", { .cdb = { 0x28, 0x20, [8] = 1 }, .in_len = 520,
					 .pi_out = 8 }, ERRORS },
	{ "write_with_that_of_a_read", { .cdb = { 0x2a, 0x20, [8] = 1 }, .out = protected,
					 .out_len = 520, .pi_in = 8 }, ERRORS },
	{ "it_without_data", { .cdb = { 0 }, .pi_in = 8 }, ERRORS },
};

/* Filled before the tests: damage of the second block's tuple. */
static void damage(unsigned char *bytes, const unsigned char *of, unsigned int at)
{
	memcpy(bytes, of, PI_DATA);
	bytes[PI_TUPLE + at] ^= 1;
}

static void fill_data(void)
{
	unsigned char *misplaced = pi_protected(PI_LBA + 8, 4, 1);
	unsigned char *there = pi_protected(PI_LBA, 4, 1);

	fill(pattern, sizeof(pattern), 1);
	/* A compare and write of the same block twice over. */
	memcpy(pattern + BLOCK, pattern, BLOCK);
	fill(other, sizeof(other), 2);
	memcpy(protected, there, PI_DATA);
	memcpy(elsewhere, misplaced, PI_DATA);
	damage(bad_guard, protected, 0);
	damage(bad_app_tag, protected, 3);
	damage(bad_ref_tag, protected, 7);
	damage(escaped, protected, 0);
	/* All ones as the application tag, and as the reference tag: not to be checked. */
	memset(escaped + PI_TUPLE + 2, 0xff, PI_TUPLE - 2);
	free(there);
	free(misplaced);
}

/* All that the guest has of a step. */
struct answer {
	bool error;
	uint32_t used;
	uint32_t len;
	const unsigned char *bytes;
};

static const struct family {
	const char *name;
	const struct step *steps;
	unsigned int n;
	bool protection, without_lun_0, lun_0_only, long_way, slow, read_only;
} families[] = {
#define FAMILY(name, ...) { #name, name, ARRAY_SIZE(name), __VA_ARGS__ }
	FAMILY(inquiry),
	FAMILY(capacity_and_modes),
	FAMILY(reads_and_writes),
	{ "reads_and_writes_the_long_way", reads_and_writes, ARRAY_SIZE(reads_and_writes),
	  .long_way = true },
	FAMILY(lengths),
	FAMILY(errors),
	FAMILY(addresses, .lun_0_only = true),
	FAMILY(without_lun_0, .without_lun_0 = true, .lun_0_only = true),
	FAMILY(space),
	FAMILY(reservations),
	FAMILY(alua),
	FAMILY(task_management, .lun_0_only = true),
	FAMILY(resets, .slow = true, .lun_0_only = true),
	FAMILY(read_only, .read_only = true, .lun_0_only = true),
	FAMILY(protection, .protection = true),
};

/* For a step of a LUN, those of the two modules. */
static struct answer answers[LUNS][128][2];

/* A LUN 0 that is not there has no unit attentions, and another sense. */
static unsigned int first_of(const struct family *f)
{
	return f->without_lun_0 ? 0 : FIRST;
}

static const struct step *step_of(const struct family *f, unsigned int n)
{
	return n < first_of(f) ? &first[n] : &f->steps[n - first_of(f)];
}

static unsigned int luns_of(const struct family *f)
{
	return f->lun_0_only ? 1 : LUNS;
}

static void add_luns(const struct family *f)
{
	const char *path = f->protection ? NULL :
		nullb_new(&(struct nullb){ .mb = DISK_MB, .delay_ms = f->slow ? SLOW_DISK_MS : 0,
					   .attributes = "discard=1" });

	scsi_lun_add(DISK, &(struct scsi_lun){ .mb = DISK_MB, .path = path, .serial = "compare0",
					       .read_only = f->read_only,
					       .pi_type = f->protection ? 1 : 0 });
	scsi_lun_add(RAM, &(struct scsi_lun){ .mb = DISK_MB, .serial = "compare1",
					      .pi_type = f->protection ? 3 : 0 });
	if (f->without_lun_0)
		scsi_lun_remove(0);
	if (!path)
		return;
	scsi_put_attribute("attrib/emulate_tpu", "1");
	scsi_put_attribute("attrib/emulate_tpws", "1");
}

/* The eventfds of the queues. */
static int error_events[SCSI_FIRST_QUEUE + 1];

static struct vdev *start(const struct family *f)
{
	uint64_t pi = f->protection ? BIT(VIRTIO_SCSI_F_T10_PI) : 0;
	struct vdev *dev;

	scsi_tpg_new();
	add_luns(f);
	dev = scsi_start(SCSI_WWPN, 1, 128, BIT(VIRTIO_F_VERSION_1) | pi);
	vdev_start(dev);
	/* To be looked at by ask(): to the client it says that a queue has stopped. */
	for (unsigned int i = 0; i < dev->nvqs; i++) {
		error_events[i] = dev->vqs[i]->err;
		dev->vqs[i]->err = -1;
	}
	return dev;
}

static struct answer ask_control(struct vdev *dev, const struct control *c)
{
	struct virtio_scsi_ctrl_tmf_req tmf = {
		.type = htole32(c->type), .subtype = htole32(c->subtype),
	};
	struct virtio_scsi_ctrl_an_req an = {
		.type = tmf.type, .event_requested = tmf.subtype,
	};
	struct blk_req req;

	memcpy(tmf.lun, c->lun, sizeof(tmf.lun));
	memcpy(an.lun, c->lun, sizeof(an.lun));
	req = c->type == VIRTIO_SCSI_T_TMF ? scsi_control_do(dev, &tmf, c->len, c->room) :
					     scsi_control_do(dev, &an, c->len, c->room);
	return (struct answer){ event_take(error_events[0]), req.used_len, req.in_len, req.in };
}

/* The command as usual, or it and then the request, which is answered when it has ended. */
static struct scsi_result ask_command(struct vdev *dev, const struct step *step,
				      const struct scsi_cmd *cmd)
{
	struct vq *vq = scsi_queue(dev, 0);
	struct scsi_result res;

	if (!step->in_flight)
		return scsi_cmd_do(vq, cmd);
	res = scsi_cmd_add(vq, cmd);
	blk_send(vq);
	sleep_ms(SLOW_DISK_MS / 4);
	ask_control(dev, step->control);
	scsi_cmd_finish(&res, vq_get(vq));
	return res;
}

static bool is_control(const struct step *step)
{
	return step->control && !step->in_flight;
}

static struct answer ask(struct vdev *dev, const struct step *step, unsigned int lun)
{
	const uint8_t usual[8] = { 1, SCSI_TPGT, 0x40, lun };
	struct scsi_cmd cmd = step->cmd;
	struct scsi_result res;

	if (is_control(step))
		return ask_control(dev, step->control);
	cmd.lun = cmd.lun ?: usual;
	res = ask_command(dev, step, &cmd);
	return (struct answer){ event_take(error_events[SCSI_FIRST_QUEUE]), res.io.used_len,
				res.io.in_len, res.io.in };
}

/* @which: 0 for the kernel's module, which is loaded, 1 for ours. */
static void drive(const struct family *f, unsigned int which)
{
	struct vdev *dev = start(f);

	if (which && f->long_way)
		scsi_set_direct(false);
	for (unsigned int lun = 0; lun < luns_of(f); lun++)
		for (unsigned int i = 0; i < first_of(f) + f->n; i++)
			answers[lun][i][which] = ask(dev, step_of(f, i), lun);
	vdev_close(dev);
	scsi_tpg_drop();
}

#define PART(field, part) \
	(memcmp(&a->field, &b->field, sizeof(a->field)) ? (part) : 0)

/* The first is of the kernel's module. */
static unsigned int differences(const struct step *step, const struct answer *both)
{
	const unsigned char *x = both[0].bytes, *y = both[1].bytes;
	const struct virtio_scsi_cmd_resp *a = (const void *)x, *b = (const void *)y;
	uint32_t len = both[0].len, used = both[1].used;
	unsigned int error = both[0].error != both[1].error ? ERROR : 0;

	if (is_control(step))
		return error | (memcmp(x, y, len) ? RESPONSE : 0);
	return error | PART(response, RESPONSE) | PART(status, STATUS) |
	       PART(status_qualifier, QUALIFIER) | PART(resid, RESIDUAL) |
	       PART(sense, SENSE) | PART(sense_len, SENSE_LENGTH) |
	       (memcmp(x + RESP, y + RESP, used - RESP) ? DATA : 0) |
	       (memcmp(x + used, y + used, len - used) ? BEHIND : 0);
}

static void tell_answer(const char *whose, const struct step *step, const struct answer *x)
{
	const struct virtio_scsi_cmd_resp *r = (const void *)x->bytes;

	if (is_control(step))
		diag("  %s: used %u, response %u", whose, x->used,
		     x->bytes[step->control->type == VIRTIO_SCSI_T_TMF ? 0 : 4]);
	else
		diag("  %s: used %u, response %u, status %02x, residual %u, sense %x/%02x/%02x",
		     whose, x->used, r->response, r->status, le32toh(r->resid), r->sense[2],
		     r->sense[12], r->sense[13]);
}

static void tell(const struct step *step, unsigned int lun, const struct answer *both,
		 unsigned int differ)
{
	uint32_t at = RESP;
	char text[100] = "";

	for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++)
		if (differ & 1 << i)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", parts[i]);
	diag("%s of LUN %u: differs in:%s", step->name, lun, text);
	tell_answer("in-tree", step, &both[0]);
	tell_answer("ours", step, &both[1]);
	if (!(differ & (DATA | BEHIND)))
		return;
	while (both[0].bytes[at] == both[1].bytes[at])
		at++;
	diag("  byte %u of the data: %02x, %02x", at - (unsigned int)RESP, both[0].bytes[at],
	     both[1].bytes[at]);
}

/* Ours counts the response and what was read, and of a good command has written no more. */
static bool used_is_true(const struct step *step, const struct answer *x)
{
	const struct virtio_scsi_cmd_resp *r = (const void *)x->bytes;
	uint32_t want;

	if (is_control(step))
		return x->used == (step->control->type == VIRTIO_SCSI_T_TMF ? 1 : 5);
	if (x->len == RESP || r->response != VIRTIO_SCSI_S_OK || r->status)
		return x->used == RESP;
	want = x->len - le32toh(r->resid);
	if (x->used != want)
		return false;
	for (uint32_t i = want; i < x->len; i++)
		if (x->bytes[i] != BLK_UNTOUCHED)
			return false;
	/* A byte that is as it was can be one that was read; not all of them. */
	for (uint32_t i = RESP; i < want; i++)
		if (x->bytes[i] != BLK_UNTOUCHED)
			return true;
	return want == RESP;
}

static bool as_expected(const struct step *step, unsigned int lun, const struct answer *both)
{
	unsigned int want = !step->on || step->on & BIT(lun) ? step->differs : 0;
	unsigned int differ = differences(step, both);
	bool true_length = !both[0].used && used_is_true(step, &both[1]);

	if (differ == want && true_length)
		return true;
	tell(step, lun, both, differ);
	if (!true_length)
		diag("  a used length is wrong");
	if (want)
		diag("  expected: 0x%x, for %s", want, step->why);
	return false;
}

TEST_PATHS_LIMIT(answers_differ_as_documented, families, 90)
{
	unsigned int wrong = 0;

	check(FIRST + v->n <= ARRAY_SIZE(answers[0]), "more steps than there is room for");
	fill_data();
	scsi_load_intree();
	drive(v, 0);
	scsi_load_ours();
	drive(v, 1);
	for (unsigned int lun = 0; lun < luns_of(v); lun++)
		for (unsigned int i = 0; i < first_of(v) + v->n; i++)
			wrong += !as_expected(step_of(v, i), lun, answers[lun][i]);
	check(!wrong, "%u answers are not as they should be", wrong);
}

#define DOCUMENT "Documentation/vhost-scsi.md"

/* This is build/tests/scsi/compare. */
static FILE *open_document(void)
{
	char path[PATH_MAX] = "";
	FILE *f;

	check(readlink("/proc/self/exe", path, sizeof(path) - sizeof(DOCUMENT) - 1) > 0,
	      "/proc/self/exe: %m");
	for (unsigned int up = 0; up < 4; up++)
		*strrchr(path, '/') = 0;
	strcat(path, "/" DOCUMENT);
	f = fopen(path, "r");
	check(f, "%s: %m", path);
	return f;
}

/* Marks the reasons that are a row's; false: there are none. */
static bool is_a_reason(const char *row, bool (*found)[128])
{
	bool any = false;

	for (unsigned int i = 0; i < ARRAY_SIZE(families); i++)
		for (unsigned int j = 0; j < families[i].n; j++)
			if (families[i].steps[j].why && !strcmp(families[i].steps[j].why, row))
				found[i][j] = any = true;
	return any;
}

/* Rows pinned by this test, and reasons of its differences, are the same. */
TEST(reasons_are_rows_of_the_table)
{
	static bool found[ARRAY_SIZE(families)][128];
	FILE *f = open_document();
	char line[1000], *end;
	bool here = false;

	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "## ", 3))
			here = strstr(line, "Beside the kernel's module");
		end = strstr(line + 2, " |");
		if (!here || line[0] != '|' || !end || !strstr(end, "compare"))
			continue;
		*end = 0;
		if (strcmp(line + 2, "used length"))
			check(is_a_reason(line + 2, found), "nothing differs by '%s'", line + 2);
	}
	fclose(f);
	for (unsigned int i = 0; i < ARRAY_SIZE(families); i++)
		for (unsigned int j = 0; j < families[i].n; j++)
			check(found[i][j] || !families[i].steps[j].why, "no row '%s' for %s",
			      families[i].steps[j].why, families[i].steps[j].name);
}
