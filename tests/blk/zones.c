// SPDX-License-Identifier: GPL-2.0
/* VIRTIO_BLK_F_ZONED: requests about zones, and to zones (VIRTIO 5.2.6). */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blk.h"
#include "tap.h"

#define FEATURES (BLK_FEATURES | BIT(VIRTIO_BLK_F_ZONED))

#define OK		VIRTIO_BLK_S_OK
#define IOERR		VIRTIO_BLK_S_IOERR
#define UNSUPP		VIRTIO_BLK_S_UNSUPP
#define INVALID		VIRTIO_BLK_S_ZONE_INVALID_CMD
#define UNALIGNED	VIRTIO_BLK_S_ZONE_UNALIGNED_WP

/* 16 zones of 2 MiB, the first two conventional, the others with room for 1 MiB. */
#define ZONES		16
#define CONVENTIONAL	2
#define ZONE		4096u
#define CAPACITY	2048u
#define ATTRIBUTES	"zoned=1 zone_size=2 zone_capacity=1 zone_nr_conv=2"
/* The first sector of a sequential zone that tests work with, and of the next one. */
#define Z		(4 * ZONE)
#define Z2		(5 * ZONE)

static const struct blk_setup zoned = {
	.disk = { .mb = 32, .attributes = ATTRIBUTES }, .features = FEATURES };

/* By the device, or by the block layer, which keeps write pointers for it. */
static const struct append_way {
	const char *name, *attributes;
} append_ways[] = {
	{ "by_the_device", ATTRIBUTES " zone_append_max_sectors=1000" },
	{ "emulated", ATTRIBUTES " zone_append_max_sectors=0" },
};

static struct blk start(const char *attributes)
{
	struct blk_setup setup = zoned;

	setup.disk.attributes = attributes;
	return blk_start(&setup);
}

static unsigned char data[64 * SECTOR];

static void write_to(struct blk *blk, uint64_t sector, uint32_t sectors, uint8_t status)
{
	fill(data, sizeof(data), sector);
	blk_expect(blk->vq, &(struct blk_io){ .type = VIRTIO_BLK_T_OUT, .sector = sector,
					      .out = data, .out_len = sectors * SECTOR }, status);
}

static void zone_do(struct blk *blk, uint32_t type, uint64_t sector, uint8_t status)
{
	blk_expect_len(blk->vq, &(struct blk_io){ .type = type, .sector = sector }, status, 1);
}

static const struct virtio_blk_zone_report *report_of(const struct blk_req *req)
{
	return (const void *)req->in;
}

/* The zone as the guest sees it. */
static struct virtio_blk_zone_descriptor zone_of(struct blk *blk, uint64_t sector)
{
	struct blk_req req = blk_do(blk->vq, &(struct blk_io){
		.type = VIRTIO_BLK_T_ZONE_REPORT, .sector = sector, .in_len = 128 });
	struct virtio_blk_zone_descriptor zone;

	check_eq(req.status, OK);
	check_eq(req.used_len, 129);
	check_eq(le64toh(report_of(&req)->nr_zones), 1);
	zone = report_of(&req)->zones[0];
	blk_free(&req);
	return zone;
}

static void zone_is(struct blk *blk, uint64_t sector, uint8_t state, uint64_t wp)
{
	struct virtio_blk_zone_descriptor zone = zone_of(blk, sector);

	check_eq(zone.z_state, state);
	check_eq(le64toh(zone.z_wp), wp);
}

static int backend_config(const struct vdev *dev, int fd, struct virtio_blk_config *config,
			  uint64_t *features)
{
	struct vhost_blk_config answer;
	int r = blk_get_config(dev, fd, &answer);

	memcpy(config, answer.config, sizeof(*config));
	*features = answer.features;
	return r;
}

static uint32_t max_append(const struct blk *blk)
{
	struct virtio_blk_config config;
	uint64_t features;

	check_ok(backend_config(blk->dev, -1, &config, &features));
	return le32toh(config.zoned.max_append_sectors);
}

TEST(config_describes_the_zones)
{
	struct blk blk = start(ATTRIBUTES " zone_max_open=3 zone_max_active=5");
	const uint64_t none = BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES) |
			      BIT(VIRTIO_BLK_F_SECURE_ERASE);
	struct virtio_blk_config config;
	uint64_t features;

	check_ok(backend_config(blk.dev, -1, &config, &features));
	check(features & BIT(VIRTIO_BLK_F_ZONED), "ZONED is not offered");
	check(!(features & none), "0x%llx are offered", (unsigned long long)(features & none));
	check_eq(config.zoned.model, VIRTIO_BLK_Z_HM);
	check_eq(le32toh(config.zoned.zone_sectors), ZONE);
	check_eq(le32toh(config.zoned.max_open_zones), 3);
	check_eq(le32toh(config.zoned.max_active_zones), 5);
	check_eq(le32toh(config.zoned.write_granularity), SECTOR);
	check(max_append(&blk) >= 8, "appends of %u sectors", max_append(&blk));
	check(max_append(&blk) <= CAPACITY, "appends of %u sectors", max_append(&blk));
}

TEST(config_of_a_disk_without_zones)
{
	struct blk blk = blk_start(&(struct blk_setup){ .disk.mb = 16 });
	const struct virtio_blk_zoned_characteristics none = { 0 };
	struct virtio_blk_config config;
	uint64_t features;

	check_ok(backend_config(blk.dev, -1, &config, &features));
	check(!(features & BIT(VIRTIO_BLK_F_ZONED)), "ZONED is offered");
	check_same(&config.zoned, &none, sizeof(none), "the characteristics");
}

/* 5.2.5.2: such a driver does not get as far. */
TEST(driver_that_does_not_know_zones_rejected)
{
	struct blk_setup setup = zoned;
	struct blk blk;

	setup.features = BLK_FEATURES;
	blk = blk_prepare(&setup);
	vdev_setup(blk.dev);
	check_errno(blk_set_backend(blk.dev, blk.fd), EOPNOTSUPP);
	vdev_negotiate(blk.dev, FEATURES);
	check_ok(blk_set_backend(blk.dev, blk.fd));
	zone_is(&blk, Z, VIRTIO_BLK_ZS_EMPTY, Z);
}

static const struct zone_type {
	const char *name;
	uint32_t type;
} zone_types[] = {
	{ "append", VIRTIO_BLK_T_ZONE_APPEND },
	{ "report", VIRTIO_BLK_T_ZONE_REPORT },
	{ "open", VIRTIO_BLK_T_ZONE_OPEN },
	{ "close", VIRTIO_BLK_T_ZONE_CLOSE },
	{ "finish", VIRTIO_BLK_T_ZONE_FINISH },
	{ "reset", VIRTIO_BLK_T_ZONE_RESET },
	{ "reset_all", VIRTIO_BLK_T_ZONE_RESET_ALL },
};

TEST_PATHS(on_a_disk_without_zones_unsupported, zone_types)
{
	struct blk blk = blk_start(&(struct blk_setup){ .disk.mb = 16, .features = FEATURES });

	blk_expect(blk.vq, &(struct blk_io){ .type = v->type, .out = data,
					     .out_len = SECTOR, .in_len = 128 }, UNSUPP);
	/* Nor are there bounds that a zone would set. */
	write_to(&blk, ZONE - 1, 2, OK);
}

/* All is refused but what only reads, and nothing is changed. */
TEST_PATHS(read_only_rejected, zone_types)
{
	bool report = v->type == VIRTIO_BLK_T_ZONE_REPORT;
	bool append = v->type == VIRTIO_BLK_T_ZONE_APPEND;
	struct blk_setup setup = zoned;
	struct blk blk;

	setup.read_only = true;
	blk = blk_start(&setup);
	device_write(blk.path, Z * SECTOR, data, 8 * SECTOR);
	blk_expect(blk.vq, &(struct blk_io){
			.type = v->type, .sector = Z, .out = data, .out_len = append ? 4096 : 0,
			.in_len = append ? 8 : report ? 128 : 0 }, report ? OK : IOERR);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_IOPEN, Z + 8);
}

/*
 * Reports
 */

TEST(report_of_all_zones)
{
	struct blk blk = blk_start(&zoned);
	struct blk_req req = blk_do(blk.vq, &(struct blk_io){
		.type = VIRTIO_BLK_T_ZONE_REPORT, .in_len = 64 * (ZONES + 1) });
	static const unsigned char none[56];

	check_eq(req.status, OK);
	check_eq(req.used_len, 64 * (ZONES + 1) + 1);
	check_eq(le64toh(report_of(&req)->nr_zones), ZONES);
	check_same(report_of(&req)->reserved, none, 56, "the header's reserved bytes");
	for (unsigned int i = 0; i < ZONES; i++) {
		const struct virtio_blk_zone_descriptor *z = &report_of(&req)->zones[i];
		bool conv = i < CONVENTIONAL;

		check_eq(le64toh(z->z_start), i * ZONE);
		check_eq(le64toh(z->z_cap), conv ? ZONE : CAPACITY);
		check_eq(z->z_type, conv ? VIRTIO_BLK_ZT_CONV : VIRTIO_BLK_ZT_SWR);
		check_eq(z->z_state, conv ? VIRTIO_BLK_ZS_NOT_WP : VIRTIO_BLK_ZS_EMPTY);
		if (!conv)
			check_eq(le64toh(z->z_wp), i * ZONE);
		check_same(z->reserved, none, 38, "a zone's reserved bytes");
	}
}

/* From a sector's zone on, as many whole ones as there is room for. */
static const struct part {
	const char *name;
	uint64_t sector;
	uint32_t room;
	unsigned int zones;
} parts[] = {
	{ "one", 0, 128, 1 },
	{ "one_and_a_half", 0, 191, 1 },
	{ "header_only", 0, 64, 0 },
	{ "of_an_inner_sector", 3 * ZONE + 5, 192, 2 },
	{ "of_the_last_sector", ZONES * ZONE - 1, 4096, 1 },
	{ "more_room_than_zones", ZONE, 1 << 20, ZONES - 1 },
};

TEST_V(report_of_a_part, parts)
{
	const struct blk_layout pieces = { "", .in = { 3, 61, 13 }, .in_every = 4096 };
	struct blk blk = blk_start(&zoned);
	struct blk_req req = blk_do(blk.vq, &(struct blk_io){
		.type = VIRTIO_BLK_T_ZONE_REPORT, .sector = v->sector, .in_len = v->room,
		.layout = &pieces });
	uint32_t written = 64 + 64 * v->zones;

	check_eq(req.status, OK);
	check_eq(le64toh(report_of(&req)->nr_zones), v->zones);
	for (unsigned int i = 0; i < v->zones; i++)
		check_eq(le64toh(report_of(&req)->zones[i].z_start),
			 (v->sector / ZONE + i) * ZONE);
	check_eq(req.used_len, written == v->room ? written + 1 : written);
	for (uint32_t i = written; i < v->room; i++)
		check(req.in[i] == BLK_UNTOUCHED, "byte %u of the buffer was changed", i);
}

static const struct bad_report {
	const char *name;
	uint64_t sector;
	uint32_t in, out;
	uint8_t status;
} bad_reports[] = {
	{ "no_room", 0, 0, 0, INVALID },
	{ "a_byte_of_room", 0, 1, 0, INVALID },
	{ "no_room_for_the_header", 0, 63, 0, INVALID },
	{ "at_the_end", ZONES * ZONE, 128, 0, INVALID },
	{ "sector_2_63", 1ull << 63, 128, 0, INVALID },
	{ "sector_max", ~0ull, 128, 0, INVALID },
	{ "readable_data", 0, 128, 1, IOERR },
};

TEST_V(report_rejected, bad_reports)
{
	struct blk blk = blk_start(&zoned);
	struct blk_req req = blk_do(blk.vq, &(struct blk_io){
		.type = VIRTIO_BLK_T_ZONE_REPORT, .sector = v->sector, .in_len = v->in,
		.out = data, .out_len = v->out });

	check_eq(req.status, v->status);
	for (uint32_t i = 0; i < v->in; i++)
		check(req.in[i] == BLK_UNTOUCHED, "byte %u of the buffer was changed", i);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_EMPTY, Z);
}

/* More at once than there is memory for: the others wait in the ring. */
TEST(many_large_reports_ok)
{
	struct blk_setup setup = zoned;
	struct blk_req reqs[128];
	struct blk blk;

	setup.num = 512;
	setup.memory = 256 << 20;
	blk = blk_start(&setup);
	for (unsigned int i = 0; i < 128; i++)
		reqs[i] = blk_add(blk.vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_ZONE_REPORT, .in_len = 1 << 20 });
	blk_send(blk.vq);
	blk_reap(blk.vq, reqs, 128);
	for (unsigned int i = 0; i < 128; i++) {
		check_eq(reqs[i].status, OK);
		check_eq(reqs[i].used_len, 64 * (ZONES + 1));
	}
}

/*
 * Append
 */

static uint64_t sector_of(const struct blk_req *req)
{
	uint64_t sector;

	memcpy(&sector, req->in + req->in_len - 9, 8);
	return le64toh(sector);
}

static struct blk_io append_io(uint32_t len)
{
	return (struct blk_io){ .type = VIRTIO_BLK_T_ZONE_APPEND, .sector = Z, .out = data,
				.out_len = len, .in_len = 8 };
}

/* One must go well, to that sector; what is there afterwards is its data. */
static void append(struct blk *blk, const struct blk_io *io, uint64_t sector)
{
	unsigned char *got = malloc(io->out_len);
	struct blk_req req = blk_do(blk->vq, io);

	check_eq(req.status, OK);
	check_eq(sector_of(&req), sector);
	check_eq(req.used_len, io->in_len == 8 ? 9 : 0);
	device_read(blk->path, sector * SECTOR, got, io->out_len);
	check_same(got, io->out, io->out_len, "the medium");
	free(got);
	blk_free(&req);
}

TEST_PATHS(append_tells_the_sector, append_ways)
{
	struct blk blk = start(v->attributes);
	struct blk_io io = append_io(8 * SECTOR);

	for (unsigned int i = 0; i < 4; i++) {
		fill(data, sizeof(data), i);
		append(&blk, &io, Z + i * 8);
	}
	zone_is(&blk, Z, VIRTIO_BLK_ZS_IOPEN, Z + 32);
	/* A write goes on where they ended, and the other way round. */
	write_to(&blk, Z + 32, 8, OK);
	append(&blk, &io, Z + 40);
}

static const struct blk_layout append_layouts[] = {
	{ "sector_in_bytes", .out = { 16 }, .in_every = 1, .direct = VQ_DIRECT },
	{ "sector_3_and_6", .out = { 16 }, .in = { 3, 6 } },
	{ "data_in_odd_pieces", .out = { 7, 9, 13, 700 }, .out_every = 999, .offset = 3 },
	{ "data_in_sectors", .out = { 16 }, .out_every = 512 },
	{ "data_unaligned", .out = { 16 }, .offset = 1 },
};

TEST_V(append_cut_anyhow_ok, append_layouts)
{
	struct blk blk = start(append_ways[0].attributes);
	struct blk_io io = append_io(sizeof(data));

	fill(data, sizeof(data), 5);
	io.layout = v;
	append(&blk, &io, Z);
	append(&blk, &io, Z + 64);
}

/* 20 bytes and the status: the sector is right before it. */
TEST(append_with_a_wide_status_ok)
{
	struct blk blk = blk_start(&zoned);
	struct blk_io io = append_io(SECTOR);

	io.in_len = 20;
	append(&blk, &io, Z);
}

/*
 * The largest ones, in buffers of more segments than the device takes, and with
 * gaps that it does not: none may be split, nor warned of.
 */
static const struct largest {
	const char *name;
	struct blk_layout layout;
	const char *attributes;
} largest[] = {
	{ "one_piece", { .out = { 16 } }, ATTRIBUTES },
	{ "sectors", { .out = { 16 }, .out_every = 512 }, ATTRIBUTES },
	{ "sectors_packed", { .out = { 16 }, .out_every = 512, .packed = true }, ATTRIBUTES },
	{ "no_gaps_allowed", { .out = { 16 }, .out_every = 1536 }, ATTRIBUTES " virt_boundary=1" },
	{ "max_sectors", { .out = { 16 }, .out_every = 512 }, ATTRIBUTES " max_sectors=1024" },
	{ "emulated", { .out = { 16 }, .out_every = 512 },
	  ATTRIBUTES " zone_append_max_sectors=0 max_sectors=2560" },
};

TEST_V(largest_append_ok, largest)
{
	struct blk_setup setup = zoned;
	unsigned char *large;
	struct blk_io io;
	struct blk blk;

	setup.disk.attributes = v->attributes;
	setup.num = 1024;
	blk = blk_start(&setup);
	io = append_io(max_append(&blk) * SECTOR);
	/* vhost takes 1024 pieces, of which two are header and status. */
	if (v->layout.out_every && io.out_len > 1000 * v->layout.out_every)
		io.out_len = 1000 * v->layout.out_every;
	large = malloc(io.out_len);
	fill(large, io.out_len, 3);
	io.out = large;
	io.layout = &v->layout;
	append(&blk, &io, Z);
	free(large);
}

static const struct bad_append {
	const char *name;
	uint64_t sector;
	uint32_t out, in;
	uint8_t status;
} bad_appends[] = {
	{ "nothing", Z, 0, 8, INVALID },
	{ "half_a_sector", Z, 256, 8, UNALIGNED },
	{ "a_sector_and_a_byte", Z, 513, 8, UNALIGNED },
	{ "second_sector_of_a_zone", Z + 1, SECTOR, 8, INVALID },
	{ "middle_of_a_zone", Z + ZONE / 2, SECTOR, 8, INVALID },
	{ "conventional_zone", 0, SECTOR, 8, INVALID },
	{ "at_the_end", ZONES * ZONE, SECTOR, 8, INVALID },
	{ "sector_2_63", 1ull << 63, SECTOR, 8, INVALID },
	{ "sector_2_55", 1ull << 55, SECTOR, 8, INVALID },
	{ "no_room_for_the_sector", Z, SECTOR, 7, IOERR },
	{ "only_a_status", Z, SECTOR, 0, IOERR },
	{ "only_a_status_and_no_data", Z, 0, 0, IOERR },
};

TEST_V(append_rejected, bad_appends)
{
	struct blk blk = blk_start(&zoned);
	struct blk_io io = append_io(v->out);

	io.sector = v->sector;
	io.in_len = v->in;
	blk_expect(blk.vq, &io, v->status);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_EMPTY, Z);
}

TEST(append_of_more_than_the_most_rejected)
{
	struct blk blk = blk_start(&zoned);
	static unsigned char large[2 << 20];
	struct blk_io io = append_io((max_append(&blk) + 1) * SECTOR);

	io.out = large;
	blk_expect(blk.vq, &io, INVALID);
	io.out_len = sizeof(large);
	blk_expect(blk.vq, &io, INVALID);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_EMPTY, Z);
}

TEST_PATHS(append_past_the_capacity_rejected, append_ways)
{
	struct blk blk = start(v->attributes);
	struct blk_io io = append_io(64 * SECTOR);

	for (unsigned int i = 0; i < CAPACITY / 64 - 1; i++)
		append(&blk, &io, Z + i * 64);
	io.out_len = 32 * SECTOR;
	append(&blk, &io, Z + CAPACITY - 64);
	io.out_len = 64 * SECTOR;
	blk_expect(blk.vq, &io, INVALID);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_IOPEN, Z + CAPACITY - 32);
	/* What has room has it still. */
	write_to(&blk, Z + CAPACITY - 32, 32, OK);
	check_eq(zone_of(&blk, Z).z_state, VIRTIO_BLK_ZS_FULL);
	blk_expect(blk.vq, &io, INVALID);
}

/*
 * Reads and writes
 */

TEST(write_not_at_the_pointer_rejected)
{
	struct blk blk = blk_start(&zoned);

	write_to(&blk, Z + 8, 8, UNALIGNED);
	write_to(&blk, Z, 8, OK);
	write_to(&blk, Z, 8, UNALIGNED);
	write_to(&blk, Z + 16, 8, UNALIGNED);
	/* No mistake keeps one from going on as is right. */
	write_to(&blk, Z + 8, 8, OK);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_IOPEN, Z + 16);
}

TEST(write_of_half_a_sector_rejected)
{
	struct blk blk = blk_start(&zoned);

	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_OUT, .sector = Z,
					     .out = data, .out_len = 256 }, UNALIGNED);
	write_to(&blk, Z, 1, OK);
}

TEST(write_past_the_capacity_rejected)
{
	struct blk blk = blk_start(&zoned);

	write_to(&blk, Z + CAPACITY, 8, INVALID);
	for (unsigned int i = 0; i < CAPACITY - 64; i += 64)
		write_to(&blk, Z + i, 64, OK);
	write_to(&blk, Z + CAPACITY - 64, 56, OK);
	write_to(&blk, Z + CAPACITY - 8, 16, INVALID);
	write_to(&blk, Z + CAPACITY - 8, 8, OK);
	check_eq(zone_of(&blk, Z).z_state, VIRTIO_BLK_ZS_FULL);
	write_to(&blk, Z, 8, INVALID);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_RESET, Z, OK);
	write_to(&blk, Z, 8, OK);
}

TEST(blocks_of_4096)
{
	struct blk_setup setup = zoned;
	struct virtio_blk_config config;
	struct blk_io io = append_io(4096), read = { .sector = Z + 4, .in_len = 4096 };
	uint64_t features;
	struct blk blk;

	setup.disk.blocksize = 4096;
	blk = blk_start(&setup);
	check_ok(backend_config(blk.dev, -1, &config, &features));
	check_eq(le32toh(config.zoned.write_granularity), 4096);
	write_to(&blk, Z, 1, UNALIGNED);
	write_to(&blk, Z + 4, 8, UNALIGNED);
	write_to(&blk, Z, 8, OK);
	append(&blk, &io, Z + 8);
	io.out_len = 512;
	blk_expect(blk.vq, &io, UNALIGNED);
	blk_expect(blk.vq, &read, IOERR);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_IOPEN, Z + 16);
}

/* A device whose zones are another one's: the block layer knows less of them. */
TEST(over_device_mapper_ok)
{
	struct blk_setup setup = zoned;
	struct blk_io io = append_io(8 * SECTOR);
	struct blk blk;

	setup.path = dm_linear_new(nullb_new(&zoned.disk), ZONES * ZONE);
	blk = blk_start(&setup);
	append(&blk, &io, Z);
	write_to(&blk, Z + 16, 8, UNALIGNED);
	write_to(&blk, Z + 8, 8, OK);
	append(&blk, &io, Z + 16);
	write_to(&blk, ZONE - 8, 16, OK);
	write_to(&blk, Z2 - 8, 16, INVALID);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_IOPEN, Z + 24);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_OPEN, 0, INVALID);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_FINISH, Z, OK);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_RESET_ALL, 0, OK);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_EMPTY, Z);
}

/* Only conventional zones let a request go on in the next one. */
TEST(several_zones_at_once)
{
	struct blk blk = blk_start(&zoned);
	unsigned char got[16 * SECTOR];
	struct blk_io read = { .type = VIRTIO_BLK_T_IN, .sector = Z2 - 8, .in_len = 16 * SECTOR };

	write_to(&blk, ZONE - 8, 16, OK);
	blk_read(blk.vq, ZONE - 8, got, sizeof(got));
	check_same(got, data, sizeof(got), "what was written");
	write_to(&blk, CONVENTIONAL * ZONE - 8, 16, INVALID);
	zone_is(&blk, CONVENTIONAL * ZONE, VIRTIO_BLK_ZS_EMPTY, CONVENTIONAL * ZONE);
	write_to(&blk, Z2 - 8, 16, INVALID);
	zone_is(&blk, Z2, VIRTIO_BLK_ZS_EMPTY, Z2);
	blk_expect_len(blk.vq, &read, INVALID, 0);
	read.sector = Z2 - 16;
	blk_expect(blk.vq, &read, OK);
}

/* Its device, or its zone, is broken. */
TEST(error_of_the_medium_is_an_io_error)
{
	struct blk blk = start(ATTRIBUTES " badblocks=+16392-16392");

	write_to(&blk, Z, 8, OK);
	write_to(&blk, Z + 8, 8, IOERR);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_IOPEN, Z + 8);
	write_to(&blk, Z + 16, 8, UNALIGNED);
}

static void put_zone(const char *state, uint64_t sector)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)sector);
	put_attribute("/sys/kernel/config/nullb/vst0", state, text);
}

TEST(read_only_zone)
{
	struct blk blk = blk_start(&zoned);
	struct blk_io io = append_io(SECTOR), read = { .sector = Z, .in_len = SECTOR };

	put_zone("zone_readonly", Z);
	check_eq(zone_of(&blk, Z).z_state, VIRTIO_BLK_ZS_RDONLY);
	write_to(&blk, Z, 8, INVALID);
	blk_expect(blk.vq, &io, INVALID);
	for (unsigned int i = 2; i < 6; i++)
		zone_do(&blk, zone_types[i].type, Z, INVALID);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_RESET_ALL, 0, OK);
	blk_expect(blk.vq, &read, OK);
	check_eq(zone_of(&blk, Z).z_state, VIRTIO_BLK_ZS_RDONLY);
}

TEST(offline_zone)
{
	struct blk blk = blk_start(&zoned);
	struct blk_io io = append_io(SECTOR), read = { .sector = Z, .in_len = SECTOR };

	put_zone("zone_offline", Z);
	check_eq(zone_of(&blk, Z).z_state, VIRTIO_BLK_ZS_OFFLINE);
	write_to(&blk, Z, 8, INVALID);
	blk_expect(blk.vq, &io, INVALID);
	blk_expect(blk.vq, &read, INVALID);
	for (unsigned int i = 2; i < 6; i++)
		zone_do(&blk, zone_types[i].type, Z, INVALID);
}

/* Those of a driver that does not flush are stable, appends as well. */
TEST(without_flush_ok)
{
	struct blk_setup setup = zoned;
	struct blk_io io = append_io(SECTOR);
	struct blk blk;

	setup.disk.attributes = ATTRIBUTES " cache_size=4 zone_append_max_sectors=100";
	setup.features = FEATURES & ~BIT(VIRTIO_BLK_F_FLUSH);
	blk = blk_start(&setup);
	write_to(&blk, Z, 8, OK);
	append(&blk, &io, Z + 8);
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH }, OK);
	write_to(&blk, Z + 9, 8, OK);
}

static const struct {
	const char *name;
	uint32_t type;
} ranges[] = {
	{ "discard", VIRTIO_BLK_T_DISCARD },
	{ "write_zeroes", VIRTIO_BLK_T_WRITE_ZEROES },
	{ "secure_erase", VIRTIO_BLK_T_SECURE_ERASE },
};

/* Whatever the driver thinks that it negotiated: no write pointer moves. */
TEST_V(ranges_unsupported, ranges)
{
	struct virtio_blk_discard_write_zeroes range = { htole64(Z), htole32(ZONE), 0 };
	struct blk_setup setup = zoned;
	struct blk blk;

	setup.disk.attributes = ATTRIBUTES " discard=1";
	setup.features |= BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES) |
			  BIT(VIRTIO_BLK_F_SECURE_ERASE);
	blk = blk_start(&setup);
	write_to(&blk, Z, 8, OK);
	blk_expect(blk.vq, &(struct blk_io){ .type = v->type, .out = &range,
					     .out_len = sizeof(range) }, UNSUPP);
	write_to(&blk, Z + 8, 8, OK);
}

/*
 * States
 */

TEST(states_follow_the_commands)
{
	struct blk blk = blk_start(&zoned);

	zone_do(&blk, VIRTIO_BLK_T_ZONE_CLOSE, Z, INVALID);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_OPEN, Z, OK);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_EOPEN, Z);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_OPEN, Z, OK);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_CLOSE, Z, OK);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_EMPTY, Z);
	write_to(&blk, Z, 8, OK);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_IOPEN, Z + 8);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_CLOSE, Z, OK);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_CLOSED, Z + 8);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_CLOSE, Z, OK);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_FINISH, Z, OK);
	check_eq(zone_of(&blk, Z).z_state, VIRTIO_BLK_ZS_FULL);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_FINISH, Z, OK);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_OPEN, Z, INVALID);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_CLOSE, Z, INVALID);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_RESET, Z, OK);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_EMPTY, Z);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_RESET, Z, OK);
}

TEST(reset_all_spares_conventional_zones)
{
	unsigned char written[8 * SECTOR], got[8 * SECTOR];
	struct blk blk = blk_start(&zoned);

	write_to(&blk, ZONE, 8, OK);
	memcpy(written, data, sizeof(written));
	write_to(&blk, Z, 8, OK);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_FINISH, Z2, OK);
	/* The sector means nothing. */
	zone_do(&blk, VIRTIO_BLK_T_ZONE_RESET_ALL, 77, OK);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_EMPTY, Z);
	zone_is(&blk, Z2, VIRTIO_BLK_ZS_EMPTY, Z2);
	blk_read(blk.vq, ZONE, got, sizeof(got));
	check_same(got, written, sizeof(got), "the conventional zone");
	write_to(&blk, Z, 8, OK);
}

static const struct bad_zone {
	const char *name;
	uint64_t sector;
} bad_zones[] = {
	{ "conventional", 0 },
	{ "second_sector", Z + 1 },
	{ "last_sector", Z2 - 1 },
	{ "at_the_end", ZONES * ZONE },
	{ "past_the_end", (ZONES + 7) * ZONE },
	{ "sector_2_63", 1ull << 63 },
	{ "sector_max", ~0ull },
};

TEST_V(command_to_no_sequential_zone_rejected, bad_zones)
{
	struct blk blk = blk_start(&zoned);

	for (unsigned int i = 2; i < 6; i++)
		zone_do(&blk, zone_types[i].type, v->sector, INVALID);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_EMPTY, Z);
}

/* They carry no data; what is there is neither read nor written. */
TEST(command_with_data_ignores_it)
{
	struct blk blk = blk_start(&zoned);
	struct blk_req req = blk_do(blk.vq, &(struct blk_io){
		.type = VIRTIO_BLK_T_ZONE_OPEN, .sector = Z, .out = data, .out_len = 77,
		.in_len = 99 });

	check_eq(req.status, OK);
	check_eq(req.used_len, 0);
	for (unsigned int i = 0; i < 99; i++)
		check(req.in[i] == BLK_UNTOUCHED, "byte %u of the buffer was changed", i);
}

/* Which of the two limits is met follows from what is open; afterwards all goes on. */
TEST_PATHS(resources, append_ways)
{
	char attributes[200];
	struct blk_io io = append_io(SECTOR);
	struct blk blk;

	snprintf(attributes, sizeof(attributes), "%s zone_max_open=2 zone_max_active=3",
		 v->attributes);
	blk = start(attributes);
	for (unsigned int i = 6; i < 8; i++)
		zone_do(&blk, VIRTIO_BLK_T_ZONE_OPEN, i * ZONE, OK);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_OPEN, Z, VIRTIO_BLK_S_ZONE_OPEN_RESOURCE);
	write_to(&blk, Z, 8, VIRTIO_BLK_S_ZONE_OPEN_RESOURCE);
	blk_expect(blk.vq, &io, VIRTIO_BLK_S_ZONE_OPEN_RESOURCE);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_EMPTY, Z);
	for (unsigned int i = 6; i < 8; i++) {
		write_to(&blk, i * ZONE, 8, OK);
		zone_do(&blk, VIRTIO_BLK_T_ZONE_CLOSE, i * ZONE, OK);
	}
	write_to(&blk, Z, 8, OK);
	io.sector = Z2;
	blk_expect(blk.vq, &io, VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE);
	write_to(&blk, Z2, 8, VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_OPEN, Z2, VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_FINISH, 6 * ZONE, OK);
	write_to(&blk, Z2, 8, OK);
	write_to(&blk, Z + 8, 8, OK);
}

/*
 * Many at once
 */

#define BATCH 96

/* What is in the ring in order goes to the device in order. */
TEST(sequential_writes_in_flight_ok)
{
	struct blk_setup setup = zoned;
	static unsigned char large[8 * BATCH * SECTOR], got[sizeof(large)];
	struct blk_req reqs[BATCH];
	struct blk blk;

	setup.num = 512;
	blk = blk_start(&setup);
	fill(large, sizeof(large), 11);
	for (unsigned int i = 0; i < BATCH; i++)
		reqs[i] = blk_add(blk.vq, &(struct blk_io){
			.type = VIRTIO_BLK_T_OUT, .sector = Z + i * 8,
			.out = large + i * 8 * SECTOR, .out_len = 8 * SECTOR });
	blk_send(blk.vq);
	blk_reap(blk.vq, reqs, BATCH);
	for (unsigned int i = 0; i < BATCH; i++)
		check_eq(reqs[i].status, OK);
	device_read(blk.path, Z * SECTOR, got, sizeof(got));
	check_same(got, large, sizeof(got), "the medium");
}

/* Each has a place of its own, and its data are there. */
TEST_PATHS(appends_in_flight_ok, append_ways)
{
	struct blk_setup setup = zoned;
	struct blk_req reqs[BATCH];
	bool taken[BATCH] = { false };
	unsigned char want[SECTOR], got[SECTOR];
	struct blk blk;

	setup.disk.attributes = v->attributes;
	setup.num = 512;
	blk = blk_start(&setup);
	for (unsigned int i = 0; i < BATCH; i++) {
		struct blk_io io = append_io(SECTOR);

		fill(data, SECTOR, i);
		reqs[i] = blk_add(blk.vq, &io);
	}
	blk_send(blk.vq);
	blk_reap(blk.vq, reqs, BATCH);
	for (unsigned int i = 0; i < BATCH; i++) {
		uint64_t at = sector_of(&reqs[i]) - Z;

		check_eq(reqs[i].status, OK);
		check(at < BATCH && !taken[at], "append %u is at %llu", i, (unsigned long long)at);
		taken[at] = true;
		fill(want, SECTOR, i);
		device_read(blk.path, (Z + at) * SECTOR, got, SECTOR);
		check_same(got, want, SECTOR, "the medium");
	}
}

/* Takes all that came; returns how many appends went well. */
static unsigned int take(struct vq *vq, struct blk_req *reqs, unsigned int *done)
{
	unsigned int appends = 0, i;
	struct used u;

	while (vq_pop(vq, &u)) {
		for (i = 0; i < BATCH && (reqs[i].done || reqs[i].head != u.head); )
			i++;
		check(i < BATCH, "nobody sent the request %u that came back", u.head);
		blk_finish(&reqs[i], u);
		check_eq(reqs[i].status, i % 3 == 2 ? UNALIGNED : OK);
		appends += i % 3 == 0;
		++*done;
	}
	return appends;
}

/*
 * Detached with appends, reports and writes that fail in flight: what was taken is
 * answered, the rest is in the ring, and nothing comes after the ioctl.
 */
TEST_PATHS(detached_in_flight, append_ways)
{
	struct blk_setup setup = zoned;
	unsigned int done = 0, appends;
	struct blk_req reqs[BATCH];
	struct blk blk;

	setup.disk.attributes = v->attributes;
	setup.disk.delay_ms = 5;
	setup.num = 512;
	blk = blk_start(&setup);
	for (unsigned int i = 0; i < BATCH; i++) {
		struct blk_io io = append_io(SECTOR);

		if (i % 3 == 1)
			io = (struct blk_io){ .type = VIRTIO_BLK_T_ZONE_REPORT, .in_len = 2048 };
		if (i % 3 == 2)
			io = (struct blk_io){ .type = VIRTIO_BLK_T_OUT, .sector = Z2 + 8,
					      .out = data, .out_len = SECTOR };
		reqs[i] = blk_add(blk.vq, &io);
	}
	blk_send(blk.vq);
	sleep_ms(2);
	check_ok(blk_set_backend(blk.dev, -1));
	appends = take(blk.vq, reqs, &done);
	vq_quiet(blk.vq, VQ_QUIET_MS);
	diag("%u of %u requests were taken", done, BATCH);

	check_ok(blk_set_backend(blk.dev, blk.fd));
	for (uint64_t end = now_ms() + VQ_WAIT_MS; done < BATCH && now_ms() < end; sleep_ms(1))
		appends += take(blk.vq, reqs, &done);
	check_eq(done, BATCH);
	check_eq(appends, BATCH / 3);
	zone_is(&blk, Z, VIRTIO_BLK_ZS_IOPEN, Z + appends);
}

/* Which the block layer would make one request of, and stumble over. */
TEST_PATHS(the_same_command_at_once_ok, zone_types)
{
	struct blk blk = blk_start(&zoned);
	struct blk_io io = { .type = v->type, .sector = Z };

	if (v->type == VIRTIO_BLK_T_ZONE_APPEND)
		io = append_io(SECTOR);
	if (v->type == VIRTIO_BLK_T_ZONE_REPORT)
		io.in_len = 128;
	write_to(&blk, Z, 8, OK);
	blk_batch(blk.vq, &io, 16);
	blk_expect(blk.vq, &io, OK);
}

#define MIX_ROUNDS 60
#define MIX_DEPTH 48

/* Whatever comes to mind, in two sequential zones and the end of a conventional one. */
static struct blk_io random_io(uint64_t *random)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT,
		VIRTIO_BLK_T_ZONE_APPEND, VIRTIO_BLK_T_ZONE_APPEND, VIRTIO_BLK_T_ZONE_APPEND,
		VIRTIO_BLK_T_ZONE_REPORT, VIRTIO_BLK_T_ZONE_OPEN, VIRTIO_BLK_T_ZONE_CLOSE,
		VIRTIO_BLK_T_ZONE_FINISH, VIRTIO_BLK_T_ZONE_RESET, VIRTIO_BLK_T_ZONE_RESET_ALL,
		VIRTIO_BLK_T_FLUSH,
	};
	static const uint64_t zones[] = { ZONE, CONVENTIONAL * ZONE, (CONVENTIONAL + 1) * ZONE };
	struct blk_io io = { .type = types[prng(random) % ARRAY_SIZE(types)] };
	uint32_t len = (1 + prng(random) % 64) * SECTOR;

	io.sector = zones[prng(random) % ARRAY_SIZE(zones)];
	if (io.type == VIRTIO_BLK_T_IN || io.type == VIRTIO_BLK_T_OUT)
		io.sector += prng(random) % 3 * 64 - (prng(random) % 8 ? 0 : 32);
	if (io.type == VIRTIO_BLK_T_OUT || io.type == VIRTIO_BLK_T_ZONE_APPEND) {
		io.out = data;
		io.out_len = len;
	}
	if (io.type == VIRTIO_BLK_T_IN)
		io.in_len = len;
	if (io.type == VIRTIO_BLK_T_ZONE_APPEND)
		io.in_len = 8;
	if (io.type == VIRTIO_BLK_T_ZONE_REPORT)
		io.in_len = prng(random) % 2048;
	return io;
}

/*
 * From two queues at once, in no order that makes sense: all is answered, and the
 * kernel says nothing about it. Then all is as ever.
 */
TEST_PATHS_LIMIT(any_mix_is_answered, append_ways, 60)
{
	struct blk_setup setup = zoned;
	struct blk_req reqs[2][MIX_DEPTH];
	unsigned int count[7] = { 0 };
	uint64_t random = 1;
	struct blk blk;

	setup.disk.attributes = v->attributes;
	setup.queues = 2;
	setup.num = 256;
	blk = blk_start(&setup);
	for (unsigned int round = 0; round < MIX_ROUNDS; round++) {
		uint64_t mark = guest_mark(blk.mem);

		for (unsigned int i = 0; i < 2 * MIX_DEPTH; i++) {
			struct blk_io io = random_io(&random);

			reqs[i % 2][i / 2] = blk_add(blk.dev->vqs[i % 2], &io);
		}
		for (unsigned int q = 0; q < 2; q++)
			blk_send(blk.dev->vqs[q]);
		for (unsigned int q = 0; q < 2; q++)
			blk_reap(blk.dev->vqs[q], reqs[q], MIX_DEPTH);
		for (unsigned int i = 0; i < 2 * MIX_DEPTH; i++) {
			check(reqs[i % 2][i / 2].status < ARRAY_SIZE(count), "status %u",
			      reqs[i % 2][i / 2].status);
			count[reqs[i % 2][i / 2].status]++;
			blk_free(&reqs[i % 2][i / 2]);
		}
		guest_release(blk.mem, mark);
	}
	diag("%u OK, %u IOERR, %u INVALID_CMD, %u UNALIGNED_WP", count[OK], count[IOERR],
	     count[INVALID], count[UNALIGNED]);
	zone_do(&blk, VIRTIO_BLK_T_ZONE_RESET_ALL, 0, OK);
	for (unsigned int i = CONVENTIONAL; i < ZONES; i++)
		write_to(&blk, i * ZONE, 8, OK);
}
