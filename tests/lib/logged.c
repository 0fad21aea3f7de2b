// SPDX-License-Identifier: GPL-2.0
/* A device at work and its dirty log: see logged.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "logged.h"
#include "tap.h"

#define DATA_GPA 0x80000000ull
#define DATA_PAGES 4096u
#define PAGES ((DATA_GPA >> 12) + DATA_PAGES)

static void *memory_new(size_t len)
{
	return check_ok(mmap(NULL, len, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
}

static void mark(uint8_t *map, uint64_t gpa, uint64_t len)
{
	for (uint64_t page = gpa / GUEST_PAGE; page <= (gpa + len - 1) / GUEST_PAGE; page++)
		map[page] = 1;
}

static void lane_init(struct logged *l, struct logged_lane *lane, struct vq *vq)
{
	lane->vq = vq;
	mark(l->drivers, vq->desc_gpa, vq->num * sizeof(struct vring_desc));
	mark(l->drivers, vq->avail_gpa, sizeof(struct vring_avail) + 2 * vq->num);
	for (unsigned int i = 0; i < LOGGED_SLOTS; i++) {
		struct logged_slot *s = &lane->slots[i];

		s->driver = guest_alloc(&l->dev->mem, GUEST_PAGE, GUEST_PAGE);
		s->device = guest_alloc(&l->dev->mem, GUEST_PAGE, GUEST_PAGE);
		mark(l->drivers, s->driver, GUEST_PAGE);
	}
}

struct logged *logged_new(struct vdev *dev, unsigned int first, const struct way *way,
			  void (*make)(struct logged *l, struct logged_slot *s),
			  uint64_t sectors)
{
	struct logged *l = memory_new(sizeof(*l));

	*l = (struct logged){ .dev = dev, .way = way, .make = make, .sectors = sectors,
			      .random = 1, .touched = memory_new(PAGES),
			      .drivers = memory_new(PAGES) };
	guest_add(&dev->mem, DATA_GPA, DATA_PAGES * GUEST_PAGE);
	/* So that what is read there, or written and read, changes it. */
	fill(guest_ptr(&dev->mem, DATA_GPA, DATA_PAGES * GUEST_PAGE), DATA_PAGES * GUEST_PAGE, 1);
	for (unsigned int q = 0; q < way->queues; q++)
		lane_init(l, &l->lanes[q], dev->vqs[first + q]);
	for (unsigned int i = 0; i < dev->mem.nregions; i++)
		l->shadow[i] = memory_new(dev->mem.region[i].size);
	vdev_start(dev);
	l->dirty = dirty_new(dev);
	return l;
}

unsigned int logged_draw(struct logged *l, unsigned int n)
{
	return prng(&l->random) % n;
}

static void add_piece(struct logged *l, struct logged_slot *s, uint32_t len, bool write,
		      unsigned int offset)
{
	s->segs[s->n++] = (struct seg){
		.addr = DATA_GPA + logged_draw(l, DATA_PAGES - 3) * (uint64_t)GUEST_PAGE + offset,
		.len = len, .write = write,
	};
}

void logged_add_piece(struct logged *l, struct logged_slot *s, uint32_t len, bool write)
{
	add_piece(l, s, len, write, 0);
}

/* Anywhere, some of them where they must be bounced. */
uint32_t logged_add_data(struct logged *l, struct logged_slot *s, bool write)
{
	static const unsigned int offsets[] = { 0, 0, 0, 512, 1024, 1 };
	unsigned int n = 1 + logged_draw(l, LOGGED_PIECES);
	unsigned int offset = offsets[logged_draw(l, ARRAY_SIZE(offsets))];
	uint32_t len, sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		len = SECTOR * (1 + logged_draw(l, 16));
		add_piece(l, s, len, write, offset);
		sum += len;
	}
	return sum;
}

static void send_one(struct logged *l, struct logged_lane *lane, unsigned int i)
{
	struct logged_slot *s = &lane->slots[i];
	struct vq_chain *chain;
	uint16_t head;

	s->n = 0;
	l->make(l, s);
	head = vq_add(lane->vq, s->segs, s->n, l->way->indirect ? 0 : VQ_DIRECT);
	chain = &lane->vq->chain[head];
	if (chain->table_size)
		mark(l->drivers, chain->table, chain->table_size * sizeof(struct vring_desc));
	lane->of_head[head] = i;
	s->busy = true;
	l->requests++;
}

void logged_send(struct logged *l)
{
	for (unsigned int q = 0; q < l->way->queues; q++) {
		struct logged_lane *lane = &l->lanes[q];
		unsigned long before = l->requests;

		for (unsigned int i = 0; i < LOGGED_SLOTS; i++)
			if (!lane->slots[i].busy && lane->vq->nfree >= LOGGED_SEGS)
				send_one(l, lane, i);
		if (l->requests != before) {
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
static void look_at(struct logged *l, struct logged_lane *lane, const struct logged_slot *s,
		    bool logged)
{
	uint16_t entry = (lane->vq->last_used - 1) % lane->vq->num;

	for (unsigned int i = 0; i < s->n; i++) {
		uint64_t from = s->segs[i].addr & -GUEST_PAGE;

		if (!s->segs[i].write)
			continue;
		for (; from < s->segs[i].addr + s->segs[i].len; from += GUEST_PAGE)
			expect_page(l, from, logged,
				    s->segs[i].addr == s->device ? "an answer" : "data");
	}
	expect_page(l, lane->vq->used_gpa, logged, "the used index");
	expect_page(l, lane->vq->used_gpa + sizeof(struct vring_used) +
		       entry * sizeof(struct vring_used_elem), logged, "a used entry");
}

unsigned int logged_take(struct logged *l)
{
	unsigned int out = 0;
	struct used u;

	for (unsigned int q = 0; q < l->way->queues; q++) {
		struct logged_lane *lane = &l->lanes[q];

		while (vq_pop(lane->vq, &u)) {
			struct logged_slot *s = &lane->slots[lane->of_head[u.head]];
			uint16_t number = lane->vq->last_used - 1;

			look_at(l, lane, s, l->dirty.on &&
				(int16_t)(number - lane->logged_from) >= 0);
			s->busy = false;
		}
		for (unsigned int i = 0; i < LOGGED_SLOTS; i++)
			out += lane->slots[i].busy;
	}
	return out;
}

static void run_for(struct logged *l, unsigned int requests)
{
	unsigned long end = l->requests + requests * l->way->queues;
	uint64_t last = now_ms() + VQ_WAIT_MS;

	while (l->requests < end) {
		logged_send(l);
		if (logged_take(l) < LOGGED_SLOTS * l->way->queues)
			last = now_ms() + VQ_WAIT_MS;
		check(now_ms() < last, "nothing comes back");
	}
}

void logged_finish(struct logged *l)
{
	uint64_t last = now_ms() + VQ_WAIT_MS;

	while (logged_take(l))
		check(now_ms() < last, "nothing comes back");
}

/* The copy is made with the log on: what changes from then on has to be in it. */
void logged_start(struct logged *l)
{
	const struct guest *g = &l->dev->mem;

	logged_take(l);
	memset(l->touched, 0, PAGES);
	for (unsigned int q = 0; q < l->way->queues; q++) {
		const struct vq *vq = l->lanes[q].vq;

		/* Its flags, or the kick event, are written at any time. */
		mark(l->touched, vq->used_gpa, sizeof(struct vring_used) +
			vq->num * sizeof(struct vring_used_elem) + sizeof(uint16_t));
	}
	dirty_start(&l->dirty);
	for (unsigned int q = 0; q < l->way->queues; q++)
		l->lanes[q].logged_from = vq_used_idx(l->lanes[q].vq);
	for (unsigned int i = 0; i < g->nregions; i++)
		memcpy(l->shadow[i], g->region[i].hva, g->region[i].size);
}

static void compare_page(struct logged *l, uint64_t gpa, const void *is, const void *was)
{
	if (l->drivers[gpa / GUEST_PAGE] || !memcmp(is, was, GUEST_PAGE))
		return;
	l->changed++;
	if (dirty_has(&l->dirty, gpa))
		return;
	if (!l->unlogged++)
		diag("the page at 0x%llx has changed and is not in the log",
		     (unsigned long long)gpa);
}

/* All memory beside what it was; nothing may be in flight, which may write and be not told of. */
static void compare(struct logged *l)
{
	const struct guest *g = &l->dev->mem;

	for (unsigned int i = 0; i < g->nregions; i++)
		for (uint64_t at = 0; at < g->region[i].size; at += GUEST_PAGE)
			compare_page(l, g->region[i].gpa + at, g->region[i].hva + at,
				     l->shadow[i] + at);
}

/* What is in the log, and what of that was never given to the device to write. */
void logged_stop(struct logged *l)
{
	dirty_stop(&l->dirty);
	logged_take(l);
	for (uint64_t page = 0; page < PAGES; page++) {
		if (!(l->dirty.seen[page / 64] >> page % 64 & 1))
			continue;
		l->logged++;
		l->over += !l->touched[page];
	}
}

void logged_check(const struct logged *l)
{
	diag("%lu requests, %lu pages looked for, %lu not in the log, %lu found changed, %lu not "
	     "in the log, %lu logged and %lu too many", l->requests, l->checked, l->missed,
	     l->changed, l->unlogged, l->logged, l->over);
	check(l->logged && l->checked > l->logged, "the test shows nothing");
	check(!l->missed && !l->unlogged, "%lu pages were not logged", l->missed + l->unlogged);
	check(l->over * 20 < l->logged, "%lu pages too many were logged", l->over);
}

static unsigned long requests_wanted(void)
{
	const char *text = getenv("LOG_REQUESTS");

	return strtoul(text && *text ? text : "3000", NULL, 10);
}

/* Each sector gets a word that it never had: what is read there changes the page. */
static void rename_data(struct logged *l, uint64_t round)
{
	unsigned char *data = guest_ptr(&l->dev->mem, DATA_GPA, DATA_PAGES * GUEST_PAGE);

	for (uint64_t i = 0; i < DATA_PAGES * GUEST_PAGE / SECTOR; i++) {
		uint64_t word = round << 32 | i;

		memcpy(data + i * SECTOR, &word, sizeof(word));
	}
}

static void run_round(struct logged *l)
{
	run_for(l, 60);
	logged_start(l);
	run_for(l, 150);
	dirty_sync(&l->dirty);
	run_for(l, 60);
	dirty_move(&l->dirty);
	run_for(l, 150);
}

/* The log ends in turns with nothing in flight, when all memory is compared, and in the middle. */
void logged_run(struct logged *l)
{
	unsigned long before, compared = 0;

	for (unsigned int round = 0; round < 4 || l->requests < requests_wanted(); round += 2) {
		rename_data(l, round + 1);
		run_round(l);
		logged_finish(l);
		compare(l);
		before = l->logged;
		logged_stop(l);
		compared += l->logged - before;

		run_round(l);
		logged_stop(l);
		logged_finish(l);
	}
	logged_check(l);
	check(l->changed * 4 > compared, "few pages have changed: the test shows little");
}
