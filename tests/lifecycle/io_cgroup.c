// SPDX-License-Identifier: GPL-2.0
/* A guest's I/O is that of the control group its owner is in. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "load.h"
#include "tap.h"

#define FEATURES (BLK_FEATURES | BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))
#define KIB 1024u
#define TIMES 3

static const struct blk_layout bounced = { .name = "bounced", .direct = VQ_DIRECT, .offset = 1 };

static const struct kind {
	const char *name;
	uint32_t type;
	uint32_t bytes;
	const char *key;
	const struct blk_layout *layout;
} kinds[] = {
	{ "write", VIRTIO_BLK_T_OUT, 4 * KIB, "wbytes" },
	{ "read", VIRTIO_BLK_T_IN, 4 * KIB, "rbytes" },
	{ "write_of_two_bios", VIRTIO_BLK_T_OUT, 1200 * KIB, "wbytes" },
	{ "bounced_write", VIRTIO_BLK_T_OUT, 64 * KIB, "wbytes", &bounced },
	{ "bounced_read", VIRTIO_BLK_T_IN, 64 * KIB, "rbytes", &bounced },
	{ "discard", VIRTIO_BLK_T_DISCARD, 64 * KIB, "dbytes" },
	{ "zeroes_in_rounds", VIRTIO_BLK_T_WRITE_ZEROES, 2048 * KIB, "wbytes" },
};

static void send(struct blk *blk, const struct kind *k)
{
	struct virtio_blk_discard_write_zeroes range[4];
	static const unsigned char data[1200 * KIB];
	struct blk_io io = { .type = k->type, .layout = k->layout };

	if (k->type == VIRTIO_BLK_T_IN) {
		io.in_len = k->bytes;
	} else if (k->type == VIRTIO_BLK_T_OUT) {
		io.out = data;
		io.out_len = k->bytes;
	} else if (k->type != VIRTIO_BLK_T_FLUSH) {
		for (unsigned int i = 0; i < 4; i++)
			range[i] = (struct virtio_blk_discard_write_zeroes){
				.sector = htole64(i * (k->bytes / 4 / SECTOR)),
				.num_sectors = htole32(k->bytes / 4 / SECTOR) };
		io.out = range;
		io.out_len = sizeof(range);
	}
	blk_expect(blk->vq, &io, VIRTIO_BLK_S_OK);
}

static const char *disk_new(void)
{
	return nullb_new(&(struct nullb){ .attributes = "discard=1" });
}

static struct blk start(const char *path)
{
	return blk_start(&(struct blk_setup){ .path = path, .features = FEATURES });
}

TEST_PATHS(io_is_charged_to_the_owner, kinds)
{
	const char *disk = disk_new(), *group = cgroup_new();
	uint64_t before;
	struct blk blk;

	cgroup_enter(group);
	blk = start(disk);
	/* A group that has discarded only has nothing in io.stat. */
	send(&blk, &kinds[0]);
	before = cgroup_io(group, disk, v->key);
	for (unsigned int i = 0; i < TIMES; i++)
		send(&blk, v);
	check_eq(cgroup_io(group, disk, v->key) - before, TIMES * v->bytes);
}

/* The eventfd may be anybody's, as the guest's vCPU may: the worker is the owner's. */
TEST(io_is_charged_to_the_owner_whoever_kicks)
{
	const char *disk = disk_new(), *owner = cgroup_new(), *other = cgroup_new();
	struct load l;
	int status;

	cgroup_enter(owner);
	l = load_new(start(disk).vq, 8);
	for (unsigned int i = 0; i < l.n; i++)
		load_put(&l, i, true, 1);
	vq_publish(l.vq);
	if (!fork()) {
		cgroup_enter(other);
		vq_kick_always(l.vq);
		_exit(0);
	}
	check_ok(wait(&status));
	check_eq(status, 0);
	load_finish(&l);
	check_eq(cgroup_io(owner, disk, "wbytes"), l.n * l.bytes);
	check_eq(cgroup_io(other, disk, "wbytes"), 0);
}

TEST(io_is_charged_where_the_owner_has_moved)
{
	const char *disk = disk_new(), *group[] = { cgroup_new(), cgroup_new() };
	struct blk blk;

	cgroup_enter(group[0]);
	blk = start(disk);
	for (unsigned int i = 0; i < ARRAY_SIZE(group); i++) {
		cgroup_enter(group[i]);
		send(&blk, &kinds[0]);
		check_eq(cgroup_io(group[i], disk, "wbytes"), kinds[0].bytes);
	}
	check_eq(cgroup_io(group[0], disk, "wbytes"), kinds[0].bytes);
}

/* Limits: so many requests of LOAD_BYTES a second, and a time to count them. */
#define RATE 20
#define RATE_BYTES "81920"
#define LIMITED_MS 2000
/* At most that many then, however the kernel cuts up time. */
#define LIMITED_MOST (RATE * LIMITED_MS / 1000 * 3 / 2 + 16)
#define SLOTS 16

static const struct limit {
	const char *name;
	const char *limit;
	const char *none;
	bool write;
	bool own_worker;
	bool kernel_thread;
} limits[] = {
	{ "reads_a_second", "riops=20", "riops=max" },
	{ "writes_a_second", "wiops=20", "wiops=max", .write = true },
	{ "bytes_read_a_second", "rbps=" RATE_BYTES, "rbps=max" },
	{ "bytes_written_a_second", "wbps=" RATE_BYTES, "wbps=max", .write = true },
	{ "worker_of_its_own", "wiops=20", "wiops=max", .write = true, .own_worker = true },
	{ "kernel_thread", "wiops=20", "wiops=max", .write = true, .kernel_thread = true },
};

/* Keeps all places busy until @most have come back, or the time is out. */
static unsigned long pump(struct load *l, bool write, unsigned int ms, unsigned long most)
{
	uint64_t end = now_ms() + ms;
	unsigned long before = l->done;
	unsigned int i;

	while (now_ms() < end && l->done - before < most) {
		for (i = 0; i < l->n; i++)
			if (!l->slots[i].busy)
				load_put(l, i, write, i);
		load_send(l);
		sleep_ms(1);
		load_collect(l, VIRTIO_BLK_S_OK);
	}
	return l->done - before;
}

/*
 * No speed is asserted: under the limit no more may complete than it allows, and
 * what does without it in no more time shows that it was the limit.
 */
TEST_PATHS(io_limit_of_the_owner_holds, limits)
{
	const char *disk = disk_new(), *group = cgroup_new();
	unsigned long limited, free;
	struct load l;
	struct blk blk;

	cgroup_enter(group);
	blk = blk_start(&(struct blk_setup){ .path = disk, .kernel_thread = v->kernel_thread });
	if (v->own_worker)
		check_ok(vq_attach_worker(blk.vq, check_ok(vdev_new_worker(blk.dev))));
	l = load_new(blk.vq, SLOTS);
	load_prefill(&l, disk, 0);
	cgroup_limit_io(group, disk, v->limit);
	limited = pump(&l, v->write, LIMITED_MS, ~0ul);
	cgroup_limit_io(group, disk, v->none);
	load_finish(&l);
	free = pump(&l, v->write, patience(LIMITED_MS), 4 * LIMITED_MOST);
	load_finish(&l);
	diag("%lu with the limit, %lu and more without", limited, free);
	check(limited, "nothing completed under the limit");
	check(limited <= LIMITED_MOST, "%lu completed, %u are allowed", limited, LIMITED_MOST);
	check(free >= 4 * LIMITED_MOST, "no more than %lu without the limit: this shows nothing",
	      free);
}

/*
 * A file's requests: what its system does at once is done where the worker is,
 * or in a workqueue. Without a journal nothing of it is left to a kernel thread.
 */
static const struct file_kind {
	const char *name;
	const char *direct;
	bool write, flush, discard;
	const char *key;
	uint64_t least;
} file_kinds[] = {
	{ "direct_write", "1", .write = true, .key = "wbytes", .least = 64 * KIB },
	{ "buffered_write", "", .write = true, .flush = true, .key = "wbytes", .least = 64 * KIB },
	{ "flush", "1", .flush = true, .key = "wios", .least = 1 },
	{ "discard", "1", .discard = true, .key = "dbytes", .least = 64 * KIB },
};

static const struct kind file_write = { "", VIRTIO_BLK_T_OUT, 64 * KIB };
static const struct kind file_flush = { "", VIRTIO_BLK_T_FLUSH };
static const struct kind file_discard = { "", VIRTIO_BLK_T_DISCARD, 64 * KIB };

TEST_PATHS(io_of_a_file_is_charged_to_the_owner, file_kinds)
{
	const char *disk = nullb_new(&(struct nullb){ .mb = 64,
		.attributes = "discard=1 cache_size=1" });
	const char *group = cgroup_new();
	uint64_t before;
	struct blk blk;

	/* Before the file is made: its writeback is the first writer's group's. */
	cgroup_enter(group);
	setenv("BLK_DIRECT", v->direct, 1);
	blk = start(file_on(disk, 4));
	before = cgroup_io(group, disk, v->key);
	if (v->write)
		send(&blk, &file_write);
	if (v->flush)
		send(&blk, &file_flush);
	if (v->discard)
		send(&blk, &file_discard);
	check(cgroup_io(group, disk, v->key) >= before + v->least,
	      "%s of the owner's group has grown by %llu, not by %llu", v->key,
	      (unsigned long long)(cgroup_io(group, disk, v->key) - before),
	      (unsigned long long)v->least);
}
