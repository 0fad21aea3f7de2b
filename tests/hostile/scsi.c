// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that wants to do harm to vhost_scsi, where that differs from vhost_blk: rows
 * 5 to 8, 16, 19, 20, 24, 25 and 28. Chains are the core's, and the other tests'.
 */
#include <endian.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "integrity.h"
#include "load.h"
#include "scene.h"
#include "scsi.h"
#include "scsi_model.h"
#include "tap.h"

#define RESP sizeof(struct virtio_scsi_cmd_resp)
#define HEADER sizeof(struct virtio_scsi_cmd_req)
#define QUEUES 2
#define HOLE 0x7000000000ull

/* What is behind LUN 1; LUN 0 is a RAM disk, which tears sectors. */
static const char *lun_1;

static struct vdev *start(uint64_t features)
{
	struct vdev *dev;

	scsi_tpg_new();
	scsi_lun_add(0, &(struct scsi_lun){ .mb = 16, .pi_type = features ? 1 : 0 });
	lun_1 = nullb_new(&(struct nullb){ .attributes = "discard=1" });
	scsi_lun_add(1, &(struct scsi_lun){ .path = lun_1 });
	if (features)
		scsi_lun_add(2, &(struct scsi_lun){ .path = pi_disk_new(&(struct pi_disk){
			.format = "T10-DIF-TYPE1-CRC" }) });
	dev = scsi_start(SCSI_WWPN, QUEUES, 128, SCSI_FEATURES | features);
	vdev_start(dev);
	return dev;
}

static void must_be_good(struct vq *vq, const struct scsi_cmd *cmd)
{
	struct scsi_result res;

	/* A unit attention may come first. */
	for (unsigned int try = 0; try < 3; try++) {
		res = scsi_cmd_do(vq, cmd);
		scsi_check_response(&res, VIRTIO_SCSI_S_OK);
		if (!res.resp.status)
			break;
		scsi_result_free(&res);
	}
	check_eq(res.resp.status, 0);
	scsi_result_free(&res);
}

/* Written first: its protection information may be as wrong as somebody has asked for. */
static void must_serve(struct vdev *dev)
{
	static const unsigned char data[8 * SCSI_BLOCK];
	struct scsi_cmd read = scsi_cmd_read(0, 8), write = scsi_cmd_write(0, 8, data);

	for (unsigned int q = 0; q < QUEUES; q++) {
		must_be_good(scsi_queue(dev, q), &write);
		must_be_good(scsi_queue(dev, q), &read);
	}
}

/* Row 7: data in memory that the owner does not have. */

static const struct {
	const char *name;
	uint8_t opcode;
	bool odd;
	/* Pages that are there, before the hole and behind it. */
	unsigned int good;
} holes[] = {
	{ "read", 0x28, false }, { "write", 0x2a, false }, { "read_bounced", 0x28, true },
	{ "write_bounced", 0x2a, true }, { "read_into_a_hole", 0x28, false, 5 },
	{ "write_into_a_hole", 0x2a, false, 5 }, { "large_read_into_a_hole", 0x28, false, 40 },
};

TEST_PATHS(unmapped_data_is_a_failure, holes)
{
	struct vdev *dev = start(0);
	struct vq *vq = scsi_queue(dev, 0);
	bool write = v->opcode == 0x2a;
	unsigned int pages = 2 * v->good + 1, blocks = pages * 8;
	uint64_t at = guest_alloc(&dev->mem, (pages + 1) * GUEST_PAGE, GUEST_PAGE);
	uint64_t meta = guest_alloc(&dev->mem, 4096, GUEST_PAGE);
	struct virtio_scsi_cmd_req *cmd = guest_ptr(&dev->mem, meta, 4096);
	struct virtio_scsi_cmd_resp *resp = (void *)(cmd + 1);
	struct seg header = { meta, sizeof(*cmd), false };
	struct seg answer = { meta + sizeof(*cmd), sizeof(*resp), true };
	struct seg data = { at + v->odd, pages * GUEST_PAGE, !write };
	long pins = pages_pinned();

	*cmd = (struct virtio_scsi_cmd_req){ .lun = { 1, 1 },
		.cdb = { v->opcode, [7] = blocks >> 8, [8] = blocks } };
	memset(resp, SCSI_NO_RESPONSE, sizeof(*resp));
	/* No unit attention is to come first. */
	must_serve(dev);
	at += v->good * GUEST_PAGE;
	check_ok(munmap(guest_ptr(&dev->mem, at, 8192), 8192));
	vq_submit(vq, write ? (struct seg[]){ header, data, answer } :
			      (struct seg[]){ header, answer, data }, 3, VQ_DIRECT);
	check_eq(vq_get(vq).len, RESP);
	check_eq(resp->response, VIRTIO_SCSI_S_FAILURE);
	check_unpinned(pins, 1000);
	must_serve(dev);
}

/* Row 8: totals that no 32 bits hold. */
TEST(huge_total_rejected)
{
	static struct seg segs[1020];
	struct vdev *dev = scsi_start(scsi_target_new(16), QUEUES, 1024, SCSI_FEATURES);
	uint64_t meta = guest_alloc(&dev->mem, 4096, GUEST_PAGE);
	struct virtio_scsi_cmd_req *cmd = guest_ptr(&dev->mem, meta, 4096);
	struct virtio_scsi_cmd_resp *resp = (void *)(cmd + 1);
	void *p = mmap(NULL, 4ul << 30, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	check(p != MAP_FAILED, "mmap: %m");
	guest_add_at(&dev->mem, HOLE, 4ul << 30, p);
	vdev_start(dev);
	*cmd = (struct virtio_scsi_cmd_req){ .lun = { 1, 1 }, .cdb = { 0x28, [8] = 8 } };
	memset(resp, SCSI_NO_RESPONSE, sizeof(*resp));
	segs[0] = (struct seg){ meta, sizeof(*cmd), false };
	segs[1] = (struct seg){ meta + sizeof(*cmd), sizeof(*resp), true };
	for (unsigned int i = 2; i < ARRAY_SIZE(segs); i++)
		segs[i] = (struct seg){ HOLE, 0xfffff000, true };
	vq_submit(scsi_queue(dev, 0), segs, ARRAY_SIZE(segs), VQ_DIRECT);
	check_eq(vq_get(scsi_queue(dev, 0)).len, RESP);
	check_eq(resp->response, VIRTIO_SCSI_S_OK);
	check_eq(resp->status, 2);
	must_serve(dev);
}

/* Row 28: what a guest does wrong is not written to the log each time. */
TEST_LIMIT(bad_luns_do_not_flood_the_log, 60)
{
	static const uint8_t luns[][8] = { { 0 }, { 1, 9 }, { 1, 1, 0x40, 77 }, { 1, 1, 0x80 } };
	struct vdev *dev = start(0);
	struct scsi_cmd cmd = { .in_len = 512, .cdb = { 0x28, [8] = 1 } };
	int log = kernel_log_open();

	for (unsigned int i = 0; i < 4000; i++) {
		struct scsi_result res;

		cmd.lun = luns[i % ARRAY_SIZE(luns)];
		res = scsi_cmd_do(scsi_queue(dev, i & 1), &cmd);
		check(res.resp.response || res.resp.status, "a bad request was good");
		scsi_result_free(&res);
	}
	kernel_log_check(log, 20);
}

/* What the target core writes of, a line each time, and how often we let it. */
#define FAILURES_AT_ONCE 500
#define SAM_BUSY 8

static const struct {
	const char *name;
	struct scsi_cmd cmd;
} failures[] = {
	{ "past_the_end", { .cdb = { 0x28, 0, 0x7f, [8] = 8 }, .in_len = 4096 } },
	{ "protect_bits", { .cdb = { 0x28, 1 << 5, [8] = 8 }, .in_len = 4096 } },
	{ "overrun", { .cdb = { 0x28, [8] = 16 }, .in_len = 512 } },
	{ "mode_page", { .cdb = { 0x1a, 0, 0x15, 0, 64 }, .in_len = 64 } },
	{ "reservation", { .cdb = { 0x5f, 0x1f, [8] = 24 }, .out_len = 24,
			   .out = "\1\2\3\4\5\6\7\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" } },
};

static const uint8_t disk_lun[8] = { 1, 1, 0x40, 1 };

static uint8_t status_of(struct vdev *dev, const struct scsi_cmd *cmd, unsigned int n)
{
	struct scsi_result res = scsi_cmd_do(scsi_queue(dev, n % QUEUES), cmd);
	uint8_t status = res.resp.status;

	scsi_result_free(&res);
	return status;
}

TEST_V_LIMIT(failures_do_not_flood_the_log, failures, 60)
{
	struct scsi_cmd cmd = v->cmd, good = scsi_cmd_read(0, 8), tur = { .lun = disk_lun };
	unsigned int busy = 0, failed = 0;
	struct vdev *dev = start(0);
	uint64_t begin = now_ms();
	int log = kernel_log_open();

	cmd.lun = good.lun = disk_lun;
	for (unsigned int i = 0; i < 4000; i++) {
		uint8_t status = status_of(dev, &cmd, i);

		check(status, "it was good");
		busy += status == SAM_BUSY;
		failed += status != SAM_BUSY;
		/* By the short way, which is for what is good. */
		if (i % 100 == 0)
			check_eq(status_of(dev, &good, i), 0);
	}
	check(busy, "it was never held back");
	diag("%u failed, %u were held back", failed, busy);
	kernel_log_check(log, FAILURES_AT_ONCE + 20 +
			 SCSI_FAILURES_A_SECOND * ((now_ms() - begin) / 1000 + 1));
	/* Unless there is no limit; and not for ever. */
	scsi_limit_failures(0);
	check_eq(status_of(dev, &tur, 0), 0);
	scsi_limit_failures(SCSI_FAILURES_A_SECOND);
	while (status_of(dev, &tur, 0) == SAM_BUSY)
		check(now_ms() < begin + 50000, "still held back");
	check_eq(status_of(dev, &tur, 1), 0);
}

/*
 * Rows 5, 6, 19, 20, 24, 25: requests of all sorts, mostly good, for a time. Each must be
 * answered once, also across a stop; what is read from LUN 1, and what it holds, is the
 * model's to know, unless there is protection information.
 */

/* Request queues, then the control queue. */
#define VQS 3
#define CONTROL 2
/* What of the disk is judged. */
#define JUDGED_SECTORS 2048
#define DISK_SECTORS 32768

struct fuzz {
	struct vdev *dev;
	struct vq *vq[VQS];
	struct scsi_model model;
	unsigned char disk[JUDGED_SECTORS * SCSI_BLOCK];
	uint64_t seed, random;
	unsigned long rounds, sent, answered, broken;
};

#define must(f, cond, fmt, ...)						\
	check(cond, "seed %llu, round %lu: " fmt, (unsigned long long)(f)->seed,	\
	      (f)->rounds, ##__VA_ARGS__)

static void must_be_right(struct fuzz *f, unsigned int q, const char *said)
{
	must(f, !said, "queue %u: %s", q, said);
}

static uint32_t pick(struct fuzz *f, uint32_t n)
{
	return prng(&f->random) % n;
}

static const uint8_t opcodes[] = {
	0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x16, 0x17, 0x1a, 0x1b, 0x1d, 0x1e, 0x25, 0x28, 0x2a,
	0x2e, 0x2f, 0x34, 0x35, 0x41, 0x42, 0x4d, 0x53, 0x55, 0x56, 0x57, 0x5a, 0x5e, 0x5f, 0x7f,
	0x83, 0x84, 0x88, 0x89, 0x8a, 0x8c, 0x8e, 0x8f, 0x91, 0x93, 0x9e, 0xa0, 0xa3, 0xa4, 0xa8,
	0xaa, 0xc0, 0xff,
};

static void random_cdb(struct fuzz *f, uint8_t *cdb)
{
	memset(cdb, 0, VIRTIO_SCSI_CDB_SIZE);
	cdb[0] = opcodes[pick(f, ARRAY_SIZE(opcodes))];
	/* Few blocks, or bytes, near the start; and now and then anything. */
	cdb[4] = cdb[8] = cdb[13] = pick(f, 32);
	cdb[5] = pick(f, 256);
	if (!pick(f, 4))
		cdb[1] = prng(&f->random);
	if (!pick(f, 4))
		for (unsigned int i = 0; i < 3; i++)
			cdb[1 + pick(f, 31)] = prng(&f->random);
	if (cdb[0] == 0x7f)
		cdb[9] = pick(f, 16), cdb[7] = pick(f, 40);
}

static void random_layout(struct fuzz *f, struct blk_layout *l)
{
	static const uint32_t every[] = { 0, 0, 512, 4096, 64, 1000 };

	*l = (struct blk_layout){
		.name = "random", .out_every = every[pick(f, ARRAY_SIZE(every))],
		.in_every = every[pick(f, ARRAY_SIZE(every))],
		.offset = pick(f, 4) ? 0 : pick(f, 4096), .packed = !pick(f, 4),
	};
	if (pick(f, 2))
		l->out[0] = HEADER, l->in[0] = RESP;
	/* Not where there are more pieces than the ring has descriptors. */
	if (!(l->out_every % 4096) && !(l->in_every % 4096) && pick(f, 2))
		l->direct = VQ_DIRECT;
}

static void put_be(uint8_t *to, uint64_t value, unsigned int bytes)
{
	for (; bytes; bytes--, value >>= 8)
		to[bytes - 1] = value;
}

/* A plain read or write of as many blocks as there are data for, mostly. */
static void random_blocks(struct fuzz *f, uint8_t *cdb, uint32_t blocks)
{
	static const uint8_t plain[] = { 0x28, 0x2a, 0x88, 0x8a, 0x28, 0x2a, 0x88, 0x8a,
					 0x08, 0x0a, 0xa8, 0xaa };
	uint32_t lba = pick(f, 16) ? pick(f, JUDGED_SECTORS) : DISK_SECTORS - pick(f, 32);

	memset(cdb, 0, VIRTIO_SCSI_CDB_SIZE);
	cdb[0] = plain[pick(f, ARRAY_SIZE(plain))];
	blocks += !pick(f, 16);
	switch (cdb[0] >> 5) {
	case 0:
		put_be(cdb + 1, lba, 3);
		cdb[4] = blocks;
		break;
	case 4:
		put_be(cdb + 2, lba, 8);
		put_be(cdb + 10, blocks, 4);
		break;
	case 5:
		put_be(cdb + 2, lba, 4);
		put_be(cdb + 6, blocks, 4);
		break;
	default:
		put_be(cdb + 2, lba, 4);
		put_be(cdb + 7, blocks, 2);
	}
}

static struct blk_req random_transfer(struct fuzz *f, struct vq *vq)
{
	static unsigned char data[16 * SCSI_BLOCK];
	uint8_t lun[8] = { 1, 1, pick(f, 2) ? 0x40 : 0, pick(f, 4) ? 1 : 0 };
	struct scsi_cmd cmd = { .lun = lun, .tag = pick(f, 8), .task_attr = pick(f, 3) };
	uint32_t blocks = pick(f, 17);
	struct blk_layout layout;

	random_blocks(f, cmd.cdb, blocks);
	random_layout(f, &layout);
	cmd.layout = &layout;
	if (cmd.cdb[0] & 2) {
		fill(data, sizeof(data), prng(&f->random));
		cmd.out = data;
		cmd.out_len = blocks * SCSI_BLOCK;
	} else {
		cmd.in_len = blocks * SCSI_BLOCK;
	}
	return scsi_cmd_add(vq, &cmd).io;
}

static struct blk_req random_command(struct fuzz *f, struct vq *vq)
{
	static unsigned char data[65536];
	uint8_t lun[8] = { 1, 1, pick(f, 2) ? 0x40 : 0, pick(f, 4) };
	struct scsi_cmd cmd = { .lun = lun, .tag = pick(f, 8), .task_attr = pick(f, 5) };
	uint32_t len = pick(f, 4) ? pick(f, 17) * 512 : pick(f, 20000);
	struct blk_layout layout;

	random_cdb(f, cmd.cdb);
	random_layout(f, &layout);
	cmd.layout = &layout;
	switch (pick(f, 8)) {
	case 0:
		cmd.out = data, cmd.out_len = len, cmd.in_len = len;
		break;
	case 1:
		break;
	default:
		if (pick(f, 2))
			cmd.out = data, cmd.out_len = len;
		else
			cmd.in_len = len;
	}
	if (vq->dev->features & BIT(VIRTIO_SCSI_F_T10_PI) && pick(f, 2)) {
		cmd.pi_out = cmd.out_len / 520 * 8;
		cmd.pi_in = cmd.in_len / 520 * 8;
		if (!pick(f, 8))
			cmd.pi_in = prng(&f->random);
	}
	if (!pick(f, 16))
		lun[pick(f, 8)] = prng(&f->random);
	if (!pick(f, 32))
		cmd.header_cut = pick(f, HEADER);
	return scsi_cmd_add(vq, &cmd).io;
}

static struct blk_req random_control(struct fuzz *f, struct vq *vq)
{
	struct virtio_scsi_ctrl_tmf_req tmf = {
		.type = htole32(pick(f, 4)), .subtype = htole32(pick(f, 9)),
		.lun = { 1, 1, 0x40, pick(f, 4) }, .tag = htole64(pick(f, 8)),
	};
	const struct blk_layout l = { "", .out_every = pick(f, 30), .in_every = pick(f, 3),
				      .direct = VQ_DIRECT };

	return req_add(vq, &tmf, pick(f, 8) ? sizeof(tmf) : pick(f, sizeof(tmf)), "\xee\xee\xee\xee\xee",
		       1 + pick(f, 5), &l);
}

/* Ends the request that the used entry is of. */
static void take(struct fuzz *f, struct blk_req *reqs, unsigned int n, struct used u)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (reqs[i].head == u.head && !reqs[i].done)
			break;
	must(f, i < n, "nobody sent the request that came back");
	req_finish(&reqs[i], u);
	f->answered++;
}

/* Waits for what is out on the queue; false: it broke. */
static bool take_all(struct fuzz *f, unsigned int q, struct blk_req *reqs, unsigned int n)
{
	uint64_t end = now_ms() + patience(20000);
	struct vq *vq = f->vq[q];
	unsigned int left = n;
	struct used u;

	while (left) {
		must_be_right(f, q, scsi_model_collect(&f->model, q));
		if (vq_pop(vq, &u)) {
			take(f, reqs, n, u);
			left--;
			continue;
		}
		if (event_wait(vq->err, 0))
			return false;
		must(f, now_ms() < end, "queue %u: %u requests are not answered", vq->index, left);
		sleep_ms(1);
	}
	must_be_right(f, q, scsi_model_collect(&f->model, q));
	return true;
}

static void attach(struct fuzz *f)
{
	must(f, !f->dev->ops->attach(f->dev), "attach: %m");
}

static void restart(struct fuzz *f)
{
	vdev_stop(f->dev);
	for (unsigned int i = 0; i < f->dev->nvqs; i++) {
		vq_reset(f->dev->vqs[i]);
		vq_setup(f->dev->vqs[i]);
	}
	for (unsigned int q = 0; q < VQS; q++)
		scsi_model_reset(&f->model, q);
	attach(f);
}

/* Leaves the event for take_all(). */
static bool has_broken(const struct vq *vq)
{
	struct pollfd p = { .fd = vq->err, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* All that was taken has been answered by now, and nothing else; unless the queue broke. */
static void stop_and_start(struct fuzz *f)
{
	vdev_stop(f->dev);
	for (unsigned int q = 0; q < VQS; q++) {
		must_be_right(f, q, scsi_model_collect(&f->model, q));
		if (!has_broken(f->vq[q]))
			must_be_right(f, q, ring_model_drained(&f->model.ring[q],
							       vq_get_base(f->vq[q])));
	}
	attach(f);
}

#define BATCH 6
/* The disk is read back once in so many rounds. */
#define READ_BACK_ROUNDS 8

static void read_back(struct fuzz *f)
{
	const char *said;

	device_read(lun_1, 0, f->disk, sizeof(f->disk));
	said = disk_read_back(&f->model.disk, 0, JUDGED_SECTORS, f->disk);
	must(f, !said, "%s", said);
}

static struct blk_req random_request(struct fuzz *f, unsigned int q)
{
	if (q == CONTROL)
		return random_control(f, f->vq[q]);
	return pick(f, 2) ? random_transfer(f, f->vq[q]) : random_command(f, f->vq[q]);
}

static void round_of(struct fuzz *f)
{
	struct blk_req reqs[VQS][BATCH];
	uint64_t mark = guest_mark(&f->dev->mem);
	unsigned int n[VQS];
	bool good = true;

	for (unsigned int q = 0; q < VQS; q++) {
		n[q] = pick(f, q == CONTROL ? 3 : BATCH + 1);
		for (unsigned int i = 0; i < n[q]; i++)
			reqs[q][i] = random_request(f, q);
		f->sent += n[q];
		scsi_model_publish(&f->model, q, f->vq[q]->avail_idx);
		blk_send(f->vq[q]);
	}
	if (!pick(f, 20))
		stop_and_start(f);
	for (unsigned int q = 0; q < VQS; q++) {
		good &= take_all(f, q, reqs[q], n[q]);
		for (unsigned int i = 0; i < n[q]; i++)
			blk_free(&reqs[q][i]);
	}
	f->broken += !good;
	/* Tables stay with their heads until the rings begin anew. */
	restart(f);
	if (f->rounds++ % READ_BACK_ROUNDS == 0 && f->model.requests[0])
		read_back(f);
	guest_release(&f->dev->mem, mark);
}

static struct fuzz *fuzz_new(uint64_t features)
{
	static const unsigned char zeroes[JUDGED_SECTORS * SCSI_BLOCK];
	const char *seed = getenv("FUZZ_SEED");
	struct fuzz *f = calloc(1, sizeof(*f));
	struct scsi_model *m = &f->model;

	f->dev = start(features);
	f->seed = f->random = seed && *seed ? strtoull(seed, NULL, 0) : now_ms();
	memory_init(&m->memory, &f->dev->mem);
	disk_init(&m->disk, zeroes, JUDGED_SECTORS);
	m->lun = 1;
	m->capacity = DISK_SECTORS;
	for (unsigned int q = 0; q < VQS; q++) {
		struct vq *vq = q == CONTROL ? f->dev->vqs[0] : scsi_queue(f->dev, q);

		f->vq[q] = vq;
		ring_model_init(&m->ring[q], &m->memory, vq->num, vq->desc, vq->avail, vq->used);
		m->requests[q] = q != CONTROL && !features;
	}
	return f;
}

static const struct {
	const char *name;
	uint64_t features;
} fuzzes[] = { { "plain", 0 }, { "t10_pi", BIT(VIRTIO_SCSI_F_T10_PI) } };

TEST_PATHS_LIMIT(random_requests, fuzzes, 150)
{
	struct fuzz *f = fuzz_new(v->features);
	uint64_t end = now_ms() + stress_ms(8000);
	long pins = pages_pinned();

	/* It is to get through with them. */
	scsi_limit_failures(0);
	diag("seed %llu", (unsigned long long)f->seed);
	while (now_ms() < end)
		round_of(f);
	diag("%lu requests, %lu answers, %lu rounds with a queue that stopped", f->sent,
	     f->answered, f->broken);
	diag("%lu plain reads and writes, %lu of them GOOD", f->model.known, f->model.good);
	check(f->answered > 500, "only %lu answers", f->answered);
	check(f->model.good * 2 >= f->model.known, "most commands were put off");
	check_unpinned(pins, 1000);
	must_serve(f->dev);
}

/* Row 5: a second thread changes header, table and response while the device looks. */

struct flipper {
	unsigned char *at;
	size_t len;
	atomic_bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;
	uint64_t random = 7;

	while (!atomic_load(&f->stop)) {
		size_t i = prng(&random) % f->len;
		unsigned char old = f->at[i];

		*(volatile unsigned char *)&f->at[i] ^= 1 << prng(&random) % 8;
		*(volatile unsigned char *)&f->at[i] = old;
	}
	return NULL;
}

TEST_LIMIT(headers_change_while_they_are_read, 60)
{
	struct vdev *dev = start(BIT(VIRTIO_SCSI_F_T10_PI));
	struct vq *vq = scsi_queue(dev, 0);
	uint64_t meta = guest_alloc(&dev->mem, 4096, GUEST_PAGE), data;
	struct virtio_scsi_cmd_req_pi *cmd = guest_ptr(&dev->mem, meta, 4096);
	struct flipper f = { .at = (void *)cmd, .len = sizeof(*cmd) };
	uint64_t end = now_ms() + stress_ms(4000);
	unsigned long n = 0;
	pthread_t thread;

	data = guest_alloc(&dev->mem, 8192, GUEST_PAGE);
	*cmd = (struct virtio_scsi_cmd_req_pi){ .lun = { 1, 1 }, .pi_bytesin = htole32(64),
						.cdb = { 0x28, 1 << 5, [8] = 8 } };
	check(!pthread_create(&thread, NULL, flip, &f), "no thread");
	for (; now_ms() < end; n++) {
		vq_submit(vq, (struct seg[]){ { meta, sizeof(*cmd), false },
					      { meta + 1024, RESP, true }, { data, 4160, true } },
			  3, VQ_DIRECT);
		vq_get(vq);
	}
	atomic_store(&f.stop, true);
	pthread_join(thread, NULL);
	diag("%lu requests", n);
	must_serve(dev);
}
