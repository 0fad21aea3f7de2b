// SPDX-License-Identifier: GPL-2.0
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vduse.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices.h"
#include "tap.h"
#include "vduse.h"

#define NAME "vst"
#define RING 128
#define MAPS 16
#define SECTOR 512
#define LINGER_MS 300

struct map {
	uint64_t start, last;
	unsigned char *at;
};

struct server {
	int fd, kick;
	struct vduse_disk *disk;
	struct map maps[MAPS];
	struct vring ring;
	uint16_t taken;
	bool runs, ends;
};

/* In the process that serves there is no test to fail. */
static void must(bool good)
{
	if (!good)
		_exit(1);
}

static void unmap_all(struct server *s)
{
	for (struct map *m = s->maps; m < s->maps + MAPS; m++) {
		if (m->at)
			munmap(m->at, m->last - m->start + 1);
		m->at = NULL;
	}
}

static struct map *map_new(struct server *s, uint64_t iova)
{
	struct vduse_iotlb_entry e = { .start = iova, .last = iova };
	int fd = ioctl(s->fd, VDUSE_IOTLB_GET_FD, &e);
	struct map *m = s->maps;

	while (m < s->maps + MAPS && m->at)
		m++;
	must(fd >= 0 && m < s->maps + MAPS);
	m->start = e.start;
	m->last = e.last;
	m->at = mmap(NULL, e.last - e.start + 1,
		     e.perm == VDUSE_ACCESS_RO ? PROT_READ : PROT_READ | PROT_WRITE,
		     MAP_SHARED, fd, e.offset);
	must(m->at != MAP_FAILED);
	close(fd);
	return m;
}

/* What the driver calls @iova; it keeps to what lies together. */
static void *at(struct server *s, uint64_t iova)
{
	struct map *m;

	for (m = s->maps; m < s->maps + MAPS; m++)
		if (m->at && iova >= m->start && iova <= m->last)
			return m->at + (iova - m->start);
	m = map_new(s, iova);
	return m->at + (iova - m->start);
}

/* A piece of data, @done bytes into the request. */
static uint8_t piece(struct server *s, const struct virtio_blk_outhdr *h, void *p, uint32_t len,
		     uint64_t done)
{
	uint64_t from = le64toh(h->sector) * SECTOR + done;

	switch (le32toh(h->type)) {
	case VIRTIO_BLK_T_SECURE_ERASE:
		/*
		 * Counted, and not done: Linux puts the ranges where a device is to
		 * write (virtblk_add_req(), 6.12), and VDUSE shows it no such bytes.
		 */
		s->disk->erases++;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID:
		memset(p, 0, len);
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_IN:
		if (from + len <= VDUSE_DISK_BYTES)
			memcpy(p, s->disk->data + from, len);
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_OUT:
		if (from + len <= VDUSE_DISK_BYTES)
			memcpy(s->disk->data + from, p, len);
		return VIRTIO_BLK_S_OK;
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* Header, data, status, each in descriptors of its own as Linux lays them out. */
static uint32_t serve(struct server *s, uint16_t head)
{
	const struct vring_desc *d = &s->ring.desc[head];
	const struct virtio_blk_outhdr *h = at(s, le64toh(d->addr));
	uint8_t status = VIRTIO_BLK_S_OK;
	uint64_t done = 0;

	while (le16toh(d->flags) & VRING_DESC_F_NEXT) {
		d = &s->ring.desc[le16toh(d->next)];
		if (!(le16toh(d->flags) & VRING_DESC_F_NEXT))
			break;
		if (status == VIRTIO_BLK_S_OK)
			status = piece(s, h, at(s, le64toh(d->addr)), le32toh(d->len), done);
		done += le32toh(d->len);
	}
	*(uint8_t *)at(s, le64toh(d->addr)) = status;
	return le32toh(h->type) == VIRTIO_BLK_T_OUT ? 1 : done + 1;
}

static void serve_all(struct server *s)
{
	struct vring *r = &s->ring;
	uint16_t before = s->taken;
	uint32_t index = 0;

	while (s->taken != __atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE)) {
		uint16_t head = le16toh(r->avail->ring[s->taken++ % r->num]);
		uint16_t used = r->used->idx;

		r->used->ring[used % r->num] = (struct vring_used_elem){
			.id = htole32(head), .len = htole32(serve(s, head)) };
		__atomic_store_n(&r->used->idx, used + 1, __ATOMIC_RELEASE);
	}
	/* It is refused before the kernel knows that the driver is ready. */
	must(s->taken == before || !ioctl(s->fd, VDUSE_VQ_INJECT_IRQ, &index));
}

static void start(struct server *s)
{
	struct vduse_vq_eventfd kick = { .fd = s->kick };
	struct vduse_vq_info info = { .index = 0 };

	must(!ioctl(s->fd, VDUSE_VQ_GET_INFO, &info) && info.ready);
	must(!ioctl(s->fd, VDUSE_VQ_SETUP_KICKFD, &kick));
	s->ring = (struct vring){
		.num = info.num, .desc = at(s, info.desc_addr),
		.avail = at(s, info.driver_addr), .used = at(s, info.device_addr),
	};
	s->taken = info.split.avail_index;
	s->runs = true;
}

/* Answers the kernel. */
static void answer(struct server *s)
{
	struct vduse_dev_request ask;
	struct vduse_dev_response say = { .result = VDUSE_REQ_RESULT_OK };

	must(read(s->fd, &ask, sizeof(ask)) == sizeof(ask));
	say.request_id = ask.request_id;
	if (ask.type == VDUSE_GET_VQ_STATE)
		say.vq_state.split.avail_index = s->taken;
	/* The rings' places stay; what else was mapped is looked up anew. */
	if (ask.type == VDUSE_UPDATE_IOTLB && !s->runs)
		unmap_all(s);
	s->ends |= ask.type == VDUSE_SET_STATUS && s->runs && !ask.s.status;
	if (ask.type == VDUSE_SET_STATUS && !s->runs && ask.s.status & VIRTIO_CONFIG_S_DRIVER_OK)
		start(s);
	must(write(s->fd, &say, sizeof(say)) == sizeof(say));
}

static void serve_forever(struct server *s)
{
	struct pollfd fds[] = { { s->fd, POLLIN, 0 }, { s->kick, POLLIN, 0 } };
	eventfd_t kicks;

	for (;;) {
		/* The driver has gone, and the kernel has no more to ask. */
		if (!poll(fds, 2, s->ends ? LINGER_MS : -1))
			_exit(0);
		if (fds[0].revents)
			answer(s);
		if (fds[1].revents)
			eventfd_read(s->kick, &kicks);
		if (s->runs)
			serve_all(s);
	}
}

static void create(void)
{
	struct virtio_blk_config blk = {
		.capacity = htole64(VDUSE_DISK_BYTES / SECTOR),
		.max_secure_erase_sectors = htole32(VDUSE_ERASE_SECTORS),
		.max_secure_erase_seg = htole32(1),
		.secure_erase_sector_alignment = htole32(VDUSE_ERASE_ALIGN),
	};
	struct vduse_dev_config *c = calloc(1, sizeof(*c) + sizeof(blk));
	int fd = check_ok(open("/dev/vduse/control", O_RDWR | O_CLOEXEC));

	strcpy(c->name, NAME);
	c->device_id = VIRTIO_ID_BLOCK;
	c->features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM |
		      1ull << VIRTIO_BLK_F_SECURE_ERASE;
	c->vq_num = 1;
	c->vq_align = 4096;
	c->config_size = sizeof(blk);
	memcpy(c->config, &blk, sizeof(blk));
	check_ok(ioctl(fd, VDUSE_CREATE_DEV, c));
	close(fd);
	free(c);
}

struct vduse_disk *vduse_disk_new(void)
{
	struct vduse_vq_config ring = { .index = 0, .max_size = RING };
	struct server s = { .kick = check_ok(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) };

	if (system("modprobe -a vduse virtio_vdpa virtio_blk 2>/dev/null"))
		skip("this kernel has no VDUSE");
	s.disk = mmap(NULL, sizeof(*s.disk), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	check(s.disk != MAP_FAILED, "mmap: %m");
	create();
	s.fd = check_ok(open("/dev/vduse/" NAME, O_RDWR | O_CLOEXEC));
	check_ok(ioctl(s.fd, VDUSE_VQ_SETUP, &ring));
	/* A process of its own: it outlives the test, whose requests it serves. */
	if (!fork())
		serve_forever(&s);
	close(s.fd);
	run_command("vdpa dev add name " NAME " mgmtdev vduse");
	s.disk->path = "/dev/vda";
	check(device_sectors(s.disk->path) == VDUSE_DISK_BYTES / SECTOR, "that is another disk");
	return s.disk;
}

static bool sweep(void)
{
	char name[VDUSE_NAME_MAX] = NAME;
	int fd, r = 0;

	if (!access("/sys/bus/vdpa/devices/" NAME, F_OK) && system("vdpa dev del " NAME))
		diag("could not remove the vdpa device");
	fd = open("/dev/vduse/control", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return true;
	for (int i = 0; i < 100; i++) {
		r = ioctl(fd, VDUSE_DESTROY_DEV, name);
		if (!r || errno != EBUSY)
			break;
		sleep_ms(20);
	}
	close(fd);
	return !r || errno == EINVAL;
}

__attribute__((constructor)) static void vduse_register(void)
{
	tap_after(sweep);
}
