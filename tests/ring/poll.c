// SPDX-License-Identifier: GPL-2.0
/* Busy polling, VHOST_SET_VRING_BUSYLOOP_TIMEOUT: requests that need no kick. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "scene.h"
#include "tap.h"

static const struct blk_io flush = { .type = VIRTIO_BLK_T_FLUSH };

/* Microseconds that no test lasts. */
#define FOREVER 600000000u

static const struct mode {
	const char *name;
	uint64_t features;
} modes[] = {
	{ "flags", BLK_FEATURES },
	{ "event_idx", BLK_FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX) },
};

static struct blk start(const struct mode *mode, unsigned int queues, unsigned int us)
{
	struct blk blk = blk_start(&(struct blk_setup){ .features = mode->features,
							.queues = queues });

	for (unsigned int i = 0; i < queues; i++)
		vq_set_polling(blk.dev->vqs[i], us);
	return blk;
}

/* As if the device wanted no kick: it must find the request by itself. */
static void send_silently(struct vq *vq)
{
	blk_add(vq, &flush);
	vq_publish(vq);
	vq_get(vq);
}

static void send_kicked(struct vq *vq)
{
	blk_add(vq, &flush);
	vq_publish(vq);
	vq_kick_always(vq);
	vq_get(vq);
}

/* Until the device asks for kicks: it has given up polling. */
static void wait_asleep(struct vq *vq)
{
	uint64_t end = now_ms() + VQ_WAIT_MS;

	do {
		check(now_ms() < end, "the device polls and does not end");
		sleep_ms(20);
		blk_add(vq, &flush);
		vq_publish(vq);
	} while (!vq_kick(vq) && (vq_get(vq), true));
	vq_get(vq);
}

TEST_PATHS(polled_requests_need_no_kick, modes)
{
	struct blk blk = start(v, 1, FOREVER);

	send_kicked(blk.vq);
	for (unsigned int i = 0; i < 200; i++) {
		uint64_t mark = guest_mark(blk.mem);

		send_silently(blk.vq);
		guest_release(blk.mem, mark);
	}
}

/* Slower ones, so that the worker sees an empty ring and completions by turns. */
TEST_PATHS(polled_reads_and_writes_ok, modes)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .features = v->features,
							  .disk.delay_ms = 1 });
	unsigned char out[4096], in[4096];

	vdev_start(blk.dev);
	vq_set_polling(blk.vq, 3000);
	for (unsigned int i = 0; i < 50; i++) {
		uint64_t mark = guest_mark(blk.mem);

		fill(out, sizeof(out), i);
		blk_write(blk.vq, 8 * i, out, sizeof(out));
		blk_read(blk.vq, 8 * i, in, sizeof(in));
		check_same(in, out, sizeof(in), "read");
		guest_release(blk.mem, mark);
	}
}

TEST_PATHS(without_polling_kicks_are_needed, modes)
{
	struct blk blk = start(v, 1, 0);

	send_kicked(blk.vq);
	sleep_ms(50);
	blk_add(blk.vq, &flush);
	vq_publish(blk.vq);
	vq_quiet(blk.vq, VQ_QUIET_MS);
	vq_kick_always(blk.vq);
	vq_get(blk.vq);
}

/* The budget is over: a request is not looked for, and kicks are wanted. */
TEST_PATHS(polling_ends_with_its_budget, modes)
{
	struct blk blk = start(v, 1, 2000);

	send_kicked(blk.vq);
	wait_asleep(blk.vq);
	sleep_ms(200);
	blk_add(blk.vq, &flush);
	vq_publish(blk.vq);
	vq_quiet(blk.vq, VQ_QUIET_MS);
	check(vq_kick(blk.vq), "no kick is wanted, and nobody polls");
	vq_get(blk.vq);
}

static void spin_us(unsigned int us)
{
	struct timespec from, now;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - from.tv_sec) * 1000000ll + (now.tv_nsec - from.tv_nsec) / 1000 < us);
}

/* Each comes about when the device has polled long enough, and asks for kicks again. */
TEST_V_LIMIT(requests_at_the_end_of_the_budget_ok, modes, 60)
{
	struct blk blk = start(v, 1, 100);
	struct carousel c = carousel_new(blk.vq, false, VIRTIO_BLK_T_GET_ID, 0,
					 VIRTIO_BLK_ID_BYTES);
	uint64_t random = 1;

	for (unsigned int i = 0; i < 10000; i++) {
		carousel_send(&c, 1);
		check(carousel_wait(&c, 0), "request %u waits for ever", i);
		spin_us(prng(&random) % 200);
	}
}

/* Nanoseconds of CPU time that the device's workers have had. */
static unsigned long long worker_time(void)
{
	unsigned long long total = 0, ns;
	char path[300], comm[32], name[32];
	struct dirent *entry;
	unsigned int found = 0;
	DIR *dir = opendir("/proc/self/task");
	FILE *f;

	check(dir, "/proc/self/task: %m");
	snprintf(name, sizeof(name), "vhost-%d\n", getpid());
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		comm[0] = 0;
		if (!fgets(comm, sizeof(comm), f) || strcmp(comm, name))
			comm[0] = 0;
		fclose(f);
		if (!comm[0])
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat", entry->d_name);
		f = fopen(path, "r");
		check(f && fscanf(f, "%llu", &ns) == 1, "%s: %m", path);
		fclose(f);
		total += ns;
		found++;
	}
	closedir(dir);
	check(found, "there is no worker called %s", name);
	return total;
}

/* At once, not only with the next request. */
TEST_PATHS(polling_switched_off_ends, modes)
{
	struct blk blk = start(v, 1, FOREVER);
	uint64_t end = now_ms() + VQ_WAIT_MS;
	unsigned long long from;

	send_kicked(blk.vq);
	send_silently(blk.vq);
	vq_set_polling(blk.vq, 0);
	do {
		check(now_ms() < end, "the worker goes on polling");
		from = worker_time();
		sleep_ms(200);
	} while (worker_time() - from > 10000000);
	blk_add(blk.vq, &flush);
	vq_publish(blk.vq);
	check(vq_kick(blk.vq), "no kick is wanted, and nobody polls");
	vq_get(blk.vq);
}

/* Polling costs a CPU, and no more than the budget; who does not poll has none. */
TEST_PATHS(idle_device_costs_no_cpu, modes)
{
	struct blk blk = start(v, 1, FOREVER);
	unsigned long long from;

	send_kicked(blk.vq);
	from = worker_time();
	sleep_ms(1000);
	check(worker_time() - from > 50000000, "the worker does not poll: %llu ns in a second",
	      worker_time() - from);

	vq_set_polling(blk.vq, 1000);
	wait_asleep(blk.vq);
	sleep_ms(100);
	from = worker_time();
	sleep_ms(1000);
	check(worker_time() - from < 10000000, "an idle worker had %llu ns of a second",
	      worker_time() - from);
}

/* One worker serves them all, though each could keep it busy for ever. */
TEST_PATHS(polled_queues_take_turns, modes)
{
	struct blk blk = start(v, 4, FOREVER);

	for (unsigned int i = 0; i < 4; i++)
		send_kicked(blk.dev->vqs[i]);
	for (unsigned int i = 0; i < 100; i++) {
		uint64_t mark = guest_mark(blk.mem);

		send_silently(blk.dev->vqs[i * 7 % 4]);
		guest_release(blk.mem, mark);
	}
}

/* A vq that is not polled is not kept waiting by one that is. */
TEST_PATHS(polled_queue_leaves_others_their_turn, modes)
{
	struct blk blk = start(v, 2, 0);

	vq_set_polling(blk.vq, FOREVER);
	send_kicked(blk.vq);
	for (unsigned int i = 0; i < 20; i++) {
		send_kicked(blk.dev->vqs[1]);
		send_silently(blk.vq);
	}
}

/* Ioctls want the vq's lock, which the polling worker has most of the time. */
TEST_PATHS(polled_queue_stops_at_once, modes)
{
	struct blk blk = start(v, 1, FOREVER);
	uint64_t from;

	for (unsigned int i = 0; i < 10; i++) {
		send_kicked(blk.vq);
		from = now_ms();
		vdev_stop(blk.dev);
		check(now_ms() - from < VQ_WAIT_MS, "stopping took %u ms",
		      (unsigned int)(now_ms() - from));
		blk_add(blk.vq, &flush);
		vq_publish(blk.vq);
		vq_quiet(blk.vq, 50);
		check(!blk.dev->ops->attach(blk.dev), "attach: %m");
		vq_get(blk.vq);
	}
}
