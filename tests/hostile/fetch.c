// SPDX-License-Identifier: GPL-2.0
/*
 * Row 5: a second thread rewrites what the device reads while it is kicked. What
 * was judged must be what is done: no byte changes that no state of the request
 * allows, the queue is answered or stops, and all others go on.
 */
#include <endian.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "scene.h"
#include "tap.h"

#define LEN 4096
/* What the disk has below the bystanders' sectors. */
#define DISK_BYTES (SCENE_SECTORS * SECTOR)
#define RACE_MS 200

static unsigned char disk[DISK_BYTES], now[DISK_BYTES];
static unsigned long all_rounds, all_stops;

/* A word that has two values in turn. */
struct racer {
	void *at;
	unsigned int size;
	uint64_t value[2];
	atomic_bool stop;
	pthread_t thread;
};

static void put_word(const struct racer *r, uint64_t value)
{
	if (r->size == 2)
		__atomic_store_n((uint16_t *)r->at, htole16(value), __ATOMIC_RELAXED);
	else if (r->size == 4)
		__atomic_store_n((uint32_t *)r->at, htole32(value), __ATOMIC_RELAXED);
	else
		__atomic_store_n((uint64_t *)r->at, htole64(value), __ATOMIC_RELAXED);
}

static void *race(void *arg)
{
	struct racer *r = arg;

	for (unsigned int i = 0; !atomic_load(&r->stop); i++)
		put_word(r, r->value[i % 2]);
	return NULL;
}

static void racer_start(struct racer *r)
{
	atomic_store(&r->stop, false);
	check(!pthread_create(&r->thread, NULL, race, r), "no thread");
}

static void racer_stop(struct racer *r)
{
	atomic_store(&r->stop, true);
	pthread_join(r->thread, NULL);
	put_word(r, r->value[0]);
}

/*
 * What races. The two values differ in bits such that any mixture of their bytes
 * is one that must be refused, or one of the two: a copy need not be atomic.
 */
static struct racer racer_of(void *at, unsigned int size, uint64_t good, uint64_t bits)
{
	return (struct racer){ .at = at, .size = size, .value = { good, good ^ bits } };
}

static struct racer type_of(struct chain *c, uint64_t bits)
{
	return racer_of(&c->hdr->type, 4, le32toh(c->hdr->type), bits);
}

static struct racer sector_of(struct chain *c, uint64_t bits)
{
	return racer_of(&c->hdr->sector, 8, 0, bits);
}

static struct racer addr_of(struct chain *c, uint64_t bits)
{
	return racer_of(&c->d[1]->addr, 8, c->data_gpa, bits);
}

static struct racer len_of(struct chain *c, uint64_t bits)
{
	return racer_of(&c->d[1]->len, 4, LEN, bits);
}

static struct racer flags_of(struct chain *c, uint64_t bits)
{
	return racer_of(&c->d[1]->flags, 2, le16toh(c->d[1]->flags), bits);
}

static struct racer next_of(struct chain *c, uint64_t bits)
{
	return racer_of(&c->d[1]->next, 2, le16toh(c->d[1]->next), bits);
}

static struct racer table_len_of(struct chain *c, uint64_t bits)
{
	return racer_of(&c->table->len, 4, 3 * 16, bits);
}

static struct racer table_addr_of(struct chain *c, uint64_t bits)
{
	return racer_of(&c->table->addr, 8, le64toh(c->table->addr), bits);
}

static struct racer head_of(struct chain *c, uint64_t bits)
{
	return racer_of(&c->vq->avail->ring[0], 2, c->head, bits);
}

enum { IN_TABLE = 1, IN_RING = 2 };

#define TOP_BYTE (0xffull << 56)

static const struct race {
	const char *name;
	uint32_t type;
	struct racer (*what)(struct chain *c, uint64_t bits);
	uint64_t bits;
	unsigned int only;	/* with descriptors there */
} races[] = {
	{ "type_of_a_read", VIRTIO_BLK_T_IN, type_of, VIRTIO_BLK_T_OUT },
	{ "type_of_a_write", VIRTIO_BLK_T_OUT, type_of, VIRTIO_BLK_T_OUT },
	{ "write_or_get_id", VIRTIO_BLK_T_OUT, type_of, VIRTIO_BLK_T_OUT ^ VIRTIO_BLK_T_GET_ID },
	{ "write_at_the_end", VIRTIO_BLK_T_OUT, sector_of, 0x8000 },
	{ "write_far_behind", VIRTIO_BLK_T_OUT, sector_of, ~0xffffull },
	{ "read_at_the_end", VIRTIO_BLK_T_IN, sector_of, 0x8000 },
	{ "address_in_a_hole", VIRTIO_BLK_T_IN, addr_of, TOP_BYTE },
	{ "address_misaligned", VIRTIO_BLK_T_OUT, addr_of, 1 },
	{ "length_or_none", VIRTIO_BLK_T_IN, len_of, LEN },
	{ "length_odd", VIRTIO_BLK_T_IN, len_of, 1 },
	{ "length_of_4_gib", VIRTIO_BLK_T_IN, len_of, 0xff000000 },
	{ "write_or_not_of_a_read", VIRTIO_BLK_T_IN, flags_of, VRING_DESC_F_WRITE },
	{ "write_or_not_of_a_write", VIRTIO_BLK_T_OUT, flags_of, VRING_DESC_F_WRITE },
	{ "next_or_not_of_a_read", VIRTIO_BLK_T_IN, flags_of, VRING_DESC_F_NEXT },
	{ "next_or_not_of_a_write", VIRTIO_BLK_T_OUT, flags_of, VRING_DESC_F_NEXT },
	{ "indirect_or_not", VIRTIO_BLK_T_OUT, flags_of, VRING_DESC_F_INDIRECT },
	{ "next_out_of_range", VIRTIO_BLK_T_IN, next_of, 0xff00, IN_RING },
	{ "next_is_itself", VIRTIO_BLK_T_IN, next_of, 3, IN_RING },
	{ "table_shorter", VIRTIO_BLK_T_IN, table_len_of, 16, IN_TABLE },
	{ "table_of_4_gib", VIRTIO_BLK_T_IN, table_len_of, 0xff000000, IN_TABLE },
	{ "table_in_a_hole", VIRTIO_BLK_T_IN, table_addr_of, TOP_BYTE, IN_TABLE },
	{ "head_out_of_range", VIRTIO_BLK_T_IN, head_of, 0xff00 },
};

/* An answer, or the end of the vq: false. */
static bool answered(struct vq *vq)
{
	struct pollfd p[] = { { vq->call, POLLIN, 0 }, { vq->err, POLLIN, 0 } };

	check(poll(p, 2, VQ_WAIT_MS) > 0, "neither an answer nor an error");
	event_take(vq->call);
	if (p[1].revents)
		return false;
	vq->last_used = vq_used_idx(vq);
	return true;
}

static bool is_all(const unsigned char *p, unsigned char byte)
{
	for (unsigned int i = 0; i < LEN; i++)
		if (p[i] != byte)
			return false;
	return true;
}

/*
 * The chain is there once, and is sent again and again. What a write has is always
 * new, and what a read is for never what the disk has, so that one in the place of
 * the other shows.
 */
static bool rounds(const struct race *r, struct chain *c, uint64_t end, unsigned long *n)
{
	bool alive, write = r->type == VIRTIO_BLK_T_OUT;
	struct vq *vq = c->vq;

	/* The first slot may be racing. */
	for (unsigned int i = 1; i < vq->num; i++)
		vq->avail->ring[i] = htole16(c->head);
	vq->avail_idx = vq->published_idx;
	do {
		memset(c->data, write ? *n : BLK_UNTOUCHED, LEN);
		vq->avail_idx++;
		chain_send(c);
		alive = answered(vq);
		check(!write || is_all(c->data, *n), "%s: a readable buffer was changed", r->name);
		++*n;
	} while (alive && now_ms() < end);
	return alive;
}

/* Of the disk, the write's sectors only, and to what one of the requests had. */
static void check_disk(const struct race *r, const char *path)
{
	device_read(path, 0, now, DISK_BYTES);
	if (r->type == VIRTIO_BLK_T_OUT && (r->what == addr_of || is_all(now, now[0])))
		memcpy(disk, now, LEN);
	check_same(now, disk, DISK_BYTES, r->name);
}

static void run_race(struct scene *s, const struct race *r)
{
	uint64_t end = now_ms() + RACE_MS, mark = guest_mark(s->blk.mem);
	unsigned long n = 0, stops = 0;
	struct racer racer;
	struct chain c;

	while (now_ms() < end) {
		guest_release(s->blk.mem, mark);
		/* The ring from its first slot on, so that head_of knows the slot. */
		scene_restart(s);
		c = chain_put(s, r->type, 0, LEN);
		racer = r->what(&c, r->bits);
		racer_start(&racer);
		stops += !rounds(r, &c, end, &n);
		racer_stop(&racer);
		chain_check_guards(&c, r->name);
	}
	check_disk(r, s->blk.path);
	scene_probe_others(s);
	all_rounds += n;
	all_stops += stops;
}

TEST_WAYS_LIMIT(rewritten_while_it_is_read, ways, 90)
{
	struct scene s = scene_start(v);

	fill(disk, DISK_BYTES, 1);
	device_write(s.blk.path, 0, disk, DISK_BYTES);
	for (unsigned int i = 0; i < ARRAY_SIZE(races); i++)
		if (!(races[i].only & (v->indirect ? IN_RING : IN_TABLE)))
			run_race(&s, &races[i]);
	diag("%lu requests, %lu stops", all_rounds, all_stops);
	check(all_stops, "no queue has stopped: the second thread did not come in between");
	scene_restart(&s);
	scene_must_serve(&s, "all races");
}
