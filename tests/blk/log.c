// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log: every page that the device writes is in it before the used index tells
 * the guest, from the moment on at which logging is on, whatever was in flight then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dirty.h"
#include "scene.h"
#include "tap.h"

#define DATA_GPA 0x80000000ull
#define DATA_PAGES 4096u
#define SLOTS 24u
#define SEGS 12u
/* A page of its own for what the driver writes, and one for what the device does. */
#define HEADER 0
#define STATUS GUEST_PAGE

/* A request that is sent again and again, each time another one. */
struct slot {
	uint64_t at;
	struct seg segs[SEGS + 2];
	unsigned int n;
	bool busy;
};

struct lane {
	struct vq *vq;
	struct slot slots[SLOTS];
	unsigned int of_head[1024];
	/* Used entries from this one on came with the log on. */
	uint16_t logged_from;
};

struct logged {
	struct blk blk;
	const struct way *way;
	struct dirty dirty;
	struct lane lanes[4];
	uint64_t random;
	/* Pages that the device had leave to write since the log is on. */
	uint8_t touched[(DATA_GPA >> 12) + DATA_PAGES];
	/* Pages logged, those of them that it had no leave for, and what was looked for. */
	unsigned long logged, over, requests, checked, missed;
};

static struct logged *logged_new(const struct way *v, const char *path)
{
	struct logged *l = check_ok(mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	l->way = v;
	l->random = 1;
	l->blk = blk_prepare(&(struct blk_setup){ .path = path, .queues = v->queues });
	guest_add(&l->blk.dev->mem, DATA_GPA, DATA_PAGES * GUEST_PAGE);
	for (unsigned int q = 0; q < v->queues; q++) {
		l->lanes[q].vq = l->blk.dev->vqs[q];
		for (unsigned int i = 0; i < SLOTS; i++)
			l->lanes[q].slots[i].at = guest_alloc(&l->blk.dev->mem, 2 * GUEST_PAGE,
							      GUEST_PAGE);
	}
	vdev_start(l->blk.dev);
	l->dirty = dirty_new(l->blk.dev);
	return l;
}

static unsigned int draw(struct logged *l, unsigned int n)
{
	return prng(&l->random) % n;
}

/* Pieces of data, anywhere, some of them where they must be bounced. */
static uint32_t add_data(struct logged *l, struct slot *s, bool write)
{
	static const unsigned int offsets[] = { 0, 0, 0, 512, 1024, 1 };
	unsigned int n = 1 + draw(l, SEGS), offset = offsets[draw(l, ARRAY_SIZE(offsets))];
	uint32_t len, sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		len = SECTOR * (1 + draw(l, 16));
		s->segs[s->n++] = (struct seg){
			.addr = DATA_GPA + draw(l, DATA_PAGES - 3) * (uint64_t)GUEST_PAGE + offset,
			.len = len, .write = write,
		};
		sum += len;
	}
	return sum;
}

/* One of all sorts: most read, some fail. */
static void make(struct logged *l, struct slot *s)
{
	struct virtio_blk_outhdr *hdr = guest_ptr(&l->blk.dev->mem, s->at + HEADER, sizeof(*hdr));
	unsigned int sort = draw(l, 20);
	uint32_t bytes;

	s->n = 0;
	s->segs[s->n++] = (struct seg){ .addr = s->at + HEADER, .len = sizeof(*hdr) };
	*hdr = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_IN };
	if (sort < 2) {
		hdr->type = VIRTIO_BLK_T_FLUSH;
	} else if (sort < 4) {
		hdr->type = VIRTIO_BLK_T_GET_ID;
		s->segs[s->n++] = (struct seg){ .addr = DATA_GPA + draw(l, DATA_PAGES) * 4096ull,
						.len = VIRTIO_BLK_ID_BYTES, .write = true };
	} else {
		if (sort < 8)
			hdr->type = VIRTIO_BLK_T_OUT;
		bytes = add_data(l, s, sort >= 8);
		hdr->sector = draw(l, l->blk.capacity - bytes / SECTOR);
		if (sort == 19)
			hdr->sector = l->blk.capacity;
	}
	s->segs[s->n++] = (struct seg){ .addr = s->at + STATUS, .len = 1, .write = true };
}

static void send_all(struct logged *l)
{
	for (unsigned int q = 0; q < l->way->queues; q++) {
		struct lane *lane = &l->lanes[q];
		bool any = false;

		for (unsigned int i = 0; i < SLOTS; i++) {
			struct slot *s = &lane->slots[i];

			if (s->busy || lane->vq->nfree < SEGS + 2)
				continue;
			make(l, s);
			lane->of_head[vq_add(lane->vq, s->segs, s->n,
					     l->way->indirect ? 0 : VQ_DIRECT)] = i;
			s->busy = any = true;
			l->requests++;
		}
		if (any) {
			vq_publish(lane->vq);
			vq_kick(lane->vq);
		}
	}
}

static void expect_page(struct logged *l, uint64_t gpa, bool logged, const char *what)
{
	l->touched[gpa / GUEST_PAGE] = 1;
	if (!logged)
		return;
	l->checked++;
	if (dirty_has(&l->dirty, gpa))
		return;
	if (!l->missed++)
		diag("%s at 0x%llx is not in the log", what, (unsigned long long)gpa);
}

/* All that is writable of a request that came back, and of the ring that told of it. */
static void look_at(struct logged *l, struct lane *lane, const struct slot *s, bool logged)
{
	uint16_t entry = (lane->vq->last_used - 1) % lane->vq->num;

	for (unsigned int i = 0; i < s->n; i++) {
		uint64_t from = s->segs[i].addr & -GUEST_PAGE;

		if (!s->segs[i].write)
			continue;
		for (; from < s->segs[i].addr + s->segs[i].len; from += GUEST_PAGE)
			expect_page(l, from, logged, i == s->n - 1 ? "a status" : "data");
	}
	expect_page(l, lane->vq->used_gpa, logged, "the used index");
	expect_page(l, lane->vq->used_gpa + sizeof(struct vring_used) +
		       entry * sizeof(struct vring_used_elem), logged, "a used entry");
}

/* Takes what has come; returns how many are out. */
static unsigned int take_all(struct logged *l)
{
	unsigned int out = 0;
	struct used u;

	for (unsigned int q = 0; q < l->way->queues; q++) {
		struct lane *lane = &l->lanes[q];

		while (vq_pop(lane->vq, &u)) {
			struct slot *s = &lane->slots[lane->of_head[u.head]];
			uint16_t number = lane->vq->last_used - 1;

			look_at(l, lane, s, l->dirty.on &&
				(int16_t)(number - lane->logged_from) >= 0);
			s->busy = false;
		}
		for (unsigned int i = 0; i < SLOTS; i++)
			out += lane->slots[i].busy;
	}
	return out;
}

static void run_for(struct logged *l, unsigned int requests)
{
	unsigned long end = l->requests + requests;
	uint64_t last = now_ms() + VQ_WAIT_MS;

	while (l->requests < end) {
		send_all(l);
		if (take_all(l) < SLOTS * l->way->queues)
			last = now_ms() + VQ_WAIT_MS;
		check(now_ms() < last, "nothing comes back");
	}
}

static void finish(struct logged *l)
{
	uint64_t last = now_ms() + VQ_WAIT_MS;

	while (take_all(l))
		check(now_ms() < last, "nothing comes back");
}

static void start_log(struct logged *l)
{
	take_all(l);
	memset(l->touched, 0, sizeof(l->touched));
	dirty_start(&l->dirty);
	for (unsigned int q = 0; q < l->way->queues; q++)
		l->lanes[q].logged_from = vq_used_idx(l->lanes[q].vq);
}

/* Counts what is in the log, and what of that was never given to the device to write. */
static void count_logged(struct logged *l)
{
	for (uint64_t page = 0; page < sizeof(l->touched); page++) {
		if (!(l->dirty.seen[page / 64] >> page % 64 & 1))
			continue;
		l->logged++;
		l->over += !l->touched[page];
	}
}

static void check_log(const struct logged *l)
{
	diag("%lu requests, %lu pages looked for and %lu not found, %lu logged and %lu too many",
	     l->requests, l->checked, l->missed, l->logged, l->over);
	check(l->logged && l->checked > l->logged, "the test shows nothing");
	check(!l->missed, "%lu pages were not logged", l->missed);
	check(l->over * 20 < l->logged, "%lu pages too many were logged", l->over);
}

/* LOG_REQUESTS, from the environment, makes it as many. */
static unsigned long requests(void)
{
	const char *text = getenv("LOG_REQUESTS");

	return strtoul(text && *text ? text : "3000", NULL, 10);
}

/* Logging goes on and off, and to other maps, while requests come and go. */
TEST_V_LIMIT(every_written_page_is_logged, ways, 100)
{
	const char *lower = nullb_new(&(struct nullb){ .mb = 64 });
	struct logged *l = logged_new(v, dm_half_delayed_new(lower, (64 << 20) / SECTOR, 20));

	for (unsigned int round = 0; round < 3 || l->requests < requests(); round++) {
		run_for(l, 60 * v->queues);
		start_log(l);
		run_for(l, 150 * v->queues);
		dirty_sync(&l->dirty);
		run_for(l, 60 * v->queues);
		dirty_move(&l->dirty);
		run_for(l, 150 * v->queues);
		dirty_stop(&l->dirty);
		take_all(l);
		count_logged(l);
	}
	finish(l);
	check_log(l);
}

/* What is in flight when logging begins is logged when it comes. */
TEST_V(in_flight_when_it_begins, ways)
{
	const char *lower = nullb_new(&(struct nullb){ .mb = 64 });
	const char *path = dm_linear_new(lower, (64 << 20) / SECTOR);
	struct logged *l = logged_new(v, path);
	unsigned int out;

	disk_suspend(path);
	send_all(l);
	sleep_ms(patience(300));
	start_log(l);
	out = take_all(l);
	disk_resume(path);
	finish(l);
	check(out > SLOTS * v->queues / 4, "%u were in flight: the test shows nothing", out);
	dirty_stop(&l->dirty);
	count_logged(l);
	check_log(l);
}

/*
 * A descriptor of no bytes, in each place, with the log on: to log nothing is a BUG() in
 * some kernels. What is beside it is logged, and nothing for it.
 */
TEST(zero_length_descriptor_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct dirty dirty = dirty_new(blk.dev);
	uint64_t hdr = guest_alloc(blk.mem, 16, GUEST_PAGE), empty, data, status;

	memset(guest_ptr(blk.mem, hdr, 16), 0, 16);
	for (unsigned int at = 0; at < 4; at++) {
		empty = guest_alloc(blk.mem, GUEST_PAGE, GUEST_PAGE);
		data = guest_alloc(blk.mem, SECTOR, GUEST_PAGE);
		status = guest_alloc(blk.mem, 1, GUEST_PAGE);
		struct seg segs[4], full[] = {
			{ hdr, 16, false }, { data, SECTOR, true }, { status, 1, true },
		};

		*(unsigned char *)guest_ptr(blk.mem, status, 1) = BLK_NO_STATUS;
		for (unsigned int i = 0, from = 0; i < 4; i++)
			segs[i] = i == at ? (struct seg){ empty, 0, at > 1 } : full[from++];
		dirty_start(&dirty);
		vq_submit(blk.vq, segs, 4, VQ_DIRECT);
		check_eq(vq_get(blk.vq).len, SECTOR + 1);
		check_eq(*(unsigned char *)guest_ptr(blk.mem, status, 1), VIRTIO_BLK_S_OK);
		check(dirty_has(&dirty, data) && dirty_has(&dirty, status), "not logged");
		check(!dirty_has(&dirty, empty), "a page is logged for nothing");
		dirty_stop(&dirty);
	}
}

/* A log that is not there: the vq stops, rather than lose a page. */
TEST(log_that_is_not_there_stops_the_vq)
{
	struct logged *l = logged_new(&ways[0], nullb_new(&(struct nullb){ .mb = 16 }));
	const struct blk_io io = { .type = VIRTIO_BLK_T_IN, .in_len = SECTOR };

	start_log(l);
	blk_expect(l->blk.vq, &io, VIRTIO_BLK_S_OK);
	check_ok(mprotect(l->dirty.live, l->dirty.words * sizeof(uint64_t), PROT_NONE));
	blk_add(l->blk.vq, &io);
	blk_send(l->blk.vq);
	vq_must_break(l->blk.vq);
}

/* A log that is too small for the memory is refused, whenever it comes. */
TEST(log_out_of_reach_rejected)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	uint64_t bad = -4096ull;

	check_ok(vdev_set_features(blk.dev, BLK_FEATURES | BIT(VHOST_F_LOG_ALL)));
	check_errno(vdev_request(blk.dev, VHOST_SET_LOG_BASE, &bad), EFAULT);
	check_ok(vdev_set_features(blk.dev, BLK_FEATURES));
	check_ok(vdev_request(blk.dev, VHOST_SET_LOG_BASE, &bad));
	check_errno(vdev_set_features(blk.dev, BLK_FEATURES | BIT(VHOST_F_LOG_ALL)), EFAULT);
}
