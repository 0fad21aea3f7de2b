// SPDX-License-Identifier: GPL-2.0
/* What changes under requests in flight: rows 9, 10, 11 and 18, on every queue. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "scene.h"
#include "tap.h"

#define DELAY_MS 250
#define DATA_GPA 0x80000000ull
#define DATA_SIZE (32ull << 20)
#define DEPTH 8

struct live {
	struct scene s;
	struct load l[4];
	struct guest_region *data;
	const char *lower;
};

/* A request of more than one segment goes in a table. */
static struct live live_start(const struct way *v)
{
	struct live x = { .lower = nullb_new(&(struct nullb){ .mb = 32 }) };
	uint32_t bytes = v->indirect ? 2 * LOAD_SEGMENT : LOAD_BYTES;

	x.s = scene_prepare(v, &(struct blk_setup){
		.path = slow_disk_over(x.lower, DELAY_MS) });
	guest_add(x.s.blk.mem, DATA_GPA, DATA_SIZE);
	x.data = &x.s.blk.mem->region[1];
	vdev_start(x.s.blk.dev);
	for (unsigned int q = 0; q < v->queues; q++) {
		x.l[q] = load_new_at(x.s.blk.dev->vqs[q], DEPTH, bytes, 1, 0);
		load_prefill(&x.l[q], x.lower, 100 * q);
	}
	return x;
}

static void put_all(struct live *x, bool write)
{
	loads_put_all(x->l, x->s.way->queues, write, 5000);
	check(loads_in_flight(x->l, x->s.way->queues),
	      "nothing is in flight: the test shows nothing");
}

static void read_all_back(struct live *x)
{
	unsigned int n = x->s.way->queues;

	loads_put_all(x->l, n, false, 0);
	loads_finish(x->l, n);
	for (unsigned int q = 0; q < n; q++)
		load_check_disk(&x->l[q], x->lower);
}

/* Row 9. The slot is busy once; what comes more for its head is counted here. */
static void wait_used(struct vq *vq, uint16_t idx)
{
	uint64_t end = now_ms() + VQ_WAIT_MS;

	while (vq_used_idx(vq) != idx) {
		check(now_ms() < end, "queue %u: the used index is %u, expected %u", vq->index,
		      vq_used_idx(vq), idx);
		sleep_ms(5);
	}
}

/* Each head twice at once and twice later, while the first two are in flight. */
TEST_WAYS(head_published_again_in_flight, ways)
{
	struct live x = live_start(v);
	long pins = pages_pinned();

	for (unsigned int q = 0; q < v->queues; q++) {
		struct vq *vq = x.l[q].vq;
		uint16_t from = vq->avail_idx;

		for (unsigned int i = 0; i < DEPTH; i++)
			load_put(&x.l[q], i, true, 100 * q + i);
		for (unsigned int i = 0; i < DEPTH; i++)
			vq_put_avail(vq, le16toh(vq->avail->ring[(from + i) % vq->num]));
		load_send(&x.l[q]);
		load_wait_taken(&x.l[q]);
		for (unsigned int i = 0; i < 2 * DEPTH; i++)
			vq_put_avail(vq, le16toh(vq->avail->ring[(from + i) % vq->num]));
		load_send(&x.l[q]);
	}
	check(loads_in_flight(x.l, v->queues), "nothing is in flight: the test shows nothing");
	for (unsigned int q = 0; q < v->queues; q++) {
		wait_used(x.l[q].vq, 4 * DEPTH);
		x.l[q].vq->last_used = 4 * DEPTH;
		vq_quiet(x.l[q].vq, 100);
		check_eq(event_take(x.l[q].vq->err), 0);
		load_check_disk(&x.l[q], x.lower);
	}
	check_eq(pages_pinned(), pins);
}

/* The descriptors become another request's when the first is in flight. */
TEST_WAYS(descriptors_reused_in_flight, ways)
{
	struct live x = live_start(v);
	struct vq *vq = x.l[0].vq;
	struct chain c;

	load_put_all(&x.l[0], true, 1);
	load_wait_taken(&x.l[0]);
	check(load_in_flight(&x.l[0]), "nothing is in flight: the test shows nothing");
	for (unsigned int i = 0; i < DEPTH; i++) {
		uint16_t head = le16toh(vq->avail->ring[i]);

		/* Nonsense: whoever still looks at it stops the vq. */
		vq_put_desc(&vq->desc[head], 0x1000, 0xffffffff, VRING_DESC_F_NEXT, head);
		if (vq->chain[head].table)
			memset(guest_ptr(x.s.blk.mem, vq->chain[head].table, 64), 0xff, 64);
		memset(guest_ptr(x.s.blk.mem, x.l[0].slots[i].meta, BLK_HEADER), 0xff, BLK_HEADER);
	}
	load_finish(&x.l[0]);
	load_check_disk(&x.l[0], x.lower);
	c = chain_put(&x.s, VIRTIO_BLK_T_FLUSH, 0, 0);
	chain_expect(&c, "a flush", VIRTIO_BLK_S_OK);
}

/* Row 10: refused, and the ring is as it was. */

static void refuse_bad_addresses(struct live *x)
{
	struct vq *vq = x->s.vq;
	const struct vhost_vring_addr good = {
		.desc_user_addr = (uintptr_t)vq->desc, .avail_user_addr = (uintptr_t)vq->avail,
		.used_user_addr = (uintptr_t)vq->used,
	};
	struct vhost_vring_addr a = good;
	int fd = x->s.blk.dev->fd;

	a.used_user_addr = 0xffff888000000000;
	check_errno(ioctl(fd, VHOST_SET_VRING_ADDR, &a), EINVAL);
	a = good;
	a.avail_user_addr = 1ull << 62;
	check_errno(ioctl(fd, VHOST_SET_VRING_ADDR, &a), EINVAL);
	a = good;
	a.used_user_addr += 2;
	check_errno(ioctl(fd, VHOST_SET_VRING_ADDR, &a), EINVAL);
	a = good;
	a.flags = ~1u;
	check_errno(ioctl(fd, VHOST_SET_VRING_ADDR, &a), EOPNOTSUPP);
	a = good;
	a.index = VHOST_BLK_MAX_QUEUES;
	check_errno(ioctl(fd, VHOST_SET_VRING_ADDR, &a), ENOBUFS);
}

TEST_WAYS(ring_ioctls_refused_in_flight, ways)
{
	static const unsigned int nums[] = { 0, 3, 64, SCENE_RING, 32768, 65536 };
	struct live x = live_start(v);

	put_all(&x, true);
	for (unsigned int q = 0; q < v->queues; q++) {
		struct vhost_vring_state base = { .index = q };

		for (unsigned int i = 0; i < ARRAY_SIZE(nums); i++)
			check_errno(vq_set_num(x.l[q].vq, nums[i]), EBUSY);
		for (base.num = 0; base.num < 0x20000; base.num += 0xfff0)
			check_errno(ioctl(x.s.blk.dev->fd, VHOST_SET_VRING_BASE, &base), EBUSY);
	}
	refuse_bad_addresses(&x);
	loads_finish(x.l, v->queues);
	read_all_back(&x);
}

/*
 * To the same place, with everything in flight, as when logging begins: nobody waits, and
 * it goes on. To another: lifecycle/rings.
 */
TEST_WAYS(ring_address_set_in_flight, ways)
{
	struct live x = live_start(v);

	put_all(&x, true);
	for (unsigned int q = 0; q < v->queues; q++)
		check_ok(vq_set_addr(x.l[q].vq));
	loads_finish(x.l, v->queues);
	read_all_back(&x);
}

/* Row 11. */
TEST_WAYS(old_memory_untouched_after_set_mem_table, ways)
{
	struct live x = live_start(v);
	void *old = x.data->hva, *new;
	struct snapshot snapshot;

	new = check_ok(mmap(NULL, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0));
	put_all(&x, false);
	x.data->hva = new;
	check_ok(vdev_set_mem_table(x.s.blk.dev));
	snapshot = snapshot_take(old, x.data->used);
	loads_check_drained(x.l, v->queues);
	snapshot_check(&snapshot, DELAY_MS + 100, "the old memory");
	memcpy(new, old, x.data->used);
	check(!munmap(old, DATA_SIZE), "munmap: %m");
	loads_finish(x.l, v->queues);
	read_all_back(&x);
}

/*
 * Row 18: no bit may be flipped, in flight or at rest, but for the one of the dirty log;
 * the same again is no change.
 */

static void refuse_features(struct vdev *dev)
{
	for (unsigned int bit = 0; bit < 64; bit++)
		if (bit != VHOST_F_LOG_ALL)
			check_errno(vdev_set_features(dev, dev->features ^ BIT(bit)),
				    dev->offered & BIT(bit) ? EBUSY : EOPNOTSUPP);
	check_ok(vdev_set_features(dev, dev->features));
}

TEST_WAYS(features_refused_in_flight, ways)
{
	struct live x = live_start(v);

	put_all(&x, true);
	refuse_features(x.s.blk.dev);
	loads_finish(x.l, v->queues);
	read_all_back(&x);
	refuse_features(x.s.blk.dev);
}
