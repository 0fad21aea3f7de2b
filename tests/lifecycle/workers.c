// SPDX-License-Identifier: GPL-2.0
/* VHOST_NEW_WORKER and its kin. */
#include <errno.h>
#include <sys/ioctl.h>

#include "load.h"
#include "tap.h"

#define QUEUES 4

static int worker_of(struct vq *vq)
{
	struct vhost_vring_worker w = { .index = vq->index };

	check_ok(ioctl(vq->dev->fd, VHOST_GET_VRING_WORKER, &w));
	return w.worker_id;
}

static struct blk start(const char *path, struct load *l, int *worker)
{
	struct blk blk = load_start(path, QUEUES);

	for (unsigned int i = 0; i < QUEUES; i++) {
		l[i] = load_new(blk.dev->vqs[i], 16);
		worker[i] = check_ok(vdev_new_worker(blk.dev));
	}
	return blk;
}

TEST(worker_for_each_queue)
{
	const char *path = nullb_new(&(struct nullb){ .delay_ms = 2 });
	struct load l[QUEUES];
	int worker[QUEUES], first;
	struct blk blk = start(path, l, worker);

	first = worker_of(blk.vq);
	for (unsigned int i = 0; i < QUEUES; i++) {
		check_eq(worker_of(blk.dev->vqs[i]), first);
		check_ok(vq_attach_worker(blk.dev->vqs[i], worker[i]));
		check_eq(worker_of(blk.dev->vqs[i]), worker[i]);
	}
	for (unsigned int round = 0; round < 10; round++) {
		loads_put_all(l, QUEUES, true, 10000 * round);
		loads_finish(l, QUEUES);
	}
	loads_put_all(l, QUEUES, false, 0);
	loads_finish(l, QUEUES);
}

TEST(worker_in_use_is_not_freed)
{
	struct load l[QUEUES];
	int worker[QUEUES], first;
	struct blk blk = start(slow_disk(16, 200), l, worker);

	first = worker_of(blk.vq);
	check_ok(vq_attach_worker(blk.vq, worker[0]));
	check_errno(vdev_free_worker(blk.dev, worker[0]), EBUSY);
	check_errno(vdev_free_worker(blk.dev, first), EBUSY);
	loads_put_all(l, 1, true, 1);
	/* Moved away from it with I/O in flight, it is free to go. */
	check_ok(vq_attach_worker(blk.vq, worker[1]));
	check_ok(vdev_free_worker(blk.dev, worker[0]));
	check_errno(vdev_free_worker(blk.dev, worker[0]), ENODEV);
	check_errno(vq_attach_worker(blk.vq, worker[0]), ENODEV);
	loads_finish(l, 1);
	check_eq(worker_of(blk.vq), worker[1]);
}

TEST(worker_of_a_queue_that_is_not_there)
{
	struct load l[QUEUES];
	int worker[QUEUES];
	struct blk blk = start(nullb_new(&(struct nullb){}), l, worker);
	struct vhost_vring_worker w = { .index = 64, .worker_id = worker[0] };

	check_errno(ioctl(blk.dev->fd, VHOST_ATTACH_VRING_WORKER, &w), ENOBUFS);
	check_errno(ioctl(blk.dev->fd, VHOST_GET_VRING_WORKER, &w), ENOBUFS);
	check_errno(vq_attach_worker(blk.vq, 99), ENODEV);
}

/* Queues change hands while requests come and go. */
TEST_LIMIT(workers_exchanged_under_load, 90)
{
	struct load l[QUEUES];
	int worker[QUEUES];
	struct blk blk = start(nullb_new(&(struct nullb){ .delay_ms = 3 }), l, worker);
	uint64_t random = 9, end = now_ms() + stress_ms(5000);
	unsigned int round;

	for (round = 0; round < 60 && now_ms() < end; round++) {
		for (unsigned int i = 0; i < QUEUES; i++)
			load_put_all(&l[i], true, 1000 * round + 100 * i);
		for (unsigned int i = 0; i < QUEUES; i++)
			check_ok(vq_attach_worker(blk.dev->vqs[prng(&random) % QUEUES],
						  worker[prng(&random) % QUEUES]));
		if (round % 4 == 0) {
			vdev_stop(blk.dev);
			loads_check_drained(l, QUEUES);
			check(!blk.dev->ops->attach(blk.dev), "attach: %m");
		}
		loads_finish(l, QUEUES);
	}
	diag("%u rounds", round);
}

/* A kernel thread in the place of the owner's: the device is to act alike. */
TEST(kernel_thread_as_worker)
{
	struct blk blk = blk_start(&(struct blk_setup){
		.path = slow_disk(16, 200), .kernel_thread = true });
	struct load l = load_new(blk.vq, 32);

	check_errno(vdev_new_worker(blk.dev), EFAULT);
	loads_put_all(&l, 1, true, 1);
	vdev_stop(blk.dev);
	loads_check_drained(&l, 1);
	load_finish(&l);
	check(!blk.dev->ops->attach(blk.dev), "attach: %m");
	loads_put_all(&l, 1, false, 0);
	load_finish(&l);
}
