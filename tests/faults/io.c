// SPDX-License-Identifier: GPL-2.0
/*
 * Memory runs out, or a bio fails, in the worker: each of its allocations and
 * bios once, one by one. The request is answered, with OK only where that is
 * true, and the next one is as if nothing had been.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "load.h"
#include "tap.h"

#define KIB 1024u
#define AT_SECTOR 64

/* Where a request's data lies. */
static const struct blk_layout bounced = { .name = "bounced", .direct = VQ_DIRECT, .offset = 1 };
static const struct blk_layout pieces = {
	.name = "pieces", .out = { BLK_HEADER }, .out_every = 4096, .in_every = 4096,
};

static const struct request {
	const char *name;
	uint32_t type;
	uint32_t bytes;
	const struct blk_layout *layout;
	bool absent;	/* its pages are not in memory */
	bool over_dm;
	bool no_data;	/* the disk forgets it, and is quick at it */
	bool zoned;
	bool file;	/* a regular one, whose system fails in the worker too */
	uint32_t flags;	/* of ranges */
} requests[] = {
	{ "write", VIRTIO_BLK_T_OUT, 4 * KIB },
	{ "read", VIRTIO_BLK_T_IN, 4 * KIB },
	{ "read_absent", VIRTIO_BLK_T_IN, 16 * KIB, .absent = true },
	{ "two_bios_write", VIRTIO_BLK_T_OUT, 1200 * KIB, .no_data = true },
	{ "two_bios_read", VIRTIO_BLK_T_IN, 1200 * KIB, .no_data = true },
	{ "big_read_absent", VIRTIO_BLK_T_IN, 128 * KIB, .absent = true },
	{ "write_in_pieces", VIRTIO_BLK_T_OUT, 64 * KIB, &pieces },
	{ "read_in_pieces", VIRTIO_BLK_T_IN, 64 * KIB, &pieces },
	{ "bounced_write", VIRTIO_BLK_T_OUT, 64 * KIB, &bounced },
	{ "bounced_read", VIRTIO_BLK_T_IN, 64 * KIB, &bounced },
	{ "flush", VIRTIO_BLK_T_FLUSH },
	{ "get_id", VIRTIO_BLK_T_GET_ID, 20 },
	{ "dm_write", VIRTIO_BLK_T_OUT, 64 * KIB, .over_dm = true },
	{ "dm_read", VIRTIO_BLK_T_IN, 64 * KIB, .over_dm = true },
	{ "dm_flush", VIRTIO_BLK_T_FLUSH, .over_dm = true },
	{ "zone_append", VIRTIO_BLK_T_ZONE_APPEND, 4 * KIB, .zoned = true },
	{ "bounced_zone_append", VIRTIO_BLK_T_ZONE_APPEND, 64 * KIB, &bounced, .zoned = true },
	{ "zone_report", VIRTIO_BLK_T_ZONE_REPORT, 4 * KIB, .zoned = true },
	{ "zone_reset", VIRTIO_BLK_T_ZONE_RESET, .zoned = true },
	{ "discard", VIRTIO_BLK_T_DISCARD, 64 * KIB },
	{ "dm_discard", VIRTIO_BLK_T_DISCARD, 64 * KIB, .over_dm = true },
	{ "write_zeroes", VIRTIO_BLK_T_WRITE_ZEROES, 2048 * KIB },
	{ "file_write", VIRTIO_BLK_T_OUT, 64 * KIB, .file = true },
	{ "file_read", VIRTIO_BLK_T_IN, 64 * KIB, .file = true },
	{ "file_bounced_read", VIRTIO_BLK_T_IN, 64 * KIB, &bounced, .file = true },
	{ "file_flush", VIRTIO_BLK_T_FLUSH, .file = true },
	{ "file_discard", VIRTIO_BLK_T_DISCARD, 64 * KIB, .file = true },
	{ "file_write_zeroes", VIRTIO_BLK_T_WRITE_ZEROES, 2048 * KIB, .file = true },
	{ "file_unmap_zeroes", VIRTIO_BLK_T_WRITE_ZEROES, 2048 * KIB, .file = true,
	  .flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP },
};

#define FEATURES (BLK_FEATURES | BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))
#define RANGES 4

static bool has_ranges(const struct request *r)
{
	return r->type == VIRTIO_BLK_T_DISCARD || r->type == VIRTIO_BLK_T_WRITE_ZEROES;
}

struct tries {
	const struct request *request;
	struct blk blk;
	struct victim worker;
	unsigned char *data;
	struct virtio_blk_discard_write_zeroes ranges[RANGES];
	unsigned int failed;
};

static struct blk_io io_of(const struct tries *t)
{
	const struct request *r = t->request;
	struct blk_io io = { .type = r->type, .layout = r->layout };

	if (r->type == VIRTIO_BLK_T_OUT || r->type == VIRTIO_BLK_T_IN)
		io.sector = AT_SECTOR;
	if (r->type == VIRTIO_BLK_T_OUT || r->type == VIRTIO_BLK_T_ZONE_APPEND) {
		io.out = t->data;
		io.out_len = r->bytes;
		if (r->type == VIRTIO_BLK_T_ZONE_APPEND)
			io.in_len = 8;
	} else if (has_ranges(r)) {
		io.out = t->ranges;
		io.out_len = sizeof(t->ranges);
	} else {
		io.in_len = r->bytes;
	}
	return io;
}

/* What the ranges name was zeroed, and not only said to be. */
static void check_zeroed(struct tries *t)
{
	unsigned char *got = malloc(t->request->bytes), *want = calloc(1, t->request->bytes);

	device_read(t->blk.path, AT_SECTOR * SECTOR, got, t->request->bytes);
	check_same(got, want, t->request->bytes, "the disk");
	device_write(t->blk.path, AT_SECTOR * SECTOR, t->data, t->request->bytes);
	free(got);
	free(want);
}

static void check_answer(struct tries *t, const struct blk_req *req, unsigned int n, bool met)
{
	if (req->status == VIRTIO_BLK_S_OK) {
		if (t->request->type == VIRTIO_BLK_T_IN && !t->request->no_data)
			check_same(req->in, t->data, t->request->bytes, "a read");
		if (has_ranges(t->request))
			check_zeroed(t);
		return;
	}
	check(req->status == VIRTIO_BLK_S_IOERR, "fault %u: status %u", n, req->status);
	check(met, "no fault, and yet an error");
	t->failed++;
}

/* One request, of which the n-th allocation or bio fails; false: it has none. */
static bool try_request(struct tries *t, unsigned int n)
{
	struct vq *vq = t->blk.vq;
	uint64_t mark = guest_mark(t->blk.mem);
	struct blk_io io = io_of(t);
	struct blk_req req = blk_add(vq, &io);
	bool met;

	if (t->request->absent)
		req_drop(&req, t->request->bytes);
	fault_arm(&t->worker, n);
	blk_send(vq);
	blk_finish(&req, vq_get(vq));
	met = fault_met(&t->worker);
	check_answer(t, &req, n, met);
	blk_free(&req);
	/* The first one's indirect table stays with its head, for all others. */
	if (n)
		guest_release(t->blk.mem, mark);
	/* What was sent without a fault is what the disk is to have. */
	if (met && t->request->type == VIRTIO_BLK_T_OUT)
		fill(t->data, t->request->bytes, n + 1);
	return met;
}

/* What a write answered with OK has put there is there. */
static void check_written(struct tries *t)
{
	unsigned char *got = malloc(t->request->bytes);

	if (t->request->type == VIRTIO_BLK_T_OUT && !t->request->no_data) {
		device_read(t->blk.path, AT_SECTOR * SECTOR, got, t->request->bytes);
		check_same(got, t->data, t->request->bytes, "the disk");
	}
	free(got);
}

static const char *disk_of(const struct request *r)
{
	const char *lower, *attributes = NULL;

	if (r->file)
		return file_new(16);
	if (r->zoned)
		attributes = "zoned=1 zone_size=8";
	else if (r->type == VIRTIO_BLK_T_DISCARD)
		attributes = "discard=1";
	lower = nullb_new(&(struct nullb){
		.discards_data = r->no_data, .attributes = attributes });
	faults_on_disk(lower);
	if (!r->over_dm)
		return lower;
	return dm_linear_new(lower, device_sectors(lower));
}

static struct tries start(const struct request *r)
{
	struct tries t = { .request = r };

	t.blk = blk_start(&(struct blk_setup){
		.path = disk_of(r), .memory = 64 << 20,
		.features = r->zoned ? BLK_FEATURES | BIT(VIRTIO_BLK_F_ZONED) : FEATURES });
	if (!r->file)
		faults_on_disk(t.blk.path);
	t.worker = victim_worker();
	t.data = malloc(r->bytes + 1);
	fill(t.data, r->bytes, 1);
	if (r->type == VIRTIO_BLK_T_IN || has_ranges(r))
		device_write(t.blk.path, AT_SECTOR * SECTOR, t.data, r->bytes);
	for (unsigned int i = 0; i < RANGES; i++)
		t.ranges[i] = (struct virtio_blk_discard_write_zeroes){
			.sector = htole64(AT_SECTOR + i * (r->bytes / RANGES / SECTOR)),
			.num_sectors = htole32(r->bytes / RANGES / SECTOR),
			.flags = htole32(r->flags),
		};
	return t;
}

TEST_PATHS_LIMIT(each_fault_is_answered, requests, 60)
{
	unsigned int n;
	struct tries t;

	faults_need();
	kernel_pages();
	t = start(v);
	n = faults_sweep(&t, try_request);
	check_written(&t);
	diag("%u faults, %u requests failed", n, t.failed);
}

#define QUEUES 2
#define PERCENT 2
#define MIX_MS 10000

struct mix {
	struct blk blk;
	struct load load[QUEUES];
	struct victim self, worker;
	int fd[2];
	unsigned int failed, refused;
};

/* All answered, well or badly, but once each. */
static void finish(struct mix *m, struct load *l)
{
	while (l->done < l->sent) {
		struct used u = vq_get(l->vq);
		uint8_t status = *load_status(l, &l->slots[l->of_head[u.head]]);

		check(status == VIRTIO_BLK_S_OK || status == VIRTIO_BLK_S_IOERR,
		      "a status of %u", status);
		m->failed += status != VIRTIO_BLK_S_OK;
		load_take(l, u, status);
	}
}

/* Until it works: after ENOMEM nothing is attached. */
static void exchange(struct mix *m, int fd)
{
	int ret, error;

	do {
		victim_choose(&m->self, true);
		ret = blk_set_backend(m->blk.dev, fd);
		error = errno;
		victim_choose(&m->self, false);
		check(!ret || error == ENOMEM || error == EIO, "exchanging: %s", strerror(error));
		m->refused += !!ret;
	} while (ret);
}

static void mem_table(struct mix *m)
{
	int ret, error;

	victim_choose(&m->self, true);
	ret = vdev_set_mem_table(m->blk.dev);
	error = errno;
	victim_choose(&m->self, false);
	/* EFAULT is what vhost says where a region finds no memory. */
	check(!ret || error == ENOMEM || error == EFAULT, "set_mem_table: %s", strerror(error));
	m->refused += !!ret;
}

static struct mix mix_start(const char *path)
{
	struct mix m = { .blk = load_start(path, QUEUES) };

	m.load[0] = load_new_at(m.blk.dev->vqs[0], 32, 16 * KIB, 0, 0);
	m.load[1] = load_new_at(m.blk.dev->vqs[1], 32, 64 * KIB, 0, 1);
	m.fd[0] = m.blk.fd;
	m.fd[1] = check_ok(open(path, O_RDWR | O_CLOEXEC));
	m.self = victim_self();
	m.worker = victim_worker();
	return m;
}

/* Both queues, while the backend is exchanged and the memory table set. */
TEST_LIMIT(random_faults_lose_nothing, 60)
{
	const char *path;
	unsigned int round;
	uint64_t end;
	struct mix m;

	faults_need();
	path = nullb_new(&(struct nullb){ .mb = 64 });
	m = mix_start(path);
	faults_on_disk(path);
	faults_lock_memory();
	victim_choose(&m.worker, true);
	faults_random(PERCENT);
	end = now_ms() + MIX_MS;
	for (round = 0; now_ms() < end; round++) {
		for (unsigned int i = 0; i < QUEUES; i++)
			load_put_all(&m.load[i], true, round * 100);
		exchange(&m, m.fd[round % 2]);
		mem_table(&m);
		for (unsigned int i = 0; i < QUEUES; i++)
			finish(&m, &m.load[i]);
	}
	faults_off();
	diag("%u rounds, %u requests failed, %u ioctls", round, m.failed, m.refused);
	for (unsigned int i = 0; i < QUEUES; i++)
		load_put_all(&m.load[i], true, 1000 * i);
	loads_finish(m.load, QUEUES);
	for (unsigned int i = 0; i < QUEUES; i++)
		load_put_all(&m.load[i], false, 0);
	loads_finish(m.load, QUEUES);
}
