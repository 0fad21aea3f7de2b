// SPDX-License-Identifier: GPL-2.0
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blk.h"
#include "tap.h"

int blk_set_backend(const struct vdev *dev, int fd)
{
	struct vhost_vring_file f = { .index = 0, .fd = fd };

	return ioctl(dev->fd, VHOST_BLK_SET_BACKEND, &f);
}

static int attach(struct vdev *dev)
{
	return blk_set_backend(dev, dev->backend_fd);
}

static int detach(struct vdev *dev)
{
	return blk_set_backend(dev, -1);
}

const struct vdev_ops blk_ops = {
	.path = "/dev/vhost-blk",
	.module = "vhost_blk",
	.attach = attach,
	.detach = detach,
};

static int access_of(const struct blk_setup *setup)
{
	if (setup->read_only)
		return O_RDONLY;
	return setup->write_only ? O_WRONLY : O_RDWR;
}

/*
 * The backends group runs tests on its own: BLK_BACKEND is the path, and BLK_DIRECT
 * not empty opens it with O_DIRECT. A test that wants a disk of its own has one.
 */
static const char *given_backend(const struct nullb *disk)
{
	const struct nullb any = { 0 };

	return memcmp(disk, &any, sizeof(any)) ? NULL : getenv("BLK_BACKEND");
}

struct blk blk_prepare(const struct blk_setup *setup)
{
	struct blk blk = { .path = setup->path };

	if (!blk.path)
		blk.path = given_backend(&setup->disk) ?: nullb_new(&setup->disk);
	blk.capacity = device_sectors(blk.path);
	blk.fd = open(blk.path, access_of(setup) | O_CLOEXEC |
		      (getenv("BLK_DIRECT") && *getenv("BLK_DIRECT") ? O_DIRECT : 0));
	check(blk.fd >= 0, "open %s: %m", blk.path);
	blk.dev = vdev_open_bare(&blk_ops);
	if (setup->kernel_thread)
		vdev_kernel_thread(blk.dev);
	vdev_own(blk.dev, setup->memory ?: 64 << 20);
	blk.dev->backend_fd = blk.fd;
	blk.mem = &blk.dev->mem;
	vdev_negotiate(blk.dev, setup->features ?: BLK_FEATURES);
	for (unsigned int i = 0; i < (setup->queues ?: 1); i++)
		vq_new(blk.dev, i, setup->num ?: 128);
	blk.vq = blk.dev->vqs[0];
	return blk;
}

struct blk blk_start(const struct blk_setup *setup)
{
	struct blk blk = blk_prepare(setup);

	vdev_start(blk.dev);
	return blk;
}

int blk_get_config(const struct vdev *dev, int fd, struct vhost_blk_config *config)
{
	memset(config, 0, sizeof(*config));
	config->fd = fd;
	return ioctl(dev->fd, VHOST_BLK_GET_CONFIG, config);
}

int blk_set_writeback(const struct vdev *dev, int writeback)
{
	return ioctl(dev->fd, VHOST_BLK_SET_WRITEBACK, &writeback);
}

int blk_set_config_call(const struct vdev *dev, int event)
{
	return ioctl(dev->fd, VHOST_BLK_SET_CONFIG_CALL, &event);
}

void blk_set_serial(const struct vdev *dev, const char *serial)
{
	struct vhost_blk_serial s = { { 0 } };

	memcpy(s.serial, serial, strnlen(serial, sizeof(s.serial)));
	check_ok(ioctl(dev->fd, VHOST_BLK_SET_SERIAL, &s));
}

/* Of one of the two modules. */
#define STATS "/sys/kernel/debug/vhost_%s/%u"

static void read_stats(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "r");

	text[0] = 0;
	if (!f)
		return;
	text[fread(text, 1, size - 1, f)] = 0;
	fclose(f);
}

const char *vdev_stats(void)
{
	static const char *const modules[] = { "blk", "scsi" };
	static char text[1 << 18], path[64];
	char owner[32];

	if (path[0]) {
		read_stats(path, text, sizeof(text));
		return text;
	}
	snprintf(owner, sizeof(owner), "owner %d\n", getpid());
	for (unsigned int i = 0; i < 128; i++) {
		snprintf(path, sizeof(path), STATS, modules[i & 1], i / 2);
		read_stats(path, text, sizeof(text));
		if (strstr(text, owner))
			return text;
	}
	fail("no device has us as its owner");
}

unsigned long long vdev_stat(unsigned int vq, const char *name, unsigned int column)
{
	char start[32];
	const char *at;
	char *end;

	snprintf(start, sizeof(start), "\nvq %u\n", vq);
	at = strstr(vdev_stats(), start);
	check(at, "no vq %u in: %s", vq, vdev_stats());
	snprintf(start, sizeof(start), "\n  %s ", name);
	at = strstr(at, start);
	check(at, "no '%s' in: %s", name, vdev_stats());
	end = (char *)at + strlen(start);
	while (--column)
		strtoull(end, &end, 10);
	return strtoull(end, NULL, 10);
}

void vdev_wait_in_flight(unsigned int n)
{
	while (!strstr(vdev_stats(), "\nvq 0\n") || vdev_stat(0, "in_flight", 1) < n)
		sleep_ms(10);
}

void check_same(const void *got, const void *want, size_t len, const char *what)
{
	const unsigned char *g = got, *w = want;

	for (size_t i = 0; i < len; i++)
		check(g[i] == w[i], "%s: byte %zu of %zu is %02x, expected %02x", what, i,
		      len, g[i], w[i]);
}

/* A piece of the guest's memory, with guard bytes around it. */
static struct blk_piece place(struct guest *g, uint32_t len, unsigned int offset,
			      bool packed, bool write)
{
	uint64_t align = packed ? 1 : GUEST_PAGE;
	uint64_t base = guest_alloc_in(g, 0, len + 2 * BLK_GUARD, align,
				       packed ? 0 : GUEST_PAGE + offset - BLK_GUARD);
	unsigned char *p = guest_ptr(g, base, len + 2 * BLK_GUARD);

	memset(p, BLK_GUARD_BYTE, len + 2 * BLK_GUARD);
	return (struct blk_piece){
		.seg = { base + BLK_GUARD, len, write }, .bytes = p + BLK_GUARD,
	};
}

struct cut {
	const uint32_t *sizes;
	unsigned int n;
	uint32_t every;
};

static uint32_t next_size(struct cut *c, uint32_t rest)
{
	uint32_t size = c->n && *c->sizes ? *c->sizes : c->every ?: rest;

	if (c->n && *c->sizes) {
		c->sizes++;
		c->n--;
	}
	return size < rest ? size : rest;
}

/* Cuts bytes into pieces and puts them into the guest's memory. */
static void scatter(struct blk_req *req, const unsigned char *bytes, uint32_t len,
		    struct cut cut, const struct blk_layout *l, bool write)
{
	struct blk_piece *p;
	uint32_t size;

	for (; len; len -= size, bytes += size) {
		size = next_size(&cut, len);
		req->pieces = realloc(req->pieces, (req->n + 1) * sizeof(*p));
		p = &req->pieces[req->n++];
		*p = place(&req->vq->dev->mem, size, l->offset, l->packed, write);
		memcpy(p->bytes, bytes, size);
	}
}

struct blk_req req_add(struct vq *vq, const void *out, uint32_t out_len, const void *in,
		       uint32_t in_len, const struct blk_layout *l)
{
	struct blk_req req = { .vq = vq, .sent_len = out_len, .in_len = in_len };
	struct seg *segs;

	req.sent = malloc(out_len + 1);
	memcpy(req.sent, out, out_len);
	req.in = malloc(in_len + 1);
	memcpy(req.in, in, in_len);
	scatter(&req, req.sent, out_len,
		(struct cut){ l->out, ARRAY_SIZE(l->out), l->out_every }, l, false);
	scatter(&req, req.in, in_len,
		(struct cut){ l->in, ARRAY_SIZE(l->in), l->in_every }, l, true);
	segs = calloc(req.n, sizeof(*segs));
	for (unsigned int i = 0; i < req.n; i++)
		segs[i] = req.pieces[i].seg;
	req.head = vq_add(vq, segs, req.n, l->direct);
	free(segs);
	return req;
}

/* The header, as much as is not cut off, and the data behind it. */
static unsigned char *readable(const struct blk_io *io, uint32_t header)
{
	struct virtio_blk_outhdr h = {
		.type = htole32(io->type), .sector = htole64(io->sector),
	};
	unsigned char *bytes = malloc(header + io->out_len + 1);

	memcpy(bytes, &h, header);
	if (io->out_len)
		memcpy(bytes + header, io->out, io->out_len);
	return bytes;
}

static unsigned char *writable(const struct blk_io *io, uint32_t len)
{
	unsigned char *bytes = malloc(len + 1);

	memset(bytes, BLK_UNTOUCHED, len);
	if (!io->no_status)
		bytes[len - 1] = BLK_NO_STATUS;
	return bytes;
}

struct blk_req blk_add(struct vq *vq, const struct blk_io *io)
{
	uint32_t header = BLK_HEADER - io->header_cut, in_len = io->in_len + !io->no_status;
	const struct blk_layout usual = {
		.name = "usual", .out = { header }, .in = { io->in_len }, .direct = VQ_DIRECT,
	};
	unsigned char *out = readable(io, header), *in = writable(io, in_len);
	struct blk_req req = req_add(vq, out, header + io->out_len, in, in_len,
				     io->layout ?: &usual);

	free(out);
	free(in);
	return req;
}

static void check_guards(const struct blk_piece *p)
{
	for (unsigned int i = 0; i < BLK_GUARD; i++) {
		check(p->bytes[-1 - (int)i] == BLK_GUARD_BYTE,
		      "byte %u before a buffer of %u was changed", i + 1, p->seg.len);
		check(p->bytes[p->seg.len + i] == BLK_GUARD_BYTE,
		      "byte %u behind a buffer of %u was changed", i, p->seg.len);
	}
}

static void gather(struct blk_req *req)
{
	uint32_t sent = 0, got = 0;

	for (unsigned int i = 0; i < req->n; i++) {
		const struct blk_piece *p = &req->pieces[i];

		check_guards(p);
		if (p->seg.write) {
			memcpy(req->in + got, p->bytes, p->seg.len);
			got += p->seg.len;
		} else {
			/* 2.7.5.1: the device must not write it. */
			check_same(p->bytes, req->sent + sent, p->seg.len,
				   "a readable buffer was changed");
			sent += p->seg.len;
		}
	}
}

void req_finish(struct blk_req *req, struct used u)
{
	check_eq(u.head, req->head);
	gather(req);
	req->used_len = u.len;
	req->done = true;
	check(u.len <= req->in_len, "used.len is %u of %u writable bytes", u.len,
	      req->in_len);
}

/* What the page cache of the guest's memory, which is a memfd, holds of them goes. */
void req_drop(struct blk_req *req, uint32_t bytes)
{
	for (unsigned int i = 0; i < req->n; i++)
		if (req->pieces[i].seg.len == bytes)
			check_ok(madvise(req->pieces[i].bytes, bytes, MADV_REMOVE));
}

void blk_finish(struct blk_req *req, struct used u)
{
	req_finish(req, u);
	if (!req->in_len)
		return;
	req->status = req->in[req->in_len - 1];
	check(req->status != BLK_NO_STATUS, "no status byte was written");
}

void blk_free(struct blk_req *req)
{
	free(req->pieces);
	free(req->sent);
	free(req->in);
}

struct blk_req blk_do(struct vq *vq, const struct blk_io *io)
{
	uint64_t mark = guest_mark(&vq->dev->mem);
	struct blk_req req = blk_add(vq, io);

	blk_send(vq);
	blk_finish(&req, vq_get(vq));
	/* The table of an indirect chain stays with the head. */
	if (!io->layout || io->layout->direct == VQ_DIRECT)
		guest_release(&vq->dev->mem, mark);
	return req;
}

void blk_send(struct vq *vq)
{
	vq_publish(vq);
	vq_kick(vq);
}

void blk_reap(struct vq *vq, struct blk_req *reqs, unsigned int n)
{
	unsigned int at;

	for (unsigned int done = 0; done < n; done++) {
		struct used u = vq_get(vq);

		for (at = 0; at < n; at++)
			if (reqs[at].vq == vq && reqs[at].head == u.head && !reqs[at].done)
				break;
		check(at < n, "queue %u: nobody sent the request %u that came back",
		      vq->index, u.head);
		blk_finish(&reqs[at], u);
	}
}

void blk_batch(struct vq *vq, const struct blk_io *io, unsigned int n)
{
	struct blk_req *reqs = calloc(n, sizeof(*reqs));

	for (unsigned int i = 0; i < n; i++)
		reqs[i] = blk_add(vq, io);
	blk_send(vq);
	blk_reap(vq, reqs, n);
	for (unsigned int i = 0; i < n; i++) {
		check_eq(reqs[i].status, VIRTIO_BLK_S_OK);
		blk_free(&reqs[i]);
	}
	free(reqs);
}

void blk_expect(struct vq *vq, const struct blk_io *io, uint8_t status)
{
	struct blk_req req = blk_do(vq, io);

	check(req.status == status,
	      "type %u, sector %llu, %u bytes out, %u in: status %u, expected %u", io->type,
	      (unsigned long long)io->sector, io->out_len, io->in_len, req.status, status);
	blk_free(&req);
}

void blk_expect_len(struct vq *vq, const struct blk_io *io, uint8_t status,
		    uint32_t used_len)
{
	struct blk_req req = blk_do(vq, io);

	check_eq(req.status, status);
	check_eq(req.used_len, used_len);
	blk_free(&req);
}

void blk_write(struct vq *vq, uint64_t sector, const void *data, uint32_t len)
{
	struct blk_io io = {
		.type = VIRTIO_BLK_T_OUT, .sector = sector, .out = data, .out_len = len,
	};

	blk_expect(vq, &io, VIRTIO_BLK_S_OK);
}

void blk_read(struct vq *vq, uint64_t sector, void *data, uint32_t len)
{
	struct blk_io io = { .type = VIRTIO_BLK_T_IN, .sector = sector, .in_len = len };
	struct blk_req req = blk_do(vq, &io);

	check_eq(req.status, VIRTIO_BLK_S_OK);
	memcpy(data, req.in, len);
	blk_free(&req);
}

const uint8_t *blk_send_at(struct vq *vq, uint32_t type, uint64_t sector, uint64_t gpa,
			   uint32_t len)
{
	struct guest *g = &vq->dev->mem;
	uint64_t hdr = guest_alloc(g, BLK_HEADER, 16), status = guest_alloc(g, 1, 1);
	const struct seg segs[] = {
		{ hdr, BLK_HEADER, false }, { gpa, len, type == VIRTIO_BLK_T_IN },
		{ status, 1, true },
	};
	struct virtio_blk_outhdr *h = guest_ptr(g, hdr, sizeof(*h));

	*h = (struct virtio_blk_outhdr){ .type = htole32(type), .sector = htole64(sector) };
	vq_submit(vq, segs, 3, VQ_DIRECT);
	return guest_ptr(g, status, 1);
}

void blk_transfer(struct vq *vq, uint32_t type, uint64_t sector, uint64_t gpa, uint32_t len)
{
	uint64_t mark = guest_mark(&vq->dev->mem);
	const uint8_t *status = blk_send_at(vq, type, sector, gpa, len);

	check_eq(vq_get(vq).len, type == VIRTIO_BLK_T_IN ? len + 1 : 1);
	check_eq(*status, VIRTIO_BLK_S_OK);
	guest_release(&vq->dev->mem, mark);
}
