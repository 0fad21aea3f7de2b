// SPDX-License-Identifier: GPL-2.0
/*
 * The model of virtio-scsi, by which random_requests of tests/hostile/scsi.c judges. The
 * ring and the disk are those of model.c.
 */
#include "../lib/verdict.c"
#include "../lib/memory_model.c"
#include "../lib/disk_model.c"
#include "../lib/ring_model.c"
#include "../lib/transfer_model.c"
#include "../lib/scsi_model.c"

#include "tap.h"

#define SECTORS 64
#define NUM 16
#define META 0x100000ull
#define DATA 0x2000

struct world {
	struct guest mem;
	struct scsi_model model;
	unsigned char disk[SECTORS * DISK_SECTOR], initial[SECTORS * DISK_SECTOR];
	unsigned char *meta, *data;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct virtio_scsi_cmd_req *req;
	struct virtio_scsi_cmd_resp *resp;
	uint8_t lun;
};

static struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));
	struct scsi_model *m = &w->model;

	guest_add(&w->mem, META, 65536);
	w->meta = w->mem.region[0].hva;
	w->desc = (void *)w->meta;
	w->avail = (void *)(w->meta + 0x400);
	w->used = (void *)(w->meta + 0x800);
	w->req = (void *)(w->meta + 0x1000);
	w->resp = (void *)(w->meta + 0x1800);
	w->data = w->meta + DATA;
	fill(w->initial, sizeof(w->initial), 1);
	memcpy(w->disk, w->initial, sizeof(w->disk));
	memory_init(&m->memory, &w->mem);
	disk_init(&m->disk, w->initial, SECTORS);
	ring_model_init(&m->ring[0], &m->memory, NUM, w->desc, w->avail, w->used);
	m->requests[0] = true;
	m->lun = w->lun = 1;
	m->capacity = SECTORS;
	return w;
}

static void put_desc(struct world *w, unsigned int id, uint64_t at, uint32_t len,
		     uint16_t flags)
{
	w->desc[id] = (struct vring_desc){ htole64(META + at), htole32(len), htole16(flags),
					   htole16(id + 1) };
}

/* A command of 10 bytes with so many bytes of data, out or in, is sent. */
static void send(struct world *w, uint8_t opcode, uint8_t lba, uint8_t blocks, uint32_t out,
		 uint32_t in)
{
	uint16_t idx = le16toh(w->avail->idx);

	*w->req = (struct virtio_scsi_cmd_req){
		.lun = { 1, 1, 0x40, w->lun }, .cdb = { opcode, [5] = lba, [8] = blocks },
	};
	put_desc(w, 0, 0x1000, HEADER, VRING_DESC_F_NEXT);
	put_desc(w, 1, DATA, out, VRING_DESC_F_NEXT);
	put_desc(w, 2, 0x1800, RESP, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT);
	put_desc(w, 3, DATA, in, VRING_DESC_F_WRITE);
	w->avail->ring[idx % NUM] = 0;
	scsi_model_publish(&w->model, 0, idx + 1);
	w->avail->idx = htole16(idx + 1);
}

static const char *answer(struct world *w, struct virtio_scsi_cmd_resp resp, uint32_t len)
{
	uint16_t idx = le16toh(w->used->idx);

	*w->resp = resp;
	w->used->ring[idx % NUM] = (struct vring_used_elem){ 0, htole32(len) };
	w->used->idx = htole16(idx + 1);
	return scsi_model_collect(&w->model, 0);
}

static void must_notice(const char *said, const char *part)
{
	check(said, "it was not noticed; expected: %s", part);
	check(strstr(said, part), "'%s' was noticed; expected: %s", said, part);
}

static const struct virtio_scsi_cmd_resp good;

static const struct virtio_scsi_cmd_resp out_of_range = {
	.status = CHECK_CONDITION, .sense_len = 18, .sense = { 0x70, 0, 5, [12] = 0x21 },
};

static const struct virtio_scsi_cmd_resp attention = {
	.status = CHECK_CONDITION, .sense_len = 18, .sense = { 0x70, 0, 6, [12] = 0x29 },
};

static void do_write(struct world *w, uint8_t lba, uint64_t seed)
{
	fill(w->data, 1024, seed);
	send(w, 0x2a, lba, 2, 1024, 0);
	memcpy(w->disk + lba * DISK_SECTOR, w->data, 1024);
	check(!answer(w, good, RESP), "the write is right");
}

TEST(obedient_target_is_right)
{
	struct world *w = world_new();

	for (unsigned int i = 0; i < 30; i++) {
		do_write(w, i, i);
		send(w, 0x28, i / 2, 4, 0, 2048);
		memcpy(w->data, w->disk + i / 2 * DISK_SECTOR, 2048);
		check(!answer(w, good, RESP + 2048), "the read is right");
		send(w, 0x28, SECTORS - 1, 2, 0, 1024);
		check(!answer(w, out_of_range, RESP), "the refusal is right");
		send(w, 0x28, 1, 2, 0, 1024);
		check(!answer(w, attention, RESP), "the unit attention is right");
	}
	check(!disk_read_back(&w->model.disk, 0, SECTORS, w->disk), "the disk is right");
	check_eq(w->model.known, 120);
	check_eq(w->model.good, 60);
}

static const struct {
	const char *name;
	uint8_t lba;
	struct virtio_scsi_cmd_resp resp;
	uint32_t len;
	const char *notice;
} answers[] = {
	{ "residual", 1, { .resid = 512 }, RESP + 1024, "residual 512" },
	{ "sense", 1, { .sense_len = 18 }, RESP + 1024, "18 bytes of sense" },
	{ "used_len_of_data_alone", 1, {}, 1024, "used.len is 1024" },
	{ "used_len_of_the_response", 1, {}, RESP, "used.len is 108" },
	{ "failure", 1, { .response = VIRTIO_SCSI_S_FAILURE }, RESP, "response 9" },
	{ "medium_error", 1, { .status = CHECK_CONDITION, .sense = { 0x70, 0, 3 } }, RESP,
	  "sense key 3" },
	{ "out_of_range_within_the_disk", 1, { .status = CHECK_CONDITION,
					       .sense = { 0x70, 0, 5 } }, RESP, "sense key 5" },
	{ "good_past_the_end", SECTORS - 1, {}, RESP + 1024, "past the end" },
	{ "used_len_of_a_failed_read", 1, { .status = 8 }, RESP + 1024, "command that failed" },
};

TEST_V(wrong_answer_noticed, answers)
{
	struct world *w = world_new();

	send(w, 0x28, v->lba, 2, 0, 1024);
	memcpy(w->data, w->disk + DISK_SECTOR, 1024);
	must_notice(answer(w, v->resp, v->len), v->notice);
}

TEST(wrong_byte_of_a_read_noticed)
{
	struct world *w = world_new();

	do_write(w, 3, 7);
	send(w, 0x28, 2, 4, 0, 2048);
	memcpy(w->data, w->disk + 2 * DISK_SECTOR, 2048);
	w->data[1535] ^= 1;
	must_notice(answer(w, good, RESP + 2048), "sector 4 was never that");
}

TEST(write_that_was_put_off_may_be_done)
{
	struct world *w = world_new();

	fill(w->data, 1024, 7);
	send(w, 0x2a, 3, 2, 1024, 0);
	check(!answer(w, (struct virtio_scsi_cmd_resp){ .status = 0x40 }, RESP), "TASK ABORTED");
	memcpy(w->disk + 3 * DISK_SECTOR, w->data, 512);
	check(!disk_read_back(&w->model.disk, 0, SECTORS, w->disk), "one sector was written");
	w->disk[5 * DISK_SECTOR] ^= 1;
	must_notice(disk_read_back(&w->model.disk, 0, SECTORS, w->disk), "sector 5");
}

/* What else writes leaves anything, in its blocks. */
static const struct {
	const char *name;
	uint8_t opcode, first, end;
} others[] = {
	{ "write_and_verify", 0x2e, 3, 5 },
	{ "write_same", 0x41, 3, 5 },
	{ "unmap", 0x42, 0, SECTORS },
};

TEST_V(other_writer_stays_in_its_blocks, others)
{
	struct world *w = world_new();

	send(w, v->opcode, 3, 2, 512, 0);
	check(!answer(w, good, RESP), "nothing is said of it");
	for (unsigned int s = v->first; s < v->end; s++)
		w->disk[s * DISK_SECTOR] ^= 1;
	check(!disk_read_back(&w->model.disk, 0, SECTORS, w->disk), "it may be anything");
	w->disk[v->first * DISK_SECTOR] ^= 1;
	must_notice(disk_read_back(&w->model.disk, 0, SECTORS, w->disk), "sector");
}

TEST(command_of_another_lun_changes_nothing)
{
	struct world *w = world_new();

	w->lun = 0;
	send(w, 0x2a, 3, 2, 1024, 0);
	check(!answer(w, good, RESP), "nothing is said of it");
	w->disk[3 * DISK_SECTOR] ^= 1;
	must_notice(disk_read_back(&w->model.disk, 0, SECTORS, w->disk), "sector 3");
}
