// SPDX-License-Identifier: GPL-2.0
/*
 * Random requests, most of them good, spoilt and rewritten while they are read, on
 * four queues, with ioctls in between.
 *
 *	fuzz --seed N --time S		for so many seconds; N as a run told it
 *
 * A round is chosen by the seed and its own number alone. Whatever comes, the
 * device lives: each queue answers what it is given or says that it has stopped;
 * started anew it serves; and nothing that may not be written changes.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "generator.h"
#include "scene.h"
#include "tap.h"

#define QUEUES 4
#define WORKERS 2
/* Requests that each queue is given in a round, in batches of a depth of its own. */
#define ROUND_REQUESTS 192
/* Between them, where what comes back is not waited for. */
#define PACE_MS 5
#define END_MS 10000
/* Busy polling, where it is on, is for less than that. */
#define POLL_US 200
/* Sectors that the probes write to, at the disk's beginning. */
#define PROBE_SECTORS 8

/* What a round does beside good requests. */
enum { GOOD, SPOILT, RACED, SHAKEN, MODES };

struct fuzz {
	uint64_t seed, random;
	unsigned long round, requests, stops, flips, ioctls;
	unsigned int depth;
	struct blk blk;
	struct gen gen[QUEUES];
	int kick[QUEUES][2];
	int workers[WORKERS];
	int config_call;
	bool stopped[QUEUES], jumped[QUEUES];
	unsigned char *canary;
	pthread_t racer;
	atomic_bool race_ends;
};

#define must(f, cond, fmt, ...)						\
	check(cond, "seed %llu, round %lu: " fmt, (unsigned long long)(f)->seed,	\
	      (f)->round, ##__VA_ARGS__)

static uint64_t below(struct fuzz *f, uint64_t n)
{
	return prng(&f->random) % n;
}

/* The device, and what must not change. */

static void fill_disk(struct fuzz *f)
{
	size_t len = (size_t)GEN_DISK_MB << 20;
	unsigned char *data = malloc(len);

	gen_fill(data, len, 3);
	device_write(f->blk.path, 0, data, len);
	f->canary = data;
}

static void check_disk(struct fuzz *f)
{
	size_t from = PROBE_SECTORS * SECTOR, len = GEN_FIRST_SECTOR * SECTOR - from;
	unsigned char *now = malloc(len);

	device_read(f->blk.path, from, now, len);
	if (memcmp(now, f->canary + from, len))
		for (size_t i = 0; i < len; i++)
			must(f, now[i] == f->canary[from + i], "sector %zu was written",
			     (from + i) / SECTOR);
	free(now);
}

static void check_memory(struct fuzz *f)
{
	static unsigned char want[GEN_CANARY_BYTES];
	const unsigned char *now = guest_ptr(f->blk.mem, GEN_CANARY, GEN_CANARY_BYTES);

	gen_fill(want, GEN_CANARY_BYTES, 2);
	if (memcmp(now, want, GEN_CANARY_BYTES))
		for (size_t i = 0; i < GEN_CANARY_BYTES; i++)
			must(f, now[i] == want[i], "byte %zu that is only read was written", i);
}

static void fuzz_open(struct fuzz *f)
{
	struct vhost_blk_serial serial;
	uint64_t event_idx = f->seed % 2 ? BIT(VIRTIO_RING_F_EVENT_IDX) : 0;

	f->blk = blk_prepare(&(struct blk_setup){
		.disk = { .mb = GEN_DISK_MB, .delay_ms = f->seed / 2 % 2,
			  .attributes = "discard=1" },
		.queues = QUEUES, .num = GEN_RING, .memory = 16 << 20,
		.features = BLK_FEATURES | GEN_FEATURES | event_idx });
	gen_add_memory(f->blk.mem);
	check_ok(vdev_set_mem_table(f->blk.dev));
	memset(&serial, 0xff, sizeof(serial));
	check_ok(ioctl(f->blk.dev->fd, VHOST_BLK_SET_SERIAL, &serial));
	fill_disk(f);
	for (unsigned int q = 0; q < QUEUES; q++) {
		struct vq *vq = f->blk.dev->vqs[q];

		gen_init(&f->gen[q], vq);
		f->kick[q][0] = vq->kick;
		f->kick[q][1] = check_ok(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	}
	f->config_call = check_ok(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	for (unsigned int i = 0; i < WORKERS; i++)
		f->workers[i] = vdev_new_worker(f->blk.dev);
}

static void fuzz_close(struct fuzz *f, long pins)
{
	uint64_t before = now_ms();

	vdev_stop(f->blk.dev);
	check_disk(f);
	check_memory(f);
	close(f->blk.dev->fd);
	close(f->blk.fd);
	must(f, now_ms() - before < END_MS, "stop and close took %llu ms",
	     (unsigned long long)(now_ms() - before));
	check_released(pins, END_MS);
	free(f->canary);
}

/* The second thread */

/* There and back: once, for a while, or as fast as it goes, many times. */
static void toggle(const struct gen_flip *flip, uint64_t *random)
{
	unsigned int times = 1, spin = prng(random) % 2000;

	if (prng(random) % 2) {
		times = prng(random) % 1000;
		spin = 0;
	}
	for (; times; times--) {
		gen_apply(flip);
		for (unsigned int i = spin; i; i--)
			atomic_signal_fence(memory_order_seq_cst);
		gen_apply(flip);
	}
}

static void *race(void *arg)
{
	struct fuzz *f = arg;
	uint64_t random = f->random ^ 0x5ace, one = 1;
	struct gen_flip flip;

	while (!atomic_load(&f->race_ends)) {
		struct gen *gen = &f->gen[prng(&random) % QUEUES];

		if (!gen_flip(gen, prng(&random) % f->depth, &random, &flip))
			continue;
		toggle(&flip, &random);
		if (prng(&random) % 16 == 0 && write(gen->vq->kick, &one, sizeof(one)) < 0)
			fail("kick: %m");
		f->flips++;
		/* Now and then all is as it should be for a while. */
		if (prng(&random) % 16 == 0)
			usleep(prng(&random) % 2000);
	}
	return NULL;
}

/* Ioctls: those that are refused must be, the others must go. */

static void attach(struct fuzz *f)
{
	must(f, !f->blk.dev->ops->attach(f->blk.dev), "attach: %m");
}

static void other_kick(struct fuzz *f, unsigned int q, struct vq *vq)
{
	if (below(f, 2))
		check_ok(vq_set_file(vq, VHOST_SET_VRING_KICK, -1));
	vq->kick = f->kick[q][vq->kick == f->kick[q][0]];
	check_ok(vq_set_file(vq, VHOST_SET_VRING_KICK, vq->kick));
	vq_kick_always(vq);
}

static void other_worker(struct fuzz *f, struct vq *vq)
{
	int worker = f->workers[below(f, WORKERS)];

	if (worker >= 0)
		check_ok(vq_attach_worker(vq, worker));
}

/* What they have set is of their round alone. */
static void unshake(struct fuzz *f)
{
	check_ok(blk_set_writeback(f->blk.dev, 1));
	check_ok(blk_set_config_call(f->blk.dev, -1));
	for (unsigned int q = 0; q < QUEUES; q++)
		vq_set_polling(f->blk.dev->vqs[q], 0);
}

static void shake(struct fuzz *f)
{
	unsigned int q = below(f, QUEUES);
	struct vq *vq = f->blk.dev->vqs[q];
	struct vhost_blk_config config;

	f->ioctls++;
	switch (below(f, 12)) {
	case 0:
		vdev_stop(f->blk.dev);
		usleep(below(f, 3000));
		attach(f);
		break;
	case 1:
		attach(f);
		break;
	case 2:
		other_kick(f, q, vq);
		break;
	case 3:
		check_ok(vq_set_file(vq, VHOST_SET_VRING_CALL, below(f, 2) ? vq->call : -1));
		break;
	case 4:
		check_ok(vdev_set_mem_table(f->blk.dev));
		break;
	case 5:
		check_ok(vq_set_addr(vq));
		break;
	case 6:
		check_errno(vq_set_num(vq, 1 << below(f, 17)), EBUSY);
		check_errno(vdev_set_features(f->blk.dev, 0), EBUSY);
		break;
	case 7:
		check_ok(blk_get_config(f->blk.dev, below(f, 2) ? f->blk.fd : -1, &config));
		vq_get_base(vq);
		break;
	case 8:
		check_ok(blk_set_writeback(f->blk.dev, below(f, 2)));
		break;
	case 9:
		check_ok(blk_set_config_call(f->blk.dev, below(f, 2) ? f->config_call : -1));
		break;
	case 10:
		vq_set_polling(vq, below(f, 2) ? below(f, POLL_US) : 0);
		break;
	default:
		other_worker(f, vq);
	}
}

/* A round */

static void probe(struct fuzz *f, struct vq *vq)
{
	unsigned char data[SECTOR], got[SECTOR];

	gen_fill(data, SECTOR, f->round);
	blk_write(vq, vq->index, data, SECTOR);
	blk_read(vq, vq->index, got, SECTOR);
	must(f, !memcmp(got, data, SECTOR), "queue %u: what was written is not what is read",
	     vq->index);
}

static void round_begin(struct fuzz *f)
{
	f->random = f->seed * 0x9e3779b97f4a7c15ull + f->round;
	f->depth = 1 + below(f, GEN_SLOTS);
	for (unsigned int q = 0; q < QUEUES; q++) {
		struct vq *vq = f->blk.dev->vqs[q];

		f->stopped[q] = f->jumped[q] = false;
		vq->kick = f->kick[q][0];
		event_take(f->kick[q][1]);
		vq_reset(vq);
		vq_setup(vq);
		gen_seed(&f->gen[q], prng(&f->random));
	}
	unshake(f);
	attach(f);
	for (unsigned int q = 0; q < QUEUES; q++) {
		probe(f, f->blk.dev->vqs[q]);
		/* Its descriptors are not where the generator has such. */
		memset(f->blk.dev->vqs[q]->desc, 0, 16 * GEN_RING);
	}
}

static void send_batch(struct fuzz *f, unsigned int q, unsigned int mode)
{
	unsigned int n = 1 + below(f, f->depth);
	struct vq *vq = f->blk.dev->vqs[q];

	for (unsigned int i = 0; i < n; i++) {
		gen_request(&f->gen[q], i);
		if (mode != GOOD && below(f, 12) == 0)
			gen_spoil(&f->gen[q], i);
	}
	f->requests += n;
	vq_publish(vq);
	if (mode != GOOD && below(f, 200) == 0) {
		f->jumped[q] = true;
		vq_put_avail_idx(vq, vq->avail_idx + below(f, 65536));
	}
	if (below(f, 8))
		vq_kick(vq);
	else
		vq_kick_always(vq);
}

/* Is the queue at rest, with everything answered or with an error? */
static bool at_rest(struct fuzz *f, unsigned int q)
{
	struct vq *vq = f->blk.dev->vqs[q];

	if (event_take(vq->err)) {
		f->stopped[q] = true;
		f->stops++;
	}
	return f->stopped[q] || f->jumped[q] || vq_used_idx(vq) == vq->avail_idx;
}

/* Returns the first queue that is not, when time is up, or QUEUES. */
static unsigned int wait_at_rest(struct fuzz *f, unsigned int ms)
{
	uint64_t end = now_ms() + ms;
	unsigned int q;

	do {
		for (q = 0; q < QUEUES && at_rest(f, q); q++)
			;
	} while (q < QUEUES && now_ms() < end && !usleep(100));
	return q;
}

static void check_answers(struct fuzz *f, unsigned int q)
{
	must(f, !f->stopped[q], "queue %u stopped over good requests", q);
	for (unsigned int i = 0; i < GEN_SLOTS; i++) {
		const struct gen_slot *s = &f->gen[q].slot[i];

		must(f, !s->nused || *s->status == s->want,
		     "queue %u: a good request of type %u: status %u, expected %u", q,
		     s->hdr->type, *s->status, s->want);
	}
}

static void must_rest(struct fuzz *f)
{
	unsigned int q = wait_at_rest(f, VQ_WAIT_MS);

	must(f, q == QUEUES, "queue %u: neither all answers nor an error: used %u, avail %u", q,
	     vq_used_idx(f->blk.dev->vqs[q]), f->blk.dev->vqs[q]->avail_idx);
}

static bool all_stopped(const struct fuzz *f)
{
	for (unsigned int q = 0; q < QUEUES; q++)
		if (!f->stopped[q])
			return false;
	return true;
}

static void send_all(struct fuzz *f, unsigned int mode)
{
	for (unsigned int i = 0; i < ROUND_REQUESTS / f->depth && !all_stopped(f); i++) {
		for (unsigned int q = 0; q < QUEUES; q++)
			send_batch(f, q, mode);
		if (mode == SHAKEN && below(f, 12) == 0)
			shake(f);
		if (mode != GOOD) {
			wait_at_rest(f, PACE_MS);
			continue;
		}
		must_rest(f);
		for (unsigned int q = 0; q < QUEUES; q++)
			check_answers(f, q);
	}
}

static void play(struct fuzz *f)
{
	unsigned int mode = f->round % MODES;

	round_begin(f);
	if (mode >= RACED) {
		atomic_store(&f->race_ends, false);
		check(!pthread_create(&f->racer, NULL, race, f), "no thread");
	}
	send_all(f, mode);
	if (mode >= RACED) {
		atomic_store(&f->race_ends, true);
		pthread_join(f->racer, NULL);
	}
	must_rest(f);
	vdev_stop(f->blk.dev);
	check_memory(f);
	if (f->round % 8 == 7)
		check_disk(f);
	f->round++;
}

static void fuzz(uint64_t seed, unsigned int seconds)
{
	struct fuzz *f = calloc(1, sizeof(*f));
	uint64_t end = now_ms() + seconds * 1000ull, last = end + patience(seconds * 1000);
	long pins;

	diag("seed %llu", (unsigned long long)seed);
	run_command("modprobe vhost_blk");
	pins = pages_pinned();
	f->seed = seed;
	fuzz_open(f);
	/* A slow machine takes its time for a round of each mode. */
	while (now_ms() < end || (f->round < MODES && now_ms() < last))
		play(f);
	fuzz_close(f, pins);
	diag("%lu rounds, %lu requests, %lu flips by the second thread, %lu ioctls, %lu stops",
	     f->round, f->requests, f->flips, f->ioctls, f->stops);
	check(f->round >= MODES, "%lu rounds: too few to show anything", f->round);
	free(f);
}

/* A minute in all: both ways of notifying, a disk that answers at once or later. */
static const struct {
	const char *name;
	uint64_t seed;
} seeds[] = { { "seed_1", 1 }, { "seed_2", 2 }, { "seed_3", 3 }, { "seed_4", 4 } };

TEST_V_LIMIT(random_requests, seeds, 60)
{
	fuzz(v->seed, 15);
}

/* For longer, and by a seed that is given: in the environment, for tests/run. */

static void longer(const void *none)
{
	const char *seed = getenv("FUZZ_SEED");

	(void)none;
	fuzz(seed && *seed ? strtoull(seed, NULL, 0) : now_ms() * 2654435761u % 1000000007,
	     atoi(getenv("FUZZ_TIME")));
}

static void offer_longer(void)
{
	static struct tap_test test = { .name = "longer", .run = longer };

	test.seconds = atoi(getenv("FUZZ_TIME")) + 60;
	tap_register(&test);
}

__attribute__((constructor)) static void longer_register(void)
{
	if (getenv("FUZZ_TIME"))
		offer_longer();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "time", required_argument, NULL, 't' }, { 0 },
	};
	char *run[] = { argv[0], "longer", NULL };
	int c;

	if (argc == 2)
		return tap_main(argc, argv);
	setenv("FUZZ_TIME", "60", 1);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return 2;
		setenv(c == 's' ? "FUZZ_SEED" : "FUZZ_TIME", optarg, 1);
	}
	offer_longer();
	return tap_main(2, run);
}
