// SPDX-License-Identifier: GPL-2.0
/*
 * Random requests, most of them good, spoilt and rewritten while they are read, on
 * four queues, with ioctls in between.
 *
 *	fuzz --seed N --time S		for so many seconds; N as a run told it
 *
 * A round is chosen by the seed and its own number alone. A model (blk_model.h) is
 * given the same requests, and says what each must end with, spoilt or not: status,
 * used length, data, what the disk holds, where a queue stops, what a stop of the
 * device leaves. A second thread rewrites the requests of some queues while the device
 * reads them. Of these nothing is known but that they are answered, or stop with an
 * error; they write to a part of the disk of their own, and the others are judged as
 * ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "blk_model.h"
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
/* The whole disk is read back once in so many rounds; in between, in turn, a part. */
#define READ_BACK_ROUNDS 16
#define WRITABLE_PARTS 4

/* What a round does beside good requests. */
enum { GOOD, SPOILT, RACED, SHAKEN, MODES };

struct fuzz {
	uint64_t seed, random, race_random;
	unsigned long round, requests, stops, flips, ioctls;
	unsigned int depth;
	struct blk blk;
	struct gen gen[QUEUES];
	int kick[QUEUES][2];
	int workers[WORKERS];
	int config_call;
	/* An error was seen; the second thread has it; its index has jumped. */
	bool stopped[QUEUES], raced[QUEUES], jumped[QUEUES];
	struct blk_model model;
	/* Where the disk is read back to, and by which descriptor. */
	unsigned char *disk;
	int raw;
	pthread_t racer;
	atomic_bool race_ends;
};

#define must(f, cond, fmt, ...)						\
	check(cond, "seed %llu, round %lu: " fmt, (unsigned long long)(f)->seed,	\
	      (f)->round, ##__VA_ARGS__)

/* For what the models say. */
#define must_be_right(f, said)						\
	do {								\
		const char *said_ = (said);				\
		must(f, !said_, "%s", said_);				\
	} while (0)
#define must_be_right_on(f, q, said)					\
	do {								\
		const char *said_ = (said);				\
		must(f, !said_, "queue %u: %s", q, said_);		\
	} while (0)

static uint64_t below(struct fuzz *f, uint64_t n)
{
	return prng(&f->random) % n;
}

/* The device and its model */

static void fill_disk(struct fuzz *f)
{
	size_t len = (size_t)GEN_DISK_MB << 20;
	unsigned char *data = malloc(len);

	gen_fill(data, len, 3);
	device_write(f->blk.path, 0, data, len);
	disk_init(&f->model.disk, data, GEN_DISK_SECTORS);
	check(!posix_memalign((void **)&f->disk, GUEST_PAGE, len), "out of memory");
	f->raw = check_ok(open(f->blk.path, O_RDONLY | O_DIRECT | O_CLOEXEC));
}

static void read_back(struct fuzz *f, uint64_t sector, uint64_t n)
{
	check_eq(pread(f->raw, f->disk, n * SECTOR, sector * SECTOR), n * SECTOR);
	must_be_right(f, disk_read_back(&f->model.disk, sector, n, f->disk));
}

static void set_serial(struct fuzz *f)
{
	struct vhost_blk_serial serial;

	gen_fill(&serial, sizeof(serial), 4);
	check_ok(ioctl(f->blk.dev->fd, VHOST_BLK_SET_SERIAL, &serial));
	memcpy(f->model.id, &serial, sizeof(serial));
}

/* The limits that a driver is told. */
static void model_limits(struct fuzz *f)
{
	struct vhost_blk_config answer;
	struct virtio_blk_config config;

	check_ok(blk_get_config(f->blk.dev, f->blk.fd, &answer));
	memcpy(&config, answer.config, sizeof(config));
	check_eq(le64toh(config.capacity), GEN_DISK_SECTORS);
	f->model.features = f->blk.dev->features;
	f->model.max_discard = le32toh(config.max_discard_sectors);
	f->model.max_discard_seg = le32toh(config.max_discard_seg);
	f->model.max_write_zeroes = le32toh(config.max_write_zeroes_sectors);
	f->model.max_write_zeroes_seg = le32toh(config.max_write_zeroes_seg);
}

static void model_memory(struct fuzz *f)
{
	struct memory_model *memory = &f->model.memory;

	memory_init(memory, f->blk.mem);
	memory_track(memory, gen_canary_region());
	memory_track(memory, gen_status_region());
	for (unsigned int q = 0; q < QUEUES; q++) {
		struct vq *vq = f->blk.dev->vqs[q];

		ring_model_init(&f->model.ring[q], memory, vq->num, vq->desc, vq->avail, vq->used);
		for (unsigned int i = 0; i < GEN_SLOTS; i++)
			memory_track(memory, gen_data_region(q, i));
	}
}

static void fuzz_open(struct fuzz *f)
{
	uint64_t event_idx = f->seed % 2 ? BIT(VIRTIO_RING_F_EVENT_IDX) : 0;

	f->blk = blk_prepare(&(struct blk_setup){
		.disk = { .mb = GEN_DISK_MB, .delay_ms = f->seed / 2 % 2,
			  .attributes = "discard=1" },
		.queues = QUEUES, .num = GEN_RING, .memory = 16 << 20,
		.features = BLK_FEATURES | GEN_FEATURES | event_idx });
	gen_add_memory(f->blk.mem);
	check_ok(vdev_set_mem_table(f->blk.dev));
	fill_disk(f);
	set_serial(f);
	model_limits(f);
	model_memory(f);
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
	read_back(f, 0, GEN_DISK_SECTORS);
	must_be_right(f, memory_check(&f->model.memory));
	close(f->blk.dev->fd);
	close(f->blk.fd);
	close(f->raw);
	must(f, now_ms() - before < END_MS, "stop and close took %llu ms",
	     (unsigned long long)(now_ms() - before));
	check_released(pins, END_MS);
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
	uint64_t random = f->race_random, one = 1;
	struct gen_flip flip;

	while (!atomic_load(&f->race_ends)) {
		unsigned int q = prng(&random) % QUEUES;
		struct gen *gen = &f->gen[q];

		if (!f->raced[q] || !gen_flip(gen, prng(&random) % f->depth, &random, &flip))
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

/* What has come */

static struct ring_model *ring_of(struct fuzz *f, unsigned int q)
{
	return &f->model.ring[q];
}

/* Of a queue that the second thread has: no more answers than requests, to some of these. */
static void check_raced(struct fuzz *f, unsigned int q)
{
	struct vq *vq = f->blk.dev->vqs[q];
	uint16_t used = vq_used_idx(vq);

	must(f, f->jumped[q] || (int16_t)(vq->avail_idx - used) >= 0,
	     "queue %u: used %u, avail %u", q, used, vq->avail_idx);
	for (; vq->last_used != used; vq->last_used++)
		must(f, le32toh(vq->used->ring[vq->last_used % vq->num].id) < vq->num,
		     "queue %u: used entry %u is of no head", q, vq->last_used);
}

/* Judges what has come of a queue. */
static void collect(struct fuzz *f, unsigned int q)
{
	if (f->raced[q])
		check_raced(f, q);
	else
		must_be_right_on(f, q, blk_model_collect(&f->model, q));
}

static void look_for_error(struct fuzz *f, unsigned int q)
{
	if (!event_take(f->blk.dev->vqs[q]->err))
		return;
	must(f, f->raced[q] || ring_of(f, q)->stops, "queue %u stopped over good requests", q);
	f->stopped[q] = true;
	f->stops++;
}

/* Is the queue at rest, with everything answered or with an error? */
static bool at_rest(struct fuzz *f, unsigned int q)
{
	struct vq *vq = f->blk.dev->vqs[q];

	look_for_error(f, q);
	collect(f, q);
	if (f->raced[q])
		return f->stopped[q] || f->jumped[q] || vq_used_idx(vq) == vq->avail_idx;
	return !ring_of(f, q)->nout && ring_of(f, q)->stops == f->stopped[q];
}

/* Of all queues, or of those that are judged: the first that is not, when time is up. */
static unsigned int wait_at_rest(struct fuzz *f, bool all, unsigned int ms)
{
	uint64_t end = now_ms() + ms;
	unsigned int q;

	do {
		for (q = 0; q < QUEUES && ((f->raced[q] && !all) || at_rest(f, q)); q++)
			;
	} while (q < QUEUES && now_ms() < end && !usleep(100));
	return q;
}

static void must_rest(struct fuzz *f, bool all)
{
	unsigned int q = wait_at_rest(f, all, VQ_WAIT_MS);

	must(f, q == QUEUES, "queue %u: neither all answers nor an error: used %u, avail %u", q,
	     vq_used_idx(f->blk.dev->vqs[q]), f->blk.dev->vqs[q]->avail_idx);
}

/* Stop and start */

/* A queue that must stop has, so that it is known what a start does with it. */
static void await_stops(struct fuzz *f)
{
	uint64_t end = now_ms() + VQ_WAIT_MS;

	for (unsigned int q = 0; q < QUEUES; q++)
		while (!f->raced[q] && ring_of(f, q)->stops && !f->stopped[q]) {
			must(f, now_ms() < end, "queue %u does not stop", q);
			usleep(100);
			look_for_error(f, q);
		}
}

/* All that was taken has been answered by now, and nothing else. */
static void stop(struct fuzz *f)
{
	vdev_stop(f->blk.dev);
	for (unsigned int q = 0; q < QUEUES; q++) {
		collect(f, q);
		look_for_error(f, q);
		if (!f->raced[q])
			must_be_right_on(f, q, ring_model_drained(ring_of(f, q),
								  vq_get_base(f->blk.dev->vqs[q])));
	}
}

/* A queue that has stopped goes on where it did, and may stop there again. */
static void resume(struct fuzz *f)
{
	for (unsigned int q = 0; q < QUEUES; q++) {
		struct vq *vq = f->blk.dev->vqs[q];

		if (f->raced[q] || !f->stopped[q])
			continue;
		f->stopped[q] = false;
		/* Of an index that jumps two errors are told. */
		event_take(vq->err);
		ring_model_resume(ring_of(f, q), vq_get_base(vq));
		blk_model_publish(&f->model, q, vq->avail_idx);
	}
}

static void attach(struct fuzz *f)
{
	resume(f);
	must(f, !f->blk.dev->ops->attach(f->blk.dev), "attach: %m");
}

/* Ioctls: those that are refused must be, the others must go. */

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
		await_stops(f);
		stop(f);
		usleep(below(f, 3000));
		attach(f);
		break;
	case 1:
		await_stops(f);
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
	disk_put(&f->model.disk, vq->index, data);
}

/* Which queues the second thread has: not all of them. */
static void choose_raced(struct fuzz *f, unsigned int mode)
{
	unsigned int mask = mode < RACED ? 0 : below(f, (1 << QUEUES) - 1);

	if (mode == RACED && !mask)
		mask = 1 << below(f, QUEUES);
	for (unsigned int q = 0; q < QUEUES; q++)
		f->raced[q] = mask >> q & 1;
}

/* Those write to the end of the disk: what they spoil leads back to nothing before it. */
static struct gen_zone zone_of(const struct fuzz *f, unsigned int q, unsigned int mode)
{
	if (mode < RACED)
		return (struct gen_zone){ GEN_FIRST_SECTOR, GEN_WRITABLE_BITS };
	if (f->raced[q])
		return (struct gen_zone){ GEN_LAST_SECTOR, GEN_LAST_BITS };
	return (struct gen_zone){ GEN_FIRST_SECTOR, GEN_HALF_BITS };
}

static void queue_begin(struct fuzz *f, unsigned int q, unsigned int mode)
{
	struct vq *vq = f->blk.dev->vqs[q];

	f->stopped[q] = f->jumped[q] = false;
	vq->kick = f->kick[q][0];
	event_take(f->kick[q][1]);
	vq_reset(vq);
	vq_setup(vq);
	gen_seed(&f->gen[q], prng(&f->random), zone_of(f, q, mode));
	ring_model_start(ring_of(f, q), 0, 0);
}

/* What may be there while the second thread is at work. */
static const struct span raced_end = { GEN_LAST_SECTOR, 1 << GEN_LAST_BITS };

static void round_begin(struct fuzz *f, unsigned int mode)
{
	f->random = f->seed * 0x9e3779b97f4a7c15ull + f->round;
	f->depth = 1 + below(f, GEN_SLOTS);
	choose_raced(f, mode);
	for (unsigned int q = 0; q < QUEUES; q++)
		queue_begin(f, q, mode);
	unshake(f);
	attach(f);
	for (unsigned int q = 0; q < QUEUES; q++) {
		struct vq *vq = f->blk.dev->vqs[q];

		probe(f, vq);
		/* Its descriptors are not where the generator has such. */
		memset(vq->desc, 0, 16 * GEN_RING);
		ring_model_start(ring_of(f, q), vq->avail_idx, vq->last_used);
	}
	if (mode >= RACED)
		transfer_begin(&f->model.disk, f, DISK_ANYTHING, &raced_end, NULL);
}

/* As its place says, or anywhere. What that leads to is the model's to know. */
static void publish(struct fuzz *f, unsigned int q, bool jump)
{
	struct vq *vq = f->blk.dev->vqs[q];
	uint16_t idx = vq->avail_idx;

	if (jump)
		idx += below(f, 65536);
	if (!f->raced[q]) {
		blk_model_publish(&f->model, q, idx);
		vq->avail_idx = idx;
	} else if (jump) {
		f->jumped[q] = true;
	}
	vq_put_avail_idx(vq, idx);
}

static void send_batch(struct fuzz *f, unsigned int q, unsigned int mode)
{
	/* Where stops are to meet requests that are out there must be some. */
	unsigned int spoilt = mode == SHAKEN && !f->raced[q] ? 48 : 12;
	bool jump = mode != GOOD && below(f, 200) == 0;
	unsigned int n = 1 + below(f, f->depth);

	for (unsigned int i = 0; i < n; i++) {
		gen_request(&f->gen[q], i);
		/* The driver has written its status byte. */
		memory_accept_range(&f->model.memory, f->gen[q].slot[i].status_gpa, 1);
		if (mode != GOOD && below(f, spoilt) == 0)
			gen_spoil(&f->gen[q], i);
	}
	f->requests += n;
	publish(f, q, jump);
	if (below(f, 8) && !jump)
		vq_kick(f->blk.dev->vqs[q]);
	else
		vq_kick_always(f->blk.dev->vqs[q]);
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
			if (f->raced[q] || !f->stopped[q])
				send_batch(f, q, mode);
		if (mode == SHAKEN && below(f, 12) == 0)
			shake(f);
		wait_at_rest(f, true, PACE_MS);
		must_rest(f, false);
	}
}

static void race_begin(struct fuzz *f)
{
	atomic_store(&f->race_ends, false);
	f->race_random = prng(&f->random);
	check(!pthread_create(&f->racer, NULL, race, f), "no thread");
}

static void race_end(struct fuzz *f)
{
	atomic_store(&f->race_ends, true);
	pthread_join(f->racer, NULL);
}

/* What the queues of the second thread have written is as it is. */
static void accept_raced(struct fuzz *f)
{
	for (unsigned int q = 0; q < QUEUES; q++) {
		if (!f->raced[q])
			continue;
		for (unsigned int i = 0; i < GEN_SLOTS; i++) {
			memory_accept_region(&f->model.memory, gen_data_region(q, i));
			memory_accept_range(&f->model.memory, f->gen[q].slot[i].status_gpa,
					    GEN_STRIDE);
		}
	}
}

/*
 * What was not to be written was not, and what was written is there. To look at all of
 * it takes longer than a round.
 */
static void check_untouched(struct fuzz *f, unsigned int mode)
{
	uint64_t part = (1 << GEN_WRITABLE_BITS) / WRITABLE_PARTS;

	if (mode == SPOILT || mode == SHAKEN)
		must_be_right(f, memory_check(&f->model.memory));
	if (f->round % READ_BACK_ROUNDS == READ_BACK_ROUNDS - 1)
		read_back(f, 0, GEN_DISK_SECTORS);
	else if (mode == SHAKEN)
		read_back(f, raced_end.sector, raced_end.sectors);
	else if (mode == SPOILT)
		read_back(f, GEN_FIRST_SECTOR + f->round / MODES % WRITABLE_PARTS * part, part);
}

static void round_end(struct fuzz *f, unsigned int mode)
{
	must_rest(f, true);
	stop(f);
	if (mode >= RACED)
		transfer_end(&f->model.disk, f, &raced_end, false);
	accept_raced(f);
	check_untouched(f, mode);
}

static void play(struct fuzz *f)
{
	unsigned int mode = f->round % MODES;

	round_begin(f, mode);
	if (mode >= RACED)
		race_begin(f);
	send_all(f, mode);
	if (mode >= RACED)
		race_end(f);
	round_end(f, mode);
	f->round++;
}

static void fuzz(uint64_t seed, unsigned int ms)
{
	struct fuzz *f = calloc(1, sizeof(*f));
	uint64_t end = now_ms() + ms, last = end + patience(15000);
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
	diag("%lu requests judged, %lu that shared memory", f->model.judged, f->model.shared);
	check(f->round >= MODES, "%lu rounds: too few to show anything", f->round);
	check(f->model.judged > 10 * f->model.shared, "too few were judged");
	free(f);
}

/* Half a minute in all: both ways of notifying, a disk that answers at once or later. */
static const struct {
	const char *name;
	uint64_t seed;
} seeds[] = { { "seed_1", 1 }, { "seed_2", 2 }, { "seed_3", 3 }, { "seed_4", 4 } };

TEST_V_LIMIT(random_requests, seeds, 150)
{
	fuzz(v->seed, stress_ms(7000));
}

/* For longer, and by a seed that is given: in the environment, for tests/run. */

static void longer(const void *none)
{
	const char *seed = getenv("FUZZ_SEED");

	(void)none;
	fuzz(seed && *seed ? strtoull(seed, NULL, 0) : now_ms() * 2654435761u % 1000000007,
	     1000 * atoi(getenv("FUZZ_TIME")));
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
