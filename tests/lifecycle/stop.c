// SPDX-License-Identifier: GPL-2.0
/* VHOST_BLK_SET_BACKEND -1, and what becomes of the requests. */
#include <fcntl.h>
#include <unistd.h>

#include "load.h"
#include "scene.h"
#include "tap.h"

#define QUEUES 4

static const struct {
	const char *name;
	unsigned int queues;
} queues[] = { { "one_queue", 1 }, { "four_queues", QUEUES } };

/* The memory of a guest, which must be as it is when the device has stopped. */
static struct snapshot memory_of(const struct blk *blk)
{
	return snapshot_take(blk->mem->region[0].hva, blk->mem->region[0].used);
}

static void start(struct blk *blk, struct load *l, const char *path, unsigned int n)
{
	*blk = load_start(path, n);
	for (unsigned int i = 0; i < n; i++) {
		l[i] = load_new(blk->dev->vqs[i], 32);
		load_prefill(&l[i], path, 100 * i + 1);
	}
}

static void stop_under(struct blk *blk, struct load *l, unsigned int n, bool write)
{
	struct snapshot s;

	loads_put_all(l, n, write, 7777);
	check(loads_in_flight(l, n), "nothing is in flight: the test shows nothing");
	vdev_stop(blk->dev);
	s = memory_of(blk);
	loads_check_drained(l, n);
	snapshot_check(&s, SLOW_DISK_MS + 200, "the guest's memory after the stop");
	loads_finish(l, n);
}

TEST_V(stop_waits_for_what_is_in_flight, queues)
{
	const char *lower = nullb_new(&(struct nullb){}), *path = slow_disk_over(lower, 0);
	struct load l[QUEUES];
	struct blk blk;

	/* Filled while it is fast. */
	start(&blk, l, path, v->queues);
	vdev_stop(blk.dev);
	close(blk.fd);
	check_dm_is_free(path);
	path = slow_disk_over(lower, SLOW_DISK_MS);
	blk.dev->backend_fd = blk.fd = check_ok(open(path, O_RDWR | O_CLOEXEC));
	check(!blk.dev->ops->attach(blk.dev), "attach: %m");
	stop_under(&blk, l, v->queues, false);
	check(!blk.dev->ops->attach(blk.dev), "attach: %m");
	stop_under(&blk, l, v->queues, true);
	for (unsigned int i = 0; i < v->queues; i++)
		load_check_disk(&l[i], lower);
}

/* The owner hangs in it for as long as the disk does: that is told. */
TEST_LIMIT(stop_that_takes_long_is_told, 60)
{
	struct load l;
	struct blk blk = load_start(slow_disk_over(nullb_new(&(struct nullb){}), 12000), 1);
	int log = kernel_log_open();

	l = load_new(blk.vq, 3);
	load_put_all(&l, true, 1);
	load_wait_taken(&l);
	vdev_stop(blk.dev);
	kernel_log_must_have(log, "vq 0: stopping, waits for the backend to end 3 requests");
	load_collect(&l, VIRTIO_BLK_S_OK);
	check_eq(l.done, l.sent);
}

/* Waits until the device takes no more, and tells how much it has taken. */
static unsigned int taken_at_most(const struct load *l)
{
	unsigned int before, now = vq_get_base(l->vq);

	do {
		before = now;
		sleep_ms(200);
		now = vq_get_base(l->vq);
	} while (now != before);
	return now;
}

/*
 * More than the device binds memory for at once: what it has not taken stays in
 * the ring, is not touched, and goes on with the next backend, unkicked.
 */
TEST_V_LIMIT(stop_leaves_the_rest_in_the_ring, queues, 60)
{
	const char *lower = nullb_new(&(struct nullb){ .mb = 256 });
	const char *path = slow_disk_over(lower, 0);
	struct blk blk = blk_start(&(struct blk_setup){
		.path = path, .queues = v->queues, .memory = 256 << 20,
	});
	struct load l[QUEUES];
	unsigned int taken[QUEUES];

	disk_suspend(path);
	for (unsigned int i = 0; i < v->queues; i++) {
		l[i] = load_new_at(blk.dev->vqs[i], 10, 4 << 20, 0, 0);
		load_put_all(&l[i], true, 100 * i);
	}
	for (unsigned int i = 0; i < v->queues; i++)
		taken[i] = taken_at_most(&l[i]);
	disk_resume_soon(path);
	for (unsigned int i = 0; i < v->queues; i++)
		check(taken[i] && taken[i] < l[i].n, "queue %u: %u of %u requests were taken", i,
		      taken[i], l[i].n);
	vdev_stop(blk.dev);
	loads_check_drained(l, v->queues);
	for (unsigned int i = 0; i < v->queues; i++) {
		check_eq(vq_get_base(l[i].vq), taken[i]);
		check_eq(load_collect(&l[i], VIRTIO_BLK_S_OK), taken[i]);
		vq_quiet(l[i].vq, 100);
	}
	check(!blk.dev->ops->attach(blk.dev), "attach: %m");
	loads_finish(l, v->queues);
	load_check_disk(&l[0], lower);
}

/* The same without a stop: what ends makes room for what waits, unkicked. */
TEST_LIMIT(completions_make_room_for_the_rest, 60)
{
	const char *path = slow_disk(64, 0);
	struct blk blk = blk_start(&(struct blk_setup){ .path = path, .memory = 128 << 20 });
	struct load l = load_new_at(blk.vq, 14, 4 << 20, 0, 0);
	unsigned int taken;

	disk_suspend(path);
	load_put_all(&l, true, 1);
	taken = taken_at_most(&l);
	disk_resume(path);
	check(taken && taken < l.n, "%u of %u requests were taken", taken, l.n);
	load_finish(&l);
}

static const struct {
	const char *name;
	bool started_before;
	bool kicked;
} detached[] = {
	{ "kicked_before_the_first_backend", false, true },
	{ "kicked_between_backends", true, true },
	{ "never_kicked", true, false },
};

/* QD1: no later kick would hide that this one was lost. */
TEST_PATHS(request_put_while_detached_is_served, detached)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .queues = 2 });

	vdev_setup(blk.dev);
	for (unsigned int round = 0; round < 20; round++) {
		struct vq *vq = blk.dev->vqs[round % 2];
		struct blk_req req;
		uint64_t mark;

		if (v->started_before) {
			check(!blk.dev->ops->attach(blk.dev), "attach: %m");
			vdev_stop(blk.dev);
		}
		mark = guest_mark(blk.mem);
		req = blk_add(vq, &(struct blk_io){ .type = VIRTIO_BLK_T_FLUSH });
		vq_publish(vq);
		if (v->kicked)
			vq_kick_always(vq);
		vq_quiet(vq, 10);
		check(!blk.dev->ops->attach(blk.dev), "attach: %m");
		blk_finish(&req, vq_get(vq));
		check_eq(req.status, VIRTIO_BLK_S_OK);
		blk_free(&req);
		vdev_stop(blk.dev);
		guest_release(blk.mem, mark);
	}
}

/* Stopping when the last completion comes, and just before and after. */
TEST_LIMIT(stop_meets_the_last_completion, 90)
{
	const char *path = nullb_new(&(struct nullb){ .delay_ms = 4 });
	struct blk blk = load_start(path, 2);
	struct load l[2] = { load_new(blk.dev->vqs[0], 4), load_new(blk.dev->vqs[1], 4) };
	uint64_t end = now_ms() + stress_ms(5000), random = 1;
	unsigned int i;

	for (i = 0; i < 400 && now_ms() < end; i++) {
		load_put_all(&l[0], true, i);
		load_put_all(&l[1], true, i);
		usleep(prng(&random) % 6000);
		vdev_stop(blk.dev);
		loads_check_drained(l, 2);
		check(!blk.dev->ops->attach(blk.dev), "attach: %m");
		loads_finish(l, 2);
	}
	diag("%u stops", i);
}

/* Row 26 of the bug list: submitted = completed + never taken, at any point. */
TEST_V_LIMIT(random_stop_loses_nothing, load_ways, 90)
{
	const char *path = nullb_new(&(struct nullb){ .mb = 64, .delay_ms = 3 });
	struct blk blk = blk_start(&(struct blk_setup){
		.path = path, .queues = v->queues, .memory = 128 << 20,
	});
	struct load l[QUEUES];

	for (unsigned int q = 0; q < v->queues; q++) {
		l[q] = load_new_at(blk.dev->vqs[q], 24, v->bytes, 0, v->offset);
		l[q].indirect = v->indirect;
		load_prefill(&l[q], path, 100 * q);
	}
	loads_stop_at_random(l, v, path);
}
