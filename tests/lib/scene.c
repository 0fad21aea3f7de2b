// SPDX-License-Identifier: GPL-2.0
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scene.h"
#include "tap.h"

const struct way ways[4] = {
	{ "direct", 1, false },
	{ "indirect", 1, true },
	{ "four_queues_direct", 4, false },
	{ "four_queues_indirect", 4, true },
};

/* The device */

struct scene scene_prepare(const struct way *way, const struct blk_setup *setup)
{
	struct blk_setup first = *setup;
	struct scene s = { .way = way };

	first.queues = way->queues;
	first.num = first.num ?: SCENE_RING;
	first.memory = first.memory ?: 16 << 20;
	s.blk = blk_prepare(&first);
	s.vq = s.blk.vq;
	s.other = blk_start(&(struct blk_setup){
		.path = s.blk.path, .num = 16, .memory = 2 << 20,
		.read_only = setup->read_only,
	});
	return s;
}

void scene_run(struct scene *s)
{
	vdev_start(s->blk.dev);
	scene_must_serve(s, "the start");
}

struct scene scene_start(const struct way *way)
{
	struct scene s = scene_prepare(way, &(struct blk_setup){});

	scene_run(&s);
	return s;
}

void scene_probe(struct scene *s, struct vq *vq)
{
	unsigned char data[SECTOR], got[SECTOR];
	uint64_t sector = SCENE_SECTORS + vq->index + (vq->dev == s->other.dev ? 100 : 0);

	fill(data, SECTOR, ++s->seed);
	blk_write(vq, sector, data, SECTOR);
	blk_read(vq, sector, got, SECTOR);
	check_same(got, data, SECTOR, "a bystander's data");
}

void scene_probe_others(struct scene *s)
{
	for (unsigned int i = 1; i < s->way->queues; i++)
		scene_probe(s, s->blk.dev->vqs[i]);
	scene_probe(s, s->other.vq);
}

void vq_reset(struct vq *vq)
{
	memset(vq->desc, 0, 16ul * vq->num);
	memset(vq->avail, 0, 6 + 2ul * vq->num);
	memset(vq->used, 0, 6 + 8ul * vq->num);
	vq->nfree = 0;
	for (unsigned int i = 0; i < vq->num; i++) {
		vq->free[vq->nfree++] = vq->num - 1 - i;
		free(vq->chain[i].desc);
		vq->chain[i] = (struct vq_chain){ 0 };
	}
	event_take(vq->call);
	event_take(vq->kick);
	event_take(vq->err);
	vq_set_base(vq, 0);
}

void scene_restart(struct scene *s)
{
	vdev_stop(s->blk.dev);
	vq_reset(s->vq);
	vq_setup(s->vq);
	check(!s->blk.dev->ops->attach(s->blk.dev), "attach: %m");
}

void scene_must_stop(struct scene *s, const char *what)
{
	uint16_t used = vq_used_idx(s->vq);

	check(event_wait(s->vq->err, VQ_WAIT_MS), "%s: the error eventfd did not fire", what);
	scene_probe_others(s);
	/* It stays so, though it is kicked. */
	vq_kick_always(s->vq);
	scene_probe(s, s->other.vq);
	check(vq_used_idx(s->vq) == used, "%s: a request was answered all the same", what);
	scene_restart(s);
	scene_probe(s, s->vq);
}

void scene_must_serve(struct scene *s, const char *what)
{
	check(!event_take(s->vq->err), "%s: the error eventfd fired", what);
	scene_probe(s, s->vq);
	scene_probe_others(s);
}

/* Chains */

void scene_must_refuse(struct scene *s, void (*spoil)(struct chain *c), const char *what)
{
	uint64_t mark = guest_mark(s->blk.mem);
	struct chain c = chain_put(s, VIRTIO_BLK_T_IN, 0, 4096);

	spoil(&c);
	chain_send(&c);
	scene_must_stop(s, what);
	chain_check_untouched(&c, what);
	guest_release(s->blk.mem, mark);
}

void desc_set(struct vring_desc *d, uint16_t flags)
{
	d->flags |= htole16(flags);
}

void desc_clear(struct vring_desc *d, uint16_t flags)
{
	d->flags &= htole16(~flags);
}

/* Header, status and data, each in pages of their own; a page of guard behind them. */
static struct chain chain_new(struct scene *s, uint32_t type, uint64_t sector, uint32_t len)
{
	struct guest *g = s->blk.mem;
	struct chain c = {
		.vq = s->vq, .len = len,
		.hdr_gpa = guest_alloc(g, GUEST_PAGE, GUEST_PAGE),
		.status_gpa = guest_alloc(g, GUEST_PAGE, GUEST_PAGE),
		.data_gpa = guest_alloc(g, len + GUEST_PAGE, GUEST_PAGE),
	};

	c.hdr = guest_ptr(g, c.hdr_gpa, GUEST_PAGE);
	c.status = guest_ptr(g, c.status_gpa, GUEST_PAGE);
	c.data = guest_ptr(g, c.data_gpa, len + GUEST_PAGE);
	memset(c.hdr, BLK_GUARD_BYTE, GUEST_PAGE);
	memset(c.status, BLK_GUARD_BYTE, GUEST_PAGE);
	memset(c.data + len, BLK_GUARD_BYTE, GUEST_PAGE);
	*c.hdr = (struct virtio_blk_outhdr){
		.type = htole32(type), .sector = htole64(sector),
	};
	memset(c.data, BLK_UNTOUCHED, len);
	*c.status = BLK_NO_STATUS;
	return c;
}

void chain_put_segs(struct scene *s, struct chain *c, const struct seg *segs, unsigned int n)
{
	struct vq_chain *chain;

	check(n <= CHAIN_MAX, "%u pieces, %u are the most", n, CHAIN_MAX);
	c->n = n;
	c->head = vq_add(c->vq, segs, n, s->way->indirect ? 0 : VQ_DIRECT);
	chain = &c->vq->chain[c->head];
	c->table = s->way->indirect ? &c->vq->desc[c->head] : NULL;
	for (unsigned int i = 0; i < n; i++) {
		c->id[i] = c->table ? i : chain->desc[i];
		if (c->table)
			c->d[i] = guest_ptr(s->blk.mem, chain->table + 16 * i, 16);
		else
			c->d[i] = &c->vq->desc[c->id[i]];
	}
}

struct chain chain_put(struct scene *s, uint32_t type, uint64_t sector, uint32_t len)
{
	struct chain c = chain_new(s, type, sector, len);
	struct seg segs[3];
	unsigned int n = 0;

	segs[n++] = (struct seg){ c.hdr_gpa, BLK_HEADER, false };
	if (len)
		segs[n++] = (struct seg){ c.data_gpa, len, type != VIRTIO_BLK_T_OUT };
	segs[n++] = (struct seg){ c.status_gpa, 1, true };
	chain_put_segs(s, &c, segs, n);
	return c;
}

void chain_send(struct chain *c)
{
	vq_publish(c->vq);
	vq_kick_always(c->vq);
}

uint32_t chain_expect(struct chain *c, const char *what, uint8_t status)
{
	struct used u;

	chain_send(c);
	check(vq_wait(c->vq, &u, VQ_WAIT_MS), "%s: no answer", what);
	check(u.head == c->head, "%s: the used id is %u, expected %u", what, u.head, c->head);
	check(*c->status == status, "%s: status %u, expected %u", what, *c->status, status);
	return u.len;
}

static void check_guard(const void *at, uint32_t from, const char *what)
{
	const unsigned char *p = at;

	for (uint32_t i = from; i < from + GUEST_PAGE / 2; i++)
		check(p[i] == BLK_GUARD_BYTE, "%s: byte %u behind a buffer was changed to %02x",
		      what, i - from, p[i]);
}

void chain_check_guards(const struct chain *c, const char *what)
{
	check_guard(c->hdr, BLK_HEADER, what);
	check_guard(c->status, 1, what);
	check_guard(c->data, c->len, what);
}

void chain_check_untouched(const struct chain *c, const char *what)
{
	for (uint32_t i = 0; i < c->len; i++)
		check(c->data[i] == BLK_UNTOUCHED, "%s: byte %u of the data was changed to %02x",
		      what, i, c->data[i]);
}

/* The carousel */

/* Of a power of two requests, so that no head is in two slots that are out. */
static unsigned int carousel_size(const struct vq *vq, unsigned int descs)
{
	unsigned int n = vq->num;

	while (n * descs > vq->num)
		n /= 2;
	return n;
}

struct carousel carousel_new(struct vq *vq, bool indirect, uint32_t type, uint64_t sector,
			     uint32_t len)
{
	struct guest *g = &vq->dev->mem;
	uint64_t hdr = guest_alloc(g, BLK_HEADER, GUEST_PAGE);
	uint64_t data = guest_alloc(g, len, GUEST_PAGE), status = guest_alloc(g, 1, 1);
	struct virtio_blk_outhdr h = { .type = htole32(type), .sector = htole64(sector) };
	const struct seg segs[] = {
		{ hdr, BLK_HEADER, false }, { data, len, type != VIRTIO_BLK_T_OUT },
		{ status, 1, true },
	};
	struct carousel c = { .vq = vq, .n = carousel_size(vq, indirect ? 1 : 3) };
	uint16_t *heads = calloc(c.n, sizeof(*heads));

	memcpy(guest_ptr(g, hdr, BLK_HEADER), &h, BLK_HEADER);
	c.status = guest_ptr(g, status, 1);
	for (unsigned int i = 0; i < c.n; i++)
		heads[i] = vq_add(vq, segs, 3, indirect ? 0 : VQ_DIRECT);
	for (unsigned int i = 0; i < vq->num; i++)
		vq->avail->ring[i] = htole16(heads[i % c.n]);
	vq->avail_idx = vq->published_idx;
	free(heads);
	return c;
}

void carousel_send(struct carousel *c, unsigned int k)
{
	c->vq->avail_idx += k;
	vq_publish(c->vq);
	vq_kick(c->vq);
}

unsigned int carousel_out(const struct carousel *c)
{
	return (uint16_t)(c->vq->avail_idx - c->vq->last_used);
}

unsigned int carousel_take(struct carousel *c)
{
	uint16_t now = vq_used_idx(c->vq), n = now - c->vq->last_used;

	check(n <= carousel_out(c), "%u used entries, %u requests are out", n, carousel_out(c));
	c->vq->last_used = now;
	return n;
}

bool carousel_wait(struct carousel *c, unsigned int left)
{
	struct vq *vq = c->vq;
	struct pollfd p = { vq->call, POLLIN, 0 };
	int ms;

	for (;;) {
		carousel_take(c);
		if (carousel_out(c) <= left)
			return true;
		/* When the used index has come past this entry. */
		if (vq->event_idx)
			vq_put_used_event(vq, vq->avail_idx - left - 1);
		atomic_thread_fence(memory_order_seq_cst);
		ms = (uint16_t)(vq_used_idx(vq) - vq->avail_idx + left) < 0x8000 ? 0 : VQ_WAIT_MS;
		if (poll(&p, 1, ms) == 1)
			event_take(vq->call);
		else if (ms)
			return false;
	}
}

int kernel_log_open(void)
{
	int fd = check_ok(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));

	check(lseek(fd, 0, SEEK_END) >= 0, "/dev/kmsg: %m");
	return fd;
}

/* The next line; false: there is none yet. */
static bool kernel_log_line(int fd, char *line, size_t size)
{
	ssize_t n;

	/* EPIPE: some were overwritten, and the next one is the oldest that is left. */
	do {
		n = read(fd, line, size - 1);
	} while (n < 0 && errno == EPIPE);
	line[n > 0 ? n : 0] = '\0';
	return n > 0;
}

void kernel_log_check(int fd, unsigned int most)
{
	char line[2048], first[sizeof(line)] = "";
	unsigned int lines = 0;

	while (kernel_log_line(fd, line, sizeof(line)))
		if (!lines++)
			strcpy(first, line);
	check(lines <= most, "%u lines in the kernel's log; the first: %s", lines, first);
}

void kernel_log_must_have(int fd, const char *text)
{
	char line[2048];

	while (kernel_log_line(fd, line, sizeof(line)))
		if (strstr(line, text))
			return;
	fail("the kernel's log has no '%s'", text);
}
