// SPDX-License-Identifier: GPL-2.0
/* The ioctls of a ring that is in use, and its eventfds; rows 9 and 10. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "load.h"
#include "tap.h"

static int new_event(void)
{
	return check_ok(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

TEST(ring_in_use_keeps_its_size_index_and_features)
{
	struct blk blk = load_start(slow_disk(16, 600), 1);
	struct load l = load_new(blk.vq, 16);
	struct vhost_vring_state base = { .index = 0, .num = 0 };

	loads_put_all(&l, 1, true, 1);
	check_errno(vq_set_num(blk.vq, 64), EBUSY);
	check_errno(vq_set_num(blk.vq, 128), EBUSY);
	check_errno(ioctl(blk.dev->fd, VHOST_SET_VRING_BASE, &base), EBUSY);
	check_errno(vdev_set_features(blk.dev, BLK_FEATURES & ~BIT(VIRTIO_BLK_F_FLUSH)), EBUSY);
	check_ok(vdev_set_features(blk.dev, BLK_FEATURES));
	load_finish(&l);
	/* Idle, it is in use all the same. */
	check_errno(vq_set_num(blk.vq, 64), EBUSY);
	check_errno(ioctl(blk.dev->fd, VHOST_SET_VRING_BASE, &base), EBUSY);
	vdev_stop(blk.dev);
	check_ok(vq_set_num(blk.vq, 64));
	check_ok(vq_set_num(blk.vq, 128));
}

static const struct parts {
	const char *name;
	bool desc, avail, used;
} moved[] = {
	{ "all", true, true, true }, { "descriptors", .desc = true },
	{ "available", .avail = true }, { "used", .used = true },
};

/* Other places for these parts of the ring, with the contents of those that it has. */
static void move_ring(struct vq *vq, const struct parts *parts)
{
	struct guest *g = &vq->dev->mem;
	uint64_t at = guest_alloc(g, 3 * GUEST_PAGE, GUEST_PAGE);
	char *p = guest_ptr(g, at, 3 * GUEST_PAGE);

	if (parts->desc)
		vq->desc = memcpy(p, vq->desc, 16ul * vq->num);
	if (parts->avail)
		vq->avail = memcpy(p + GUEST_PAGE, vq->avail, 6 + 2ul * vq->num);
	if (parts->used)
		vq->used = memcpy(p + 2 * GUEST_PAGE, vq->used, 6 + 8ul * vq->num);
}

/* What is in flight is answered in the old place, what follows in the new. */
TEST_PATHS(ring_moved_under_load, moved)
{
	struct blk blk = load_start(slow_disk(16, 600), 1);
	struct load l = load_new(blk.vq, 16);
	struct vring_used *old = blk.vq->used;
	struct snapshot used;

	loads_put_all(&l, 1, true, 1);
	check(load_in_flight(&l), "nothing is in flight: the test shows nothing");
	move_ring(blk.vq, v);
	check_ok(vq_set_addr(blk.vq));
	check_eq(le16toh(old->idx), l.n);
	if (v->used)
		memcpy(blk.vq->used, old, 6 + 8ul * blk.vq->num);
	load_finish(&l);
	used = snapshot_take(old, GUEST_PAGE);
	loads_put_all(&l, 1, false, 0);
	load_finish(&l);
	if (v->used)
		snapshot_check(&used, 0, "the old used ring");
}

TEST(call_exchanged_under_load)
{
	struct blk blk = load_start(slow_disk(16, 200), 1);
	struct load l = load_new(blk.vq, 4);
	int old = blk.vq->call;

	/* Waits for the interrupt there; the old one must stay still. */
	loads_put_all(&l, 1, true, 1);
	blk.vq->call = new_event();
	check_ok(vq_set_file(blk.vq, VHOST_SET_VRING_CALL, blk.vq->call));
	load_finish(&l);
	check_eq(event_take(old), 0);

	/* None: the entries come without it. */
	loads_put_all(&l, 1, true, 1);
	check_ok(vq_set_file(blk.vq, VHOST_SET_VRING_CALL, -1));
	blk.vq->no_interrupt = true;
	event_take(blk.vq->call);
	load_finish(&l);
	check_eq(event_take(blk.vq->call), 0);

	blk.vq->no_interrupt = false;
	check_ok(vq_set_file(blk.vq, VHOST_SET_VRING_CALL, blk.vq->call));
	loads_put_all(&l, 1, false, 1);
	load_finish(&l);
}

TEST(err_exchanged_under_load)
{
	struct blk blk = load_start(slow_disk(16, 200), 2);
	struct load l[2] = { load_new(blk.vq, 4), load_new(blk.dev->vqs[1], 4) };
	int old = blk.vq->err;

	loads_put_all(l, 2, true, 1);
	check_ok(vq_set_file(blk.vq, VHOST_SET_VRING_ERR, -1));
	blk.vq->err = new_event();
	check_ok(vq_set_file(blk.vq, VHOST_SET_VRING_ERR, blk.vq->err));
	vq_put_avail(blk.vq, 0xffff);
	vq_publish(blk.vq);
	vq_kick_always(blk.vq);
	check(event_wait(blk.vq->err, VQ_WAIT_MS), "the error eventfd did not fire");
	check_eq(event_take(old), 0);
	/* What was in flight is answered all the same; the other queue goes on. */
	load_finish(&l[0]);
	load_finish(&l[1]);
	load_put_all(&l[1], false, 0);
	load_finish(&l[1]);
}

/* Each kick goes to the eventfd of the day; none is lost on the way. */
TEST_LIMIT(kick_exchanged_under_load, 60)
{
	struct blk blk = load_start(nullb_new(&(struct nullb){ .delay_ms = 2 }), 1);
	struct load l = load_new(blk.vq, 4);

	for (unsigned int i = 0; i < 100; i++) {
		int old = blk.vq->kick;

		load_put_all(&l, true, i);
		blk.vq->kick = new_event();
		check_ok(vq_set_file(blk.vq, VHOST_SET_VRING_KICK, blk.vq->kick));
		close(old);
		load_finish(&l);
	}
}

TEST(no_kick_no_intake_then_a_new_one)
{
	struct blk blk = load_start(slow_disk(16, 200), 1);
	struct load l = load_new(blk.vq, 4);
	int old = blk.vq->kick;

	load_put_all(&l, true, 1);
	load_wait_taken(&l);
	check_ok(vq_set_file(blk.vq, VHOST_SET_VRING_KICK, -1));
	load_finish(&l);
	load_put_all(&l, true, 2);
	vq_quiet(blk.vq, VQ_QUIET_MS);
	/* That fd has been kicked and is so still. */
	check_ok(vq_set_file(blk.vq, VHOST_SET_VRING_KICK, old));
	load_finish(&l);
}

/* A device that starts without a kick looks at its rings all the same. */
TEST(start_without_a_kick_serves_what_is_there)
{
	struct blk blk = blk_prepare(&(struct blk_setup){});
	struct load l = load_new(blk.vq, 4);

	vdev_setup(blk.dev);
	check_ok(vq_set_file(blk.vq, VHOST_SET_VRING_KICK, -1));
	for (unsigned int i = 0; i < l.n; i++)
		load_put(&l, i, true, 1);
	vq_publish(blk.vq);
	check(!blk.dev->ops->attach(blk.dev), "attach: %m");
	load_finish(&l);
	check_ok(vq_set_file(blk.vq, VHOST_SET_VRING_KICK, blk.vq->kick));
	load_put_all(&l, false, 1);
	load_finish(&l);
}

/* Row 9: a completion for each time that a head was published, and no more. */
static const struct {
	const char *name;
	unsigned int times;
} twice[] = { { "twice", 2 }, { "as_often_as_the_ring_holds", 128 }, { "twice_the_ring", 256 } };

static void publish_again(struct vq *vq, uint16_t head, unsigned int times)
{
	for (unsigned int i = 0; i < times; i++)
		vq_put_avail(vq, head);
	vq_publish(vq);
	vq_kick_always(vq);
}

static void wait_used(struct vq *vq, uint16_t idx)
{
	uint64_t end = now_ms() + VQ_WAIT_MS;

	while (vq_used_idx(vq) != idx) {
		check(now_ms() < end, "the used index is %u, expected %u", vq_used_idx(vq), idx);
		sleep_ms(5);
	}
}

TEST_PATHS(head_published_in_flight, twice)
{
	struct blk blk = load_start(slow_disk(16, 600), 1);
	struct load l = load_new(blk.vq, 1);
	unsigned int now = v->times > blk.vq->num ? blk.vq->num : v->times;
	uint16_t head;

	load_put(&l, 0, true, 1);
	head = le16toh(blk.vq->avail->ring[0]);
	publish_again(blk.vq, head, now - 1);
	load_wait_taken(&l);
	check(load_in_flight(&l), "nothing is in flight: the test shows nothing");
	publish_again(blk.vq, head, v->times - now);
	wait_used(blk.vq, v->times);
	for (unsigned int i = 0; i < now; i++)
		check_eq(le32toh(blk.vq->used->ring[i].id), head);
	blk.vq->last_used = v->times;
	vq_quiet(blk.vq, VQ_QUIET_MS);
	check_eq(event_take(blk.vq->err), 0);
	/* The queue goes on. */
	l.slots[0].busy = false;
	l.done = 1;
	load_put_all(&l, false, 0);
	load_finish(&l);
}
