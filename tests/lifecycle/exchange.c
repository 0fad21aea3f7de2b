// SPDX-License-Identifier: GPL-2.0
/* Another backend in the place of one that is in use. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "scene.h"
#include "tap.h"

#define QUEUES 4

static int open_disk(const char *path)
{
	return check_ok(open(path, O_RDWR | O_CLOEXEC));
}

static void queues_of(struct blk *blk, const struct way *v, struct load *l, unsigned int n)
{
	for (unsigned int i = 0; i < v->queues; i++) {
		l[i] = load_new(blk->dev->vqs[i], n);
		l[i].indirect = v->indirect;
	}
}

static void check_disks(const struct load *l, unsigned int queues, const char *path)
{
	for (unsigned int i = 0; i < queues; i++)
		load_check_disk(&l[i], path);
}

/* What was taken before is on the one, what came after on the other. */
TEST_WAYS(exchange_under_load, ways)
{
	const char *a = nullb_new(&(struct nullb){}), *b = nullb_new(&(struct nullb){});
	const char *slow_a = slow_disk_over(a, 600), *slow_b = slow_disk_over(b, 100);
	struct blk blk = load_start(slow_a, v->queues);
	struct load l[QUEUES];

	queues_of(&blk, v, l, 16);
	loads_put_all(l, v->queues, true, 5000);
	check(loads_in_flight(l, v->queues), "nothing is in flight: the test shows nothing");
	check_ok(blk_set_backend(blk.dev, open_disk(slow_b)));
	loads_check_drained(l, v->queues);
	check_disks(l, v->queues, a);
	/* Nobody has it open any more but us. */
	close(blk.fd);
	check_dm_is_free(slow_a);

	loads_finish(l, v->queues);
	loads_put_all(l, v->queues, true, 9000);
	loads_finish(l, v->queues);
	check_disks(l, v->queues, b);
	loads_put_all(l, v->queues, false, 0);
	loads_finish(l, v->queues);
}

static bool is_on(const char *path, const struct load *l, unsigned int i)
{
	unsigned char got[LOAD_BYTES], want[LOAD_BYTES];

	fill(want, sizeof(want), l->slots[i].on_disk);
	device_read(path, l->slots[i].sector * SECTOR, got, sizeof(got));
	return !memcmp(got, want, sizeof(got));
}

/* Back and forth; what is in the ring lands on exactly one of the two. */
TEST_WAYS_LIMIT(exchange_back_and_forth, ways, 60)
{
	const char *disk[2] = {
		nullb_new(&(struct nullb){ .delay_ms = 5 }),
		nullb_new(&(struct nullb){ .delay_ms = 5 }),
	};
	struct blk blk = load_start(disk[0], v->queues);
	int fd[2] = { blk.fd, open_disk(disk[1]) };
	uint64_t random = 3, end = now_ms() + stress_ms(2500);
	struct load l[QUEUES];

	queues_of(&blk, v, l, 4);
	for (unsigned int round = 1; round < 10 && now_ms() < end; round++) {
		for (unsigned int i = 0; i < v->queues; i++)
			load_put_all(&l[i], true, 100000 * round + 1000 * i);
		usleep(prng(&random) % 10000);
		check_ok(blk_set_backend(blk.dev, fd[round % 2]));
		loads_finish(l, v->queues);
		for (unsigned int i = 0; i < v->queues; i++)
			for (unsigned int k = 0; k < l[i].n; k++)
				check_eq(is_on(disk[0], &l[i], k) + is_on(disk[1], &l[i], k), 1);
	}
}

/* A file that cannot be a backend changes nothing. */
TEST(refused_exchange_leaves_the_backend)
{
	const char *path = slow_disk(16, 200);
	struct blk blk = load_start(path, QUEUES);
	int null = check_ok(open("/dev/null", O_RDWR | O_CLOEXEC));
	int blind = check_ok(open(path, O_WRONLY | O_CLOEXEC));
	struct load l[QUEUES];

	queues_of(&blk, &ways[2], l, 8);
	loads_put_all(l, QUEUES, true, 1);
	check_errno(blk_set_backend(blk.dev, 9999), EBADF);
	check_errno(blk_set_backend(blk.dev, null), ENOTBLK);
	check_errno(blk_set_backend(blk.dev, blind), EBADF);
	loads_finish(l, QUEUES);
	loads_put_all(l, QUEUES, false, 0);
	loads_finish(l, QUEUES);
}

/* Bounds are those of the device that is there. */
TEST(exchange_for_a_smaller_disk)
{
	const char *small = nullb_new(&(struct nullb){ .mb = 1 });
	struct blk blk = load_start(nullb_new(&(struct nullb){ .mb = 2 }), 1);
	struct load l = load_new(blk.vq, 1);

	l.slots[0].sector = 2048 - 8;
	load_put_all(&l, true, 1);
	load_finish(&l);
	l.slots[0].sector = 2048;
	load_put_all(&l, true, 2);
	load_finish(&l);
	check_ok(blk_set_backend(blk.dev, open_disk(small)));
	load_put_all(&l, true, 3);
	load_finish_as(&l, VIRTIO_BLK_S_IOERR);
	l.slots[0].sector = 2048 - 8;
	load_put_all(&l, true, 4);
	load_finish(&l);
}
