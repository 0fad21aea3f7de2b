// SPDX-License-Identifier: GPL-2.0
/*
 * Memory runs out, or a bio fails, under a SCSI command: each allocation and bio of the
 * queue's worker once, one by one, and then of the kernel's workers, where what may take
 * its time goes and the target core ends commands. The command is answered, with GOOD only
 * where that is true, and the same one is good the next time.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "integrity.h"
#include "scsi.h"
#include "tap.h"

#define HEADER sizeof(struct virtio_scsi_cmd_req)
#define HEADER_PI sizeof(struct virtio_scsi_cmd_req_pi)
#define RESP sizeof(struct virtio_scsi_cmd_resp)
#define LBA 64
#define MIB_BLOCKS 2048

/* Where a command's data lies. */
static const struct blk_layout bounced = {
	.name = "bounced", .out = { HEADER }, .in = { RESP }, .direct = VQ_DIRECT, .offset = 1,
};
static const struct blk_layout pieces = {
	.name = "pieces", .out = { HEADER }, .out_every = 4096, .in = { RESP }, .in_every = 4096,
};
/* Tuples of 4k apart from the data, which then lies as a device wants it. */
static const struct blk_layout apart = {
	.name = "apart", .out = { HEADER_PI, 8 * PI_TUPLE }, .in = { RESP, 8 * PI_TUPLE },
	.direct = VQ_DIRECT,
};

static const struct pi_disk nvme = { NULL, "T10-DIF-TYPE1-CRC" };

struct tries {
	const struct request *request;
	struct vdev *dev;
	const char *path;
	struct victim victim;
	/* What is in the blocks, or is to be; with protection information before it. */
	unsigned char *data;
	unsigned char out[1024];
	uint64_t seed;
	unsigned int failed;
};

struct request {
	const char *name;
	struct scsi_cmd (*make)(struct tries *t);
	/* Of one that ended well, that it did. */
	void (*proves)(struct tries *t, const struct scsi_result *res);
	uint32_t blocks;
	const struct blk_layout *layout;
	bool long_way;
	bool absent;		/* its pages are not in memory */
	bool pi;
	bool ram;		/* the target core's RAM disk, and no block device */
	bool damaged;		/* a block's protection information is not its own */
	bool unknown;		/* is to the target core what it says of no memory */
	const char *attribute;	/* of the backstore, to be 1 */
};

/* By another queue, without faults, and well. */
static struct scsi_result do_well(struct tries *t, struct scsi_cmd cmd)
{
	struct scsi_result res = scsi_cmd_do(scsi_queue(t->dev, 1), &cmd);

	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 0, 0, 0);
	return res;
}

static void make_data(struct tries *t)
{
	uint32_t blocks = t->request->blocks;

	t->seed++;
	if (t->request->pi) {
		free(t->data);
		t->data = pi_protected(LBA, blocks, t->seed);
	} else {
		fill(t->data, blocks * SCSI_BLOCK, t->seed);
	}
}

static uint32_t data_bytes(const struct request *r)
{
	return r->blocks * (SCSI_BLOCK + (r->pi ? PI_TUPLE : 0));
}

static struct scsi_cmd write_of_data(const struct tries *t)
{
	uint32_t blocks = t->request->blocks;

	return t->request->pi ? scsi_cmd_write_pi(LBA, blocks, t->data) :
				scsi_cmd_write(LBA, blocks, t->data);
}

static struct scsi_cmd make_write(struct tries *t)
{
	make_data(t);
	return write_of_data(t);
}

static struct scsi_cmd make_read(struct tries *t)
{
	uint32_t blocks = t->request->blocks;

	return t->request->pi ? scsi_cmd_read_pi(LBA, blocks) : scsi_cmd_read(LBA, blocks);
}

static void check_read(struct tries *t, const struct scsi_result *res)
{
	if (!t->request->damaged)
		check_same(res->data, t->data, data_bytes(t->request), "a read");
}

/* What is behind the target core has the data. */
static void check_disk(struct tries *t, const struct scsi_result *unused)
{
	uint32_t bytes = t->request->blocks * SCSI_BLOCK;
	unsigned char *got = malloc(bytes);

	(void)unused;
	device_read(t->path, LBA * SCSI_BLOCK, got, bytes);
	check_same(got, t->data, bytes, "the disk");
	free(got);
}

/* So has what a read says, where it has protection information, or is no device. */
static void check_written(struct tries *t, const struct scsi_result *unused)
{
	struct scsi_result res;

	if (t->path && !t->request->pi) {
		check_disk(t, unused);
		return;
	}
	res = do_well(t, make_read(t));
	check_read(t, &res);
	scsi_result_free(&res);
}

/* Commands that are answered by the target core itself */

static struct scsi_cmd make_inquiry(struct tries *t)
{
	(void)t;
	return (struct scsi_cmd){ .cdb = { 0x12, [4] = 96 }, .in_len = 96 };
}

static void check_inquiry(struct tries *t, const struct scsi_result *res)
{
	(void)t;
	check_same(res->data + 8, "LIO-ORG ", 8, "the vendor");
}

static struct scsi_cmd make_report_luns(struct tries *t)
{
	(void)t;
	return (struct scsi_cmd){ .cdb = { 0xa0, [8] = 16 }, .in_len = 4096 };
}

static void check_report_luns(struct tries *t, const struct scsi_result *res)
{
	(void)t;
	check_same(res->data, "\0\0\0\10", 4, "the length of the list");
}

/* What may take its time */

static void nothing_to_check(struct tries *t, const struct scsi_result *res)
{
	(void)t;
	(void)res;
}

static struct scsi_cmd make_flush(struct tries *t)
{
	(void)t;
	return (struct scsi_cmd){ .cdb = { 0x35 } };
}

static struct scsi_cmd make_unmap(struct tries *t)
{
	uint16_t list = htobe16(22), descriptor = htobe16(16);
	uint32_t blocks = htobe32(t->request->blocks);
	uint64_t lba = htobe64(LBA);

	make_data(t);
	device_write(t->path, LBA * SCSI_BLOCK, t->data, t->request->blocks * SCSI_BLOCK);
	memset(t->data, 0, t->request->blocks * SCSI_BLOCK);
	memset(t->out, 0, 24);
	memcpy(t->out, &list, sizeof(list));
	memcpy(t->out + 2, &descriptor, sizeof(descriptor));
	memcpy(t->out + 8, &lba, sizeof(lba));
	memcpy(t->out + 16, &blocks, sizeof(blocks));
	return (struct scsi_cmd){ .cdb = { 0x42, [8] = 24 }, .out = t->out, .out_len = 24 };
}

static struct scsi_cmd make_write_same(struct tries *t)
{
	fill(t->out, SCSI_BLOCK, ++t->seed);
	for (uint32_t i = 0; i < t->request->blocks; i++)
		memcpy(t->data + i * SCSI_BLOCK, t->out, SCSI_BLOCK);
	return (struct scsi_cmd){ .cdb = { 0x93, [9] = LBA, [13] = t->request->blocks },
				  .out = t->out, .out_len = SCSI_BLOCK };
}

/*
 * What has not ended well has written nothing: the same compares well the next time. On a RAM
 * disk, for where its read fails the target core warns (6.12, compare_and_write_callback()).
 */
static struct scsi_cmd make_compare_and_write(struct tries *t)
{
	memcpy(t->out, t->data, SCSI_BLOCK);
	make_data(t);
	memcpy(t->out + SCSI_BLOCK, t->data, SCSI_BLOCK);
	return (struct scsi_cmd){ .cdb = { 0x89, [9] = LBA, [13] = 1 }, .out = t->out,
				  .out_len = 2 * SCSI_BLOCK };
}

/* REGISTER AND IGNORE EXISTING KEY; a key of 0: none any more. */
static struct scsi_cmd pr_register(struct tries *t, uint64_t key)
{
	uint64_t be_key = htobe64(key);

	memset(t->out, 0, 24);
	memcpy(t->out + 8, &be_key, sizeof(be_key));
	return (struct scsi_cmd){ .cdb = { 0x5f, 6, [8] = 24 }, .out = t->out, .out_len = 24 };
}

static struct scsi_cmd make_pr_register(struct tries *t)
{
	return pr_register(t, ++t->seed);
}

static struct scsi_cmd pr_read_keys(void)
{
	return (struct scsi_cmd){ .cdb = { 0x5e, [8] = 64 }, .in_len = 64 };
}

static void check_key(struct tries *t, const struct scsi_result *res)
{
	uint64_t key = htobe64(t->seed);

	check_same(res->data + 4, "\0\0\0\10", 4, "the length of the keys");
	check_same(res->data + 8, &key, sizeof(key), "the key");
}

static void check_pr_register(struct tries *t, const struct scsi_result *unused)
{
	struct scsi_result res = do_well(t, pr_read_keys());

	(void)unused;
	check_key(t, &res);
	scsi_result_free(&res);
	res = do_well(t, pr_register(t, 0));
	scsi_result_free(&res);
}

static struct scsi_cmd make_pr_read_keys(struct tries *t)
{
	struct scsi_result res;

	if (t->seed != 7) {
		t->seed = 7;
		res = do_well(t, pr_register(t, t->seed));
		scsi_result_free(&res);
	}
	return pr_read_keys();
}

#define WRITE make_write, check_written
#define READ make_read, check_read

static const struct request requests[] = {
	{ "write", WRITE, 8 },
	{ "read", READ, 8 },
	{ "write_long_way", WRITE, 8, .long_way = true },
	{ "read_long_way", READ, 8, .long_way = true },
	{ "write_64k", WRITE, 128 },
	{ "read_64k", READ, 128 },
	{ "write_1M", WRITE, MIB_BLOCKS },
	{ "read_1M", READ, MIB_BLOCKS },
	{ "read_absent", READ, 32, .absent = true },
	{ "big_read_absent", READ, 256, .absent = true },
	{ "bounced_write", WRITE, 128, &bounced },
	{ "bounced_read", READ, 128, &bounced },
	{ "write_in_pieces", WRITE, 128, &pieces },
	{ "read_in_pieces", READ, 128, &pieces },
	{ "ram_write", WRITE, 128, .ram = true },
	{ "ram_read", READ, 128, .ram = true },
	{ "inquiry", make_inquiry, check_inquiry },
	{ "report_luns", make_report_luns, check_report_luns },
	{ "synchronize_cache", make_flush, nothing_to_check },
	{ "unmap", make_unmap, check_disk, 64, .attribute = "emulate_tpu" },
	{ "write_same", make_write_same, check_disk, 64 },
	{ "compare_and_write", make_compare_and_write, check_written, 1, .ram = true },
	{ "pr_register", make_pr_register, check_pr_register, .unknown = true },
	{ "pr_read_keys", make_pr_read_keys, check_key },
	{ "pi_ram_write", WRITE, 8, .pi = true, .ram = true },
	{ "pi_ram_read", READ, 8, .pi = true, .ram = true },
	{ "pi_ram_big_write", WRITE, 600, .pi = true, .ram = true },
	{ "pi_ram_big_read", READ, 600, .pi = true, .ram = true },
	{ "pi_write", WRITE, 8, &apart, .pi = true },
	{ "pi_read", READ, 8, &apart, .pi = true },
	{ "pi_long_way_write", WRITE, 100, .pi = true },
	{ "pi_long_way_read", READ, 100, .pi = true },
	{ "pi_damaged_read", READ, 8, &apart, .pi = true, .damaged = true },
};

/* How it ends if there is no fault: ABORTED COMMAND, GUARD CHECK FAILED, or GOOD. */
static bool is_right(const struct request *r, const struct virtio_scsi_cmd_resp *resp)
{
	if (resp->response != VIRTIO_SCSI_S_OK)
		return false;
	if (!r->damaged)
		return !resp->status;
	return resp->status == 2 && (resp->sense[2] & 0xf) == 0xb && resp->sense[12] == 0x10 &&
	       resp->sense[13] == 1;
}

/*
 * Of no memory for a registration the target core (6.12) says TCM_INSUFFICIENT_REGISTRATION_
 * RESOURCES to itself, knows not what that is, and makes INVALID COMMAND OPERATION CODE of it.
 */
static void check_failed(const struct request *r, const struct scsi_result *res)
{
	if (r->unknown && res->resp.status == 2 && (res->resp.sense[2] & 0xf) == 5)
		scsi_check_sense(res, 5, 0x20, 0);
	else
		scsi_check_host_failed(res);
}

/* The same once more is as if nothing had been. */
static void repeat(struct tries *t, const struct scsi_cmd *cmd)
{
	struct scsi_result res = scsi_cmd_do(scsi_queue(t->dev, 0), cmd);

	check(is_right(t->request, &res.resp), "once more: response %u, status 0x%02x",
	      res.resp.response, res.resp.status);
	t->request->proves(t, &res);
	scsi_result_free(&res);
}

/* One command, of which the n-th allocation or bio fails; false: it has none. */
static bool try_request(struct tries *t, unsigned int n)
{
	struct vq *vq = scsi_queue(t->dev, 0);
	struct scsi_cmd cmd = t->request->make(t);
	uint64_t mark = guest_mark(&t->dev->mem);
	struct scsi_result res;
	bool met;

	cmd.layout = t->request->layout;
	res = scsi_cmd_add(vq, &cmd);
	if (t->request->absent)
		req_drop(&res.io, cmd.in_len);
	fault_arm(&t->victim, n);
	blk_send(vq);
	scsi_cmd_finish(&res, vq_get(vq));
	met = fault_met(&t->victim);
	if (is_right(t->request, &res.resp)) {
		t->request->proves(t, &res);
	} else {
		check(met, "no fault, and yet response %u, status 0x%02x", res.resp.response,
		      res.resp.status);
		check_failed(t->request, &res);
		repeat(t, &cmd);
		t->failed++;
	}
	scsi_result_free(&res);
	/* The first one's indirect table stays with its head, for all others. */
	if (n)
		guest_release(&t->dev->mem, mark);
	return met;
}

static const char *disk_of(const struct request *r)
{
	const char *path;

	if (r->ram)
		return NULL;
	path = r->pi ? pi_disk_new(&nvme) : nullb_new(&(struct nullb){
		.attributes = r->attribute ? "discard=1" : NULL });
	faults_on_disk(path);
	return path;
}

static struct tries start(const struct request *r)
{
	struct tries t = { .request = r, .path = disk_of(r) };
	struct scsi_lun lun = { .mb = 4, .path = t.path, .pi_type = r->ram && r->pi };
	uint64_t features = SCSI_FEATURES | (r->pi ? BIT(VIRTIO_SCSI_F_T10_PI) : 0);
	struct scsi_result res;

	scsi_target_with(&lun);
	if (r->attribute) {
		char name[64] = "attrib/";

		scsi_put_attribute(strcat(name, r->attribute), "1");
	}
	scsi_set_direct(!r->long_way);
	t.dev = scsi_start(SCSI_WWPN, 2, 128, features);
	vdev_start(t.dev);
	t.data = malloc(data_bytes(r) + 1);
	if (r->blocks) {
		make_data(&t);
		res = do_well(&t, write_of_data(&t));
		scsi_result_free(&res);
	}
	if (r->damaged)
		pi_damage(t.path, LBA + 2);
	return t;
}

TEST_PATHS_LIMIT(each_fault_is_answered, requests, 60)
{
	unsigned int own, others;
	struct tries t;

	faults_need();
	kernel_pages();
	t = start(v);
	t.victim = victim_worker();
	own = faults_sweep(&t, try_request);
	t.victim = victim_kworkers();
	others = faults_sweep(&t, try_request);
	diag("%u faults, and %u of the kernel's workers, %u commands failed", own, others,
	     t.failed);
}
