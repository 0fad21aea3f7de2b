// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory that the host may write elsewhere and drop: what a device has read into it
 * must count as changed, though no CPU wrote it, also when it was written back while the
 * read was in flight.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cgroup.h"
#include "load.h"
#include "scsi.h"
#include "tap.h"

#define DATA_GPA 0x80000000ull
#define DATA_BYTES (1ul << 20)
/* Of the reads: all of the data. */
#define READS 16u
#define READ_BYTES (DATA_BYTES / READS)

struct memory {
	int fd;
	unsigned char *at;
	unsigned char want[DATA_BYTES];
};

/* A file on a disk, shared. */
static struct memory *memory_new(void)
{
	const char *path = file_on(nullb_new(&(struct nullb){ .mb = 16 }), 1);
	struct memory *m = calloc(1, sizeof(*m));

	m->fd = check_ok(open(path, O_RDWR | O_CLOEXEC));
	m->at = mmap(NULL, DATA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	check(m->at != MAP_FAILED, "mmap: %m");
	fill(m->want, DATA_BYTES, 1);
	return m;
}

/* A disk that has the data, and is late. */
static const char *disk_with(const struct memory *m)
{
	const char *lower = nullb_new(&(struct nullb){ .mb = 16 });

	device_write(lower, 0, m->want, DATA_BYTES);
	return slow_disk_over(lower, SLOW_DISK_MS);
}

/* The reads are in flight: all that the host knows of is written back. */
static void write_back(const struct memory *m)
{
	check_ok(msync(m->at, DATA_BYTES, MS_SYNC));
	check_ok(fsync(m->fd));
}

/* The host drops what it need not write any more, and reads it again. */
static void check_kept(struct memory *m)
{
	unsigned char *got = malloc(DATA_BYTES);

	check_same(m->at, m->want, DATA_BYTES, "the memory");
	check_ok(munmap(m->at, DATA_BYTES));
	check_ok(fsync(m->fd));
	check_ok(posix_fadvise(m->fd, 0, 0, POSIX_FADV_DONTNEED));
	check_eq(pread(m->fd, got, DATA_BYTES, 0), DATA_BYTES);
	check_same(got, m->want, DATA_BYTES, "the file");
}

/* A device over that disk, with that memory: its queue. */
static struct vq *start_blk(const char *disk, void *at)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .path = disk });

	guest_add_at(blk.mem, DATA_GPA, DATA_BYTES, at);
	vdev_start(blk.dev);
	return blk.vq;
}

static void put_blk(struct vq *vq, unsigned int i)
{
	struct virtio_blk_outhdr hdr = { .sector = i * READ_BYTES / SECTOR };
	struct guest *mem = &vq->dev->mem;
	uint64_t meta = guest_alloc(mem, BLK_HEADER + 1, 16);
	struct seg segs[] = {
		{ meta, BLK_HEADER, false }, { DATA_GPA + i * READ_BYTES, READ_BYTES, true },
		{ meta + BLK_HEADER, 1, true },
	};

	memcpy(guest_ptr(mem, meta, BLK_HEADER), &hdr, BLK_HEADER);
	vq_add(vq, segs, ARRAY_SIZE(segs), VQ_DIRECT);
}

static struct vq *start_scsi(const char *disk, void *at, bool direct)
{
	struct scsi_lun lun = { .path = disk };
	struct vdev *dev = scsi_start(scsi_target_with(&lun), 1, 64, SCSI_FEATURES);

	scsi_set_direct(direct);
	guest_add_at(&dev->mem, DATA_GPA, DATA_BYTES, at);
	vdev_start(dev);
	return scsi_queue(dev, 0);
}

static struct vq *start_short(const char *disk, void *at)
{
	return start_scsi(disk, at, true);
}

static struct vq *start_long(const char *disk, void *at)
{
	return start_scsi(disk, at, false);
}

static void put_scsi(struct vq *vq, unsigned int i)
{
	struct scsi_io io = scsi_read10(i * READ_BYTES / SCSI_BLOCK, READ_BYTES / SCSI_BLOCK,
					DATA_GPA + i * READ_BYTES);

	scsi_add(vq, &io);
}

static const struct device {
	const char *name;
	struct vq *(*start)(const char *disk, void *at);
	void (*put)(struct vq *vq, unsigned int i);
} devices[] = {
	{ "blk", start_blk, put_blk }, { "scsi_short_way", start_short, put_scsi },
	{ "scsi_long_way", start_long, put_scsi },
};

/* The disk is late, so that what was taken is in flight. */
static void wait_taken(struct vq *vq)
{
	uint64_t end = now_ms() + VQ_WAIT_MS;

	for (; (uint16_t)vq_get_base(vq) != vq->published_idx; sleep_ms(1))
		check(now_ms() < end, "reads stay in the ring");
}

static void put_reads(struct vq *vq, const struct device *d)
{
	for (unsigned int i = 0; i < READS; i++)
		d->put(vq, i);
	blk_send(vq);
	wait_taken(vq);
}

TEST_V(what_was_read_is_kept, devices)
{
	struct memory *m = memory_new();
	struct vq *vq = v->start(disk_with(m), m->at);

	put_reads(vq, v);
	write_back(m);
	for (unsigned int i = 0; i < READS; i++)
		vq_get(vq);
	vdev_stop(vq->dev);
	check_kept(m);
}

/* A private mapping: what is read is the guest's, and not in the file. */
TEST_V(private_file_stays_as_it_is, devices)
{
	struct memory *m = memory_new();
	unsigned char *got = malloc(DATA_BYTES), *was = calloc(1, DATA_BYTES);
	struct vq *vq;

	check_ok(munmap(m->at, DATA_BYTES));
	m->at = mmap(NULL, DATA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, m->fd, 0);
	check(m->at != MAP_FAILED, "mmap: %m");
	vq = v->start(disk_with(m), m->at);
	put_reads(vq, v);
	for (unsigned int i = 0; i < READS; i++)
		vq_get(vq);
	check_same(m->at, m->want, DATA_BYTES, "the memory");
	check_eq(pread(m->fd, got, DATA_BYTES, 0), DATA_BYTES);
	check_same(got, was, DATA_BYTES, "the file");
}

/* Of a huge page, that is held from one request to the next. */

static unsigned char *held_memory(void)
{
	unsigned char *p = huge_memory(HUGE_PAGE, BLK_UNTOUCHED);

	check(!madvise(p, HUGE_PAGE, MADV_DONTFORK), "madvise: %m");
	return p;
}

/* All that can be had back: pages that MADV_FREE has given up and nobody changed since. */
static void reclaim(const char *group)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/memory.reclaim", group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		skip("this kernel has no memory.reclaim: %m");
	for (unsigned int i = 0; i < 8; i++)
		if (write(fd, "64M", 3) < 0)
			break;
	close(fd);
}

/* The owner gives the page up while a read into it is in flight, and it is changed then. */
TEST(read_of_a_held_page_is_kept)
{
	const char *group = cgroup_new(), *lower = nullb_new(&(struct nullb){ .mb = 16 });
	const char *disk = dm_linear_new(lower, device_sectors(lower));
	uint64_t end = now_ms() + patience(10000);
	unsigned char want[LOAD_BYTES], *p;
	struct blk blk;
	struct load l;

	cgroup_enter(group);
	p = held_memory();
	blk = blk_prepare(&(struct blk_setup){ .path = disk, .num = 256 });
	guest_add_at(blk.mem, DATA_GPA, HUGE_PAGE, p);
	vdev_start(blk.dev);
	l = load_new_at(blk.vq, 64, LOAD_BYTES, 1, 0);
	load_prefill(&l, lower, 7);
	do {
		check(now_ms() < end, "no page is held");
		load_put_all(&l, false, 0);
		load_finish(&l);
		sleep_ms(20);
	} while (!pinned_kib());
	disk_suspend(disk);
	load_put(&l, 0, false, 0);
	load_send(&l);
	load_wait_taken(&l);
	check(!madvise(p, HUGE_PAGE, MADV_FREE), "madvise: %m");
	disk_resume(disk);
	load_finish(&l);
	for (; pinned_kib(); sleep_ms(20))
		check(now_ms() < end + patience(10000), "the page is not let go of");
	reclaim(group);
	fill(want, LOAD_BYTES, l.slots[0].on_disk);
	check_same(load_data(&l, &l.slots[0]), want, LOAD_BYTES, "what was read");
	vdev_stop(blk.dev);
}
