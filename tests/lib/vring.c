// SPDX-License-Identifier: GPL-2.0
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices.h"
#include "tap.h"
#include "vring.h"

/* The used ring's avail_event and the avail ring's used_event follow them. */
#define USED_BYTES(num) (sizeof(struct vring_used) + \
			 (num) * sizeof(struct vring_used_elem) + 2)
#define AVAIL_BYTES(num) (sizeof(struct vring_avail) + (num) * 2ul + 2)

static uint16_t load16(const uint16_t *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static void store16(uint16_t *p, uint16_t value)
{
	__atomic_store_n(p, htole16(value), __ATOMIC_RELEASE);
}

/* Devices */

static int open_node(const struct vdev_ops *ops)
{
	int fd = open(ops->path, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		run_command("modprobe %s", ops->module);
		fd = open(ops->path, O_RDWR | O_CLOEXEC);
	}
	check(fd >= 0, "open %s: %m", ops->path);
	return fd;
}

struct vdev *vdev_open_bare(const struct vdev_ops *ops)
{
	struct vdev *dev = calloc(1, sizeof(*dev));

	dev->ops = ops;
	dev->backend_fd = -1;
	dev->fd = open_node(ops);
	return dev;
}

int vdev_request(struct vdev *dev, unsigned long request, void *arg)
{
	return dev->ops->request ? dev->ops->request(dev, request, arg) :
				   ioctl(dev->fd, request, arg);
}

void vdev_own(struct vdev *dev, uint64_t memory)
{
	check_ok(vdev_request(dev, VHOST_SET_OWNER, NULL));
	check_ok(vdev_request(dev, VHOST_GET_FEATURES, &dev->offered));
	if (memory)
		guest_add(&dev->mem, GUEST_BASE, memory);
}

struct vdev *vdev_open(const struct vdev_ops *ops, uint64_t memory)
{
	struct vdev *dev = vdev_open_bare(ops);

	vdev_own(dev, memory);
	return dev;
}

void vdev_kernel_thread(struct vdev *dev)
{
#ifdef VHOST_SET_FORK_FROM_OWNER
	uint8_t mode = VHOST_FORK_OWNER_KTHREAD;

	if (ioctl(dev->fd, VHOST_SET_FORK_FROM_OWNER, &mode))
		skip("this kernel has no kernel threads for vhost: %m");
#else
	(void)dev;
	skip("the headers do not know VHOST_SET_FORK_FROM_OWNER");
#endif
}

int vdev_set_features(struct vdev *dev, uint64_t features)
{
	return vdev_request(dev, VHOST_SET_FEATURES, &features);
}

void vdev_negotiate(struct vdev *dev, uint64_t features)
{
	check(!(features & ~dev->offered), "features 0x%llx are not offered, only 0x%llx",
	      (unsigned long long)(features & ~dev->offered),
	      (unsigned long long)dev->offered);
	check_ok(vdev_set_features(dev, features));
	dev->features = features;
	for (unsigned int i = 0; i < dev->nvqs; i++)
		dev->vqs[i]->event_idx = features & BIT(VIRTIO_RING_F_EVENT_IDX);
}

int vdev_set_mem_table(struct vdev *dev)
{
	struct {
		struct vhost_memory table;
		struct vhost_memory_region region[GUEST_REGIONS];
	} m = { .table.nregions = dev->mem.nregions };

	for (unsigned int i = 0; i < dev->mem.nregions; i++) {
		m.region[i].guest_phys_addr = dev->mem.region[i].gpa;
		m.region[i].memory_size = dev->mem.region[i].size;
		m.region[i].userspace_addr = (uintptr_t)dev->mem.region[i].hva;
	}
	return vdev_request(dev, VHOST_SET_MEM_TABLE, &m);
}

void vdev_setup(struct vdev *dev)
{
	check_ok(vdev_set_mem_table(dev));
	for (unsigned int i = 0; i < dev->nvqs; i++)
		vq_setup(dev->vqs[i]);
}

void vdev_start(struct vdev *dev)
{
	vdev_setup(dev);
	check(!dev->ops->attach(dev), "attaching the backend: %m");
}

void vdev_stop(struct vdev *dev)
{
	check(!dev->ops->detach(dev), "detaching the backend: %m");
}

void vdev_close(struct vdev *dev)
{
	vdev_stop(dev);
	check_ok(close(dev->fd));
	dev->fd = -1;
}

/* Workers */

int vdev_new_worker(struct vdev *dev)
{
	struct vhost_worker_state s = { 0 };

	return vdev_request(dev, VHOST_NEW_WORKER, &s) ? -1 : (int)s.worker_id;
}

int vdev_free_worker(struct vdev *dev, int worker)
{
	struct vhost_worker_state s = { .worker_id = worker };

	return vdev_request(dev, VHOST_FREE_WORKER, &s);
}

int vq_attach_worker(struct vq *vq, int worker)
{
	struct vhost_vring_worker w = { .index = vq->index, .worker_id = worker };

	return vdev_request(vq->dev, VHOST_ATTACH_VRING_WORKER, &w);
}

/* Rings */

static void place(struct vq *vq)
{
	struct guest *g = &vq->dev->mem;

	vq->desc_gpa = guest_alloc(g, 16ull * vq->num, GUEST_PAGE);
	vq->avail_gpa = guest_alloc(g, AVAIL_BYTES(vq->num), 2);
	vq->used_gpa = guest_alloc(g, USED_BYTES(vq->num), 4);
	vq->desc = guest_ptr(g, vq->desc_gpa, 16ull * vq->num);
	vq->avail = guest_ptr(g, vq->avail_gpa, AVAIL_BYTES(vq->num));
	vq->used = guest_ptr(g, vq->used_gpa, USED_BYTES(vq->num));
	memset(vq->desc, 0, 16ull * vq->num);
	memset(vq->avail, 0, AVAIL_BYTES(vq->num));
	memset(vq->used, 0, USED_BYTES(vq->num));
}

struct vq *vq_new(struct vdev *dev, unsigned int index, unsigned int num)
{
	struct vq *vq = calloc(1, sizeof(*vq));

	check(dev->nvqs < VDEV_QUEUES, "more than %d rings", VDEV_QUEUES);
	vq->dev = dev;
	vq->index = index;
	vq->num = num;
	vq->event_idx = dev->features & BIT(VIRTIO_RING_F_EVENT_IDX);
	place(vq);
	vq->kick = check_ok(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	vq->call = check_ok(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	vq->err = check_ok(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	vq->free = calloc(num, sizeof(*vq->free));
	vq->chain = calloc(num, sizeof(*vq->chain));
	for (unsigned int i = 0; i < num; i++)
		vq->free[vq->nfree++] = num - 1 - i;
	dev->vqs[dev->nvqs++] = vq;
	return vq;
}

void vq_set_base(struct vq *vq, uint16_t index)
{
	vq->avail_idx = vq->published_idx = vq->kicked_idx = vq->last_used = index;
	store16(&vq->avail->idx, index);
	store16(&vq->used->idx, index);
	/* As a device leaves it that has seen all up to there. */
	store16((uint16_t *)&vq->used->ring[vq->num], index);
}

unsigned int vq_get_base(struct vq *vq)
{
	struct vhost_vring_state s = { .index = vq->index };

	check_ok(vdev_request(vq->dev, VHOST_GET_VRING_BASE, &s));
	return s.num;
}

void vq_settle(struct vq *vq)
{
	vq_get_base(vq);
}

int vq_set_num(struct vq *vq, unsigned int num)
{
	struct vhost_vring_state s = { .index = vq->index, .num = num };

	return vdev_request(vq->dev, VHOST_SET_VRING_NUM, &s);
}

int vq_set_addr(struct vq *vq)
{
	struct vhost_vring_addr a = {
		.index = vq->index,
		.flags = vq->log_used ? 1 << VHOST_VRING_F_LOG : 0,
		.desc_user_addr = (uintptr_t)vq->desc,
		.avail_user_addr = (uintptr_t)vq->avail,
		.used_user_addr = (uintptr_t)vq->used,
		.log_guest_addr = vq->used_gpa,
	};

	return vdev_request(vq->dev, VHOST_SET_VRING_ADDR, &a);
}

int vq_set_file(struct vq *vq, unsigned long request, int fd)
{
	struct vhost_vring_file f = { .index = vq->index, .fd = fd };

	return vdev_request(vq->dev, request, &f);
}

void vq_set_polling(struct vq *vq, unsigned int us)
{
	struct vhost_vring_state s = { .index = vq->index, .num = us };

	check_ok(vdev_request(vq->dev, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, &s));
}

void vq_setup(struct vq *vq)
{
	/* What was made available since is for the device to find. */
	struct vhost_vring_state s = { .index = vq->index, .num = vq->last_used };

	check_ok(vq_set_num(vq, vq->num));
	check_ok(vdev_request(vq->dev, VHOST_SET_VRING_BASE, &s));
	check_ok(vq_set_addr(vq));
	check_ok(vq_set_file(vq, VHOST_SET_VRING_KICK, vq->kick));
	check_ok(vq_set_file(vq, VHOST_SET_VRING_CALL, vq->call));
	check_ok(vq_set_file(vq, VHOST_SET_VRING_ERR, vq->err));
}

/* Available ring */

void vq_put_desc(struct vring_desc *d, uint64_t addr, uint32_t len,
		    uint16_t flags, uint16_t next)
{
	d->addr = htole64(addr);
	d->len = htole32(len);
	d->flags = htole16(flags);
	d->next = htole16(next);
}

static uint16_t seg_flags(const struct seg *s)
{
	return s->write ? VRING_DESC_F_WRITE : 0;
}

/* A head's table is kept for its next chain, and made anew when too small. */
static uint64_t table_of(struct vq *vq, struct vq_chain *c, unsigned int n)
{
	if (c->table_size < n) {
		c->table = guest_alloc(&vq->dev->mem, 16ull * n, 16);
		c->table_size = n;
	}
	return c->table;
}

static void put_table(struct vq *vq, uint64_t table, const struct seg *segs,
		      unsigned int n)
{
	struct vring_desc *d = guest_ptr(&vq->dev->mem, table, 16ull * n);

	for (unsigned int i = 0; i < n; i++)
		vq_put_desc(d + i, segs[i].addr, segs[i].len, seg_flags(segs + i) |
			       (i + 1 < n ? VRING_DESC_F_NEXT : 0), i + 1 < n ? i + 1 : 0);
}

uint16_t vq_add(struct vq *vq, const struct seg *segs, unsigned int n,
		   unsigned int direct)
{
	unsigned int ndirect = direct < n ? direct : n;
	unsigned int ndesc = ndirect + (ndirect < n);
	struct vq_chain *c;
	uint16_t *d;

	check(ndesc && ndesc <= vq->nfree, "%u descriptors wanted, %u are free", ndesc,
	      vq->nfree);
	d = malloc(ndesc * sizeof(*d));
	for (unsigned int i = 0; i < ndesc; i++)
		d[i] = vq->free[--vq->nfree];
	c = &vq->chain[d[0]];
	c->desc = d;
	c->n = ndesc;
	for (unsigned int i = 0; i < ndirect; i++)
		vq_put_desc(&vq->desc[d[i]], segs[i].addr, segs[i].len,
			       seg_flags(segs + i) |
			       (i + 1 < ndesc ? VRING_DESC_F_NEXT : 0),
			       i + 1 < ndesc ? d[i + 1] : 0);
	if (ndirect < n) {
		put_table(vq, table_of(vq, c, n - ndirect), segs + ndirect, n - ndirect);
		vq_put_desc(&vq->desc[d[ndirect]], c->table, 16 * (n - ndirect),
			       VRING_DESC_F_INDIRECT, 0);
	}
	vq_put_avail(vq, d[0]);
	return d[0];
}

void vq_put_avail(struct vq *vq, uint16_t head)
{
	store16(&vq->avail->ring[vq->avail_idx & (vq->num - 1)], head);
	vq->avail_idx++;
}

void vq_put_avail_idx(struct vq *vq, uint16_t idx)
{
	store16(&vq->avail->idx, idx);
	vq->published_idx = idx;
}

/* The release in the store orders it after the descriptors and the ring. */
void vq_publish(struct vq *vq)
{
	vq_put_avail_idx(vq, vq->avail_idx);
}

void vq_kick_always(struct vq *vq)
{
	uint64_t one = 1;

	vq->kicked_idx = vq->published_idx;
	vq->kicks++;
	check_eq(write(vq->kick, &one, sizeof(one)), sizeof(one));
}

bool vq_kick(struct vq *vq)
{
	bool wanted;

	/* The index must be out before the device's wish is read (2.7.13.4). */
	atomic_thread_fence(memory_order_seq_cst);
	if (vq->event_idx)
		wanted = vring_need_event(vq_avail_event(vq), vq->published_idx,
					  vq->kicked_idx);
	else
		wanted = !(vq_used_flags(vq) & VRING_USED_F_NO_NOTIFY);
	vq->kicked_idx = vq->published_idx;
	if (wanted)
		vq_kick_always(vq);
	return wanted;
}

uint16_t vq_submit(struct vq *vq, const struct seg *segs, unsigned int n,
		      unsigned int direct)
{
	uint16_t head = vq_add(vq, segs, n, direct);

	vq_publish(vq);
	vq_kick(vq);
	return head;
}

/* Used ring */

static void chain_free(struct vq *vq, uint16_t head)
{
	struct vq_chain *c = &vq->chain[head];

	for (unsigned int i = c->n; i > 0; i--)
		vq->free[vq->nfree++] = c->desc[i - 1];
	free(c->desc);
	c->desc = NULL;
	c->n = 0;
}

bool vq_pop(struct vq *vq, struct used *u)
{
	const struct vring_used_elem *e;
	uint32_t id;

	if (vq_used_idx(vq) == vq->last_used)
		return false;
	e = &vq->used->ring[vq->last_used & (vq->num - 1)];
	id = le32toh(e->id);
	check(id < vq->num, "used id %u on a ring of %u", id, vq->num);
	*u = (struct used){ .head = id, .len = le32toh(e->len) };
	vq->last_used++;
	chain_free(vq, id);
	return true;
}

static void want_interrupt(struct vq *vq)
{
	if (vq->event_idx)
		vq_put_used_event(vq, vq->last_used);
	else
		vq_put_avail_flags(vq, 0);
	/* Our wish must be out before the used index is read again. */
	atomic_thread_fence(memory_order_seq_cst);
}

/* One step of waiting without interrupts: true if there is time left. */
static bool nap(uint64_t end)
{
	sleep_ms(1);
	return now_ms() < end;
}

static bool wait_interrupt(struct vq *vq, uint64_t end)
{
	struct pollfd fds[] = { { vq->call, POLLIN, 0 }, { vq->err, POLLIN, 0 } };
	uint64_t now = now_ms();

	if (now >= end || poll(fds, 2, end - now) <= 0) {
		check(vq_used_idx(vq) == vq->last_used,
		      "queue %u: used entry %u came without a notification", vq->index,
		      vq->last_used);
		return false;
	}
	if (fds[0].revents) {
		event_take(vq->call);
		vq->interrupts++;
		return true;
	}
	return false;
}

bool vq_wait(struct vq *vq, struct used *u, unsigned int ms)
{
	uint64_t end = now_ms() + ms;

	while (!vq_pop(vq, u)) {
		if (vq->no_interrupt) {
			if (!nap(end))
				return false;
			continue;
		}
		want_interrupt(vq);
		if (vq_pop(vq, u))
			return true;
		if (!wait_interrupt(vq, end))
			return false;
	}
	return true;
}

struct used vq_get(struct vq *vq)
{
	struct used u;

	if (!vq_wait(vq, &u, VQ_WAIT_MS))
		fail("queue %u: no used entry after index %u, %s", vq->index, vq->last_used,
		     event_take(vq->err) ? "the device reported an error" : "in time");
	return u;
}

void vq_quiet(struct vq *vq, unsigned int ms)
{
	uint64_t end = now_ms() + ms;

	do {
		check(vq_used_idx(vq) == vq->last_used,
		      "queue %u: an unexpected used entry: index is %u, was %u",
		      vq->index, vq_used_idx(vq), vq->last_used);
	} while (nap(end));
}

uint64_t event_take(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

bool event_wait(int fd, unsigned int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, ms) == 1 && event_take(fd);
}

void vq_must_break(struct vq *vq)
{
	check(event_wait(vq->err, VQ_WAIT_MS),
	      "queue %u: the error eventfd did not fire", vq->index);
	vq_quiet(vq, VQ_QUIET_MS);
}

uint16_t vq_used_idx(const struct vq *vq)
{
	return load16(&vq->used->idx);
}

uint16_t vq_used_flags(const struct vq *vq)
{
	return load16(&vq->used->flags);
}

uint16_t vq_avail_event(const struct vq *vq)
{
	return load16((uint16_t *)&vq->used->ring[vq->num]);
}

void vq_put_used_event(struct vq *vq, uint16_t idx)
{
	store16(&vq->avail->ring[vq->num], idx);
}

void vq_put_avail_flags(struct vq *vq, uint16_t flags)
{
	store16(&vq->avail->flags, flags);
}
