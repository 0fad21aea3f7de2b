// SPDX-License-Identifier: GPL-2.0
/*
 * Row 14: rings that are refilled faster than they are drained. The others are
 * served, ioctls return, and the process can be killed.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scene.h"
#include "tap.h"

/*
 * What a bystander's request may take: hundreds of times what it does in an
 * emulated machine, and far less than for ever.
 */
#define LATENCY_MS 1000
#define KILL_MS 1000

/* Keeps a ring full, for ever or until it is told. */
struct flood {
	struct carousel c;
	atomic_bool stop;
	pthread_t thread;
	unsigned long sent;
};

static void *flood(void *arg)
{
	struct flood *f = arg;
	unsigned int room;

	while (!atomic_load(&f->stop)) {
		carousel_take(&f->c);
		room = f->c.n - carousel_out(&f->c);
		if (room) {
			carousel_send(&f->c, room);
			f->sent += room;
		}
		/* Kicked whether it wants to be or not. */
		vq_kick_always(f->c.vq);
	}
	return NULL;
}

static void flood_start(struct flood *f, struct vq *vq, const struct way *way, uint32_t type,
			uint32_t len)
{
	f->c = carousel_new(vq, way->indirect, type, 0, len);
	f->sent = 0;
	atomic_store(&f->stop, false);
	check(!pthread_create(&f->thread, NULL, flood, f), "no thread");
}

static void flood_stop(struct flood *f)
{
	atomic_store(&f->stop, true);
	pthread_join(f->thread, NULL);
	f->c.vq->no_interrupt = false;
	check(carousel_wait(&f->c, 0), "the flooded queue does not come to rest");
}

/* What needs no disk, and what does. */
static const struct {
	const char *name;
	uint32_t type;
	uint32_t len;
} floods[] = {
	{ "get_id", VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_ID_BYTES },
	{ "read", VIRTIO_BLK_T_IN, GUEST_PAGE },
	{ "unknown", 77, SECTOR },
	{ "refused", VIRTIO_BLK_T_OUT, 7 },
};

static void probe_timed(struct scene *s, struct vq *vq, const char *what)
{
	uint64_t before = now_ms(), ms;

	scene_probe(s, vq);
	ms = now_ms() - before;
	check(ms < LATENCY_MS, "%s: queue %u took %llu ms for a write and a read", what,
	      vq->index, (unsigned long long)ms);
}

TEST_WAYS_LIMIT(flooded_queue_lets_the_others_live, ways, 60)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(floods); i++) {
		struct scene s = scene_start(v);
		struct flood f;

		flood_start(&f, s.vq, v, floods[i].type, floods[i].len);
		for (uint64_t end = now_ms() + 400; now_ms() < end;) {
			for (unsigned int q = 1; q < v->queues; q++)
				probe_timed(&s, s.blk.dev->vqs[q], floods[i].name);
			probe_timed(&s, s.other.vq, floods[i].name);
		}
		/* An ioctl that drains, too. */
		check_ok(vdev_set_mem_table(s.blk.dev));
		flood_stop(&f);
		diag("%s: %lu requests", floods[i].name, f.sent);
		check(f.sent > 2 * f.c.n, "the ring was not flooded");
		check(!event_take(s.vq->err), "%s: the error eventfd fired", floods[i].name);
		scene_restart(&s);
		scene_must_serve(&s, floods[i].name);
		close(s.blk.dev->fd);
		close(s.other.dev->fd);
	}
}

/* How much of the first queue was done when the second one had its turn. */
static unsigned int done_before_the_other(struct blk *blk, struct carousel *c)
{
	uint16_t before = vq_used_idx(blk->vq);
	unsigned char sector[SECTOR];
	const uint8_t *status;

	vdev_stop(blk->dev);
	carousel_send(c, c->n);
	status = blk_send_at(blk->dev->vqs[1], VIRTIO_BLK_T_OUT, 0, blk->vq->used_gpa, SECTOR);
	check(!blk->dev->ops->attach(blk->dev), "attach: %m");
	vq_get(blk->dev->vqs[1]);
	check_eq(*status, VIRTIO_BLK_S_OK);
	check(carousel_wait(c, 0), "the long ring is not served");
	device_read(blk->path, 0, sector, SECTOR);
	/* The used index, as it was written to the disk. */
	return (uint16_t)((sector[2] | sector[3] << 8) - before);
}

/*
 * A ring with more in it than a turn may take does not keep the worker from the other
 * queue. Both are there when the device starts; what the second one writes to the disk tells
 * how much of the first one was done by then. On a busy host that one may be over before
 * the start comes to the second: then once more.
 */
TEST(long_ring_is_served_in_turns)
{
	struct blk blk = blk_start(&(struct blk_setup){ .queues = 2, .num = 1024 });
	struct carousel c = carousel_new(blk.vq, true, VIRTIO_BLK_T_GET_ID, 0,
					 VIRTIO_BLK_ID_BYTES);
	unsigned int done = 0;

	for (unsigned int round = 0; round < 20 && (!done || done == c.n); round++)
		done = done_before_the_other(&blk, &c);
	check(done, "the other queue always came first: this test shows nothing");
	check(done < c.n, "the other queue waited for all %u requests of the long ring", c.n);
}

/* All queues but one; and the stop of a device whose rings never empty. */
TEST_WAYS_LIMIT(stop_of_a_flooded_device_returns, ways, 60)
{
	struct scene s = scene_start(v);
	struct flood f[4];

	for (unsigned int q = 0; q < v->queues; q++)
		flood_start(&f[q], s.blk.dev->vqs[q], v, VIRTIO_BLK_T_IN, GUEST_PAGE);
	for (unsigned int round = 0; round < 10; round++) {
		uint64_t before = now_ms();

		vdev_stop(s.blk.dev);
		check(now_ms() - before < patience(KILL_MS), "a stop took %llu ms",
		      (unsigned long long)(now_ms() - before));
		check(!s.blk.dev->ops->attach(s.blk.dev), "attach: %m");
		sleep_ms(10);
		probe_timed(&s, s.other.vq, "the other device");
	}
	for (unsigned int q = 0; q < v->queues; q++)
		flood_stop(&f[q]);
}

/*
 * A file whose file system hangs holds up what its own device has sent to it, and no
 * other device's: neither what those send nor their stop.
 */
TEST(hung_flushes_leave_the_others_theirs)
{
	const struct blk_io flush = { .type = VIRTIO_BLK_T_FLUSH };
	static struct blk_req hung[300];
	const char *lower = nullb_new(&(struct nullb){ .mb = 64, .attributes = "cache_size=1" });
	struct blk blk, other;
	uint64_t before;

	lower = dm_linear_new(lower, device_sectors(lower));
	blk = blk_start(&(struct blk_setup){ .path = file_on(lower, 1), .num = 1024 });
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
	disk_suspend(lower);
	for (unsigned int i = 0; i < ARRAY_SIZE(hung); i++)
		hung[i] = blk_add(blk.vq, &flush);
	blk_send(blk.vq);
	vdev_wait_in_flight(ARRAY_SIZE(hung));
	other = blk_start(&(struct blk_setup){ .path = file_new(1) });
	before = now_ms();
	blk_expect(other.vq, &flush, VIRTIO_BLK_S_OK);
	vdev_stop(other.dev);
	check(now_ms() - before < patience(LATENCY_MS), "a flush and a stop took %llu ms",
	      (unsigned long long)(now_ms() - before));
	check(vq_used_idx(blk.vq) == blk.vq->last_used, "the hung flushes have ended");
	disk_resume(lower);
	blk_reap(blk.vq, hung, ARRAY_SIZE(hung));
	for (unsigned int i = 0; i < ARRAY_SIZE(hung); i++)
		check_eq(hung[i].status, VIRTIO_BLK_S_OK);
}

static void flood_for_ever(const char *path, const struct way *v, uint32_t type, int ready)
{
	struct scene s = scene_prepare(v, &(struct blk_setup){ .path = path });
	struct flood f[4];

	scene_run(&s);
	for (unsigned int q = 0; q < v->queues; q++)
		flood_start(&f[q], s.blk.dev->vqs[q], v, type, GUEST_PAGE);
	sleep_ms(200);
	check_eq(write(ready, "", 1), 1);
	pause();
}

static void kill_flooding(const char *path, const struct way *v, uint32_t type)
{
	uint64_t before;
	long pins;
	int ready[2], status;
	pid_t pid;
	char c;

	run_command("modprobe vhost_blk");
	pins = pages_pinned();
	check_ok(pipe(ready));
	fflush(stdout);
	pid = check_ok(fork());
	if (!pid) {
		close(ready[0]);
		flood_for_ever(path, v, type, ready[1]);
	}
	close(ready[1]);
	check(read(ready[0], &c, 1) == 1, "the flood did not begin");
	before = now_ms();
	kill(pid, SIGKILL);
	check_eq(waitpid(pid, &status, 0), pid);
	check(WIFSIGNALED(status), "the owner ended with status %x", status);
	check_released(pins, KILL_MS);
	diag("killed and gone after %llu ms", (unsigned long long)(now_ms() - before));
	check(now_ms() - before < patience(KILL_MS), "it took %llu ms to die",
	      (unsigned long long)(now_ms() - before));
}

TEST_WAYS_LIMIT(killed_in_a_flood, ways, 60)
{
	const char *path = nullb_new(&(struct nullb){});

	kill_flooding(path, v, VIRTIO_BLK_T_GET_ID);
	kill_flooding(path, v, VIRTIO_BLK_T_IN);
}
