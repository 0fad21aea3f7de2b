// SPDX-License-Identifier: GPL-2.0
/* Huge pages that stay pinned between requests, and what must make the device let go. */
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load.h"
#include "tap.h"

#define SYSCTL_VM "/proc/sys/vm"
#define DATA_GPA 0x80000000ull
#define DATA_PAGES 8
#define DATA_BYTES (DATA_PAGES * HUGE_PAGE)
/* Of so much sent in one of them the device takes note, and pins it. */
#define MISSED_BYTES (256 << 10)
/* So often it is to be met in the midst of that. */
#define MEETINGS 36
/* No page is held after that, though nothing but time has passed. */
#define IDLE_MS patience(12000)
/* The same when it was told. */
#define LET_GO_MS patience(2000)

struct scene {
	struct blk blk;
	const char *lower;
	struct guest_region *data;
	/* Pages pinned when nothing was. */
	long pins;
};

static void *map_at(void *at, size_t bytes, int flags, int fd)
{
	void *p = mmap(at, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	check(p != MAP_FAILED, "mmap: %m");
	return p;
}

/* Bytes of /proc/self/smaps that are in huge pages, of what @at is in. */
static unsigned long huge_bytes(const void *at)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long from, to, kib, sum = 0;
	bool in = false;
	char line[256];

	check(f, "/proc/self/smaps: %m");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			in = from <= (unsigned long)at && (unsigned long)at < to;
		else if (in && (sscanf(line, "AnonHugePages: %lu", &kib) == 1 ||
				sscanf(line, "Private_Hugetlb: %lu", &kib) == 1 ||
				sscanf(line, "Shared_Hugetlb: %lu", &kib) == 1))
			sum += kib << 10;
	}
	fclose(f);
	return sum;
}

static void *thp_for_forks(void)
{
	return huge_memory(DATA_BYTES, BLK_UNTOUCHED);
}

/* As QEMU has a guest's. */
static void *thp(void)
{
	void *p = thp_for_forks();

	check(!madvise(p, DATA_BYTES, MADV_DONTFORK), "madvise: %m");
	return p;
}

static bool no_hugepages(void)
{
	FILE *f = fopen(SYSCTL_VM "/nr_hugepages", "we");

	return f && fputs("0\n", f) >= 0 && !fclose(f);
}

__attribute__((constructor)) static void hold_register(void)
{
	tap_after(no_hugepages);
}

static void *hugetlb(void)
{
	char pages[16];
	void *p;

	snprintf(pages, sizeof(pages), "%u", DATA_PAGES);
	put_attribute(SYSCTL_VM, "nr_hugepages", pages);
	p = map_at(NULL, DATA_BYTES, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	memset(p, BLK_UNTOUCHED, DATA_BYTES);
	return p;
}

static void *small_pages(void)
{
	char *p = map_at(NULL, DATA_BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	check(!madvise(p, DATA_BYTES, MADV_NOHUGEPAGE), "madvise: %m");
	check(!madvise(p, DATA_BYTES, MADV_DONTFORK), "madvise: %m");
	memset(p, BLK_UNTOUCHED, DATA_BYTES);
	return p;
}

/* The data lies in region 1. */
static struct scene scene_over(const char *lower, const char *path, void *data,
			       unsigned int queues)
{
	struct scene s = { .lower = lower };

	s.blk = blk_prepare(&(struct blk_setup){ .path = path, .queues = queues, .num = 512 });
	guest_add_at(s.blk.mem, DATA_GPA, DATA_BYTES, data);
	s.data = &s.blk.mem->region[1];
	s.pins = pages_pinned();
	vdev_start(s.blk.dev);
	return s;
}

static struct scene scene_new(void *data, unsigned int queues)
{
	const char *disk = nullb_new(&(struct nullb){ .mb = 64 });

	return scene_over(disk, disk, data, queues);
}

/* All of the data but for a rest, in requests of that many bytes. */
static struct load load_all(struct scene *s, unsigned int queue, uint32_t bytes,
			    unsigned int offset)
{
	unsigned int room = DATA_BYTES / s->blk.dev->nvqs / (bytes + 2 * GUEST_PAGE);

	return load_new_at(s->blk.dev->vqs[queue], room < 100 ? room : 100, bytes, 1, offset);
}

/* Makes requests until some of the load's have had their pages held. */
static void hold(struct load *l)
{
	uint64_t end = now_ms() + patience(5000), seed = 1;
	unsigned long long before, held;

	load_put_all(l, true, seed);
	load_finish(l);
	before = vdev_stat(l->vq->index, "held", 1);
	do {
		check(now_ms() < end, "no page is held");
		load_put_all(l, true, seed += 1000);
		load_finish(l);
		load_put_all(l, false, 0);
		load_finish(l);
		vq_settle(l->vq);
		held = vdev_stat(l->vq->index, "held", 1) - before;
	} while (held < l->n / 2);
}

static void expect_let_go(const struct scene *s, unsigned int ms)
{
	uint64_t end = now_ms() + ms;

	while (pages_pinned() != s->pins) {
		check(now_ms() < end, "%ld pages stay pinned", pages_pinned() - s->pins);
		sleep_ms(10);
	}
}

static const struct {
	const char *name;
	void *(*memory)(void);
	unsigned int queues;
	uint32_t bytes;
	unsigned int offset;
} sorts[] = {
	{ "thp", thp, 1, 4096, 0 },
	{ "thp_4_queues", thp, 4, 4096, 0 },
	{ "hugetlb", hugetlb, 1, 4096, 0 },
	{ "hugetlb_4_queues", hugetlb, 4, 65536, 0 },
	{ "sectors_past_a_page", thp, 1, 4096, 512 },
	{ "across_two_pages", thp, 1, 300 << 10, 0 },
	{ "more_than_a_page", thp, 1, 3 << 20, 1536 },
};

TEST_PATHS(data_in_held_pages_is_right, sorts)
{
	struct scene s = scene_new(v->memory(), v->queues);
	struct load l[4];

	check_eq(huge_bytes(s.data->hva), DATA_BYTES);
	for (unsigned int q = 0; q < v->queues; q++)
		l[q] = load_all(&s, q, v->bytes, v->offset);
	for (unsigned int q = 0; q < v->queues; q++)
		hold(&l[q]);
	diag("%ld pins, %lu KiB accounted", pages_pinned() - s.pins, pinned_kib());
	check(pages_pinned() > s.pins, "nothing is pinned");
	check_eq(pinned_kib(), (pages_pinned() - s.pins) * HUGE_PAGE >> 10);
	for (unsigned int round = 0; round < 5; round++) {
		for (unsigned int q = 0; q < v->queues; q++)
			load_put_all(&l[q], true, 5000 * round + 1000 * q);
		loads_finish(l, v->queues);
		for (unsigned int q = 0; q < v->queues; q++)
			load_check_disk(&l[q], s.lower);
		loads_put_all(l, v->queues, false, 0);
		loads_finish(l, v->queues);
	}
}

/* A block that lies in two of them is pinned as ever. */
TEST(block_in_two_pages_is_right)
{
	const char *disk = loop_new(64, 4096);
	struct scene s = scene_over(disk, disk, thp(), 1);
	struct load l = load_all(&s, 0, 300 << 10, 512);

	for (unsigned int round = 0; round < 5; round++) {
		hold(&l);
		load_check_disk(&l, s.lower);
	}
}

static const struct {
	const char *name;
	void *(*memory)(void);
} unheld[] = { { "small_pages", small_pages }, { "copied_by_a_fork", thp_for_forks } };

TEST_PATHS(memory_that_is_not_to_be_held, unheld)
{
	struct scene s = scene_new(v->memory(), 1);
	struct load l = load_all(&s, 0, 65536, 0);

	for (unsigned int round = 0; round < 100; round++) {
		load_put_all(&l, !(round % 2), round * 1000);
		load_finish(&l);
	}
	sleep_ms(500);
	check_eq(pages_pinned(), s.pins);
	check_eq(vdev_stat(0, "held", 1), 0);
	check_eq(pinned_kib(), 0);
}

/* The same memory at two places of the guest's. */
TEST(memory_that_is_there_twice_ok)
{
	const char *disk = nullb_new(&(struct nullb){ .mb = 64 });
	struct scene s = { .lower = disk };
	struct load l[2];
	char *p = thp();

	s.blk = blk_prepare(&(struct blk_setup){ .path = disk, .num = 512 });
	guest_add_at(s.blk.mem, DATA_GPA, DATA_BYTES, p);
	guest_add_at(s.blk.mem, 2 * DATA_GPA, DATA_BYTES / 2, p + HUGE_PAGE);
	vdev_start(s.blk.dev);
	for (unsigned int i = 0; i < 2; i++)
		l[i] = load_new_at(s.blk.vq, 12, 300 << 10, 1 + i, 0);
	for (unsigned int round = 0; round < 20; round++) {
		/* One after the other: they have the same memory. */
		for (unsigned int i = 0; i < 2; i++) {
			load_put_all(&l[i], true, 1000 * round);
			load_finish(&l[i]);
			load_check_disk(&l[i], disk);
			load_put_all(&l[i], false, 0);
			load_finish(&l[i]);
		}
		sleep_ms(20);
	}
	check(vdev_stat(0, "held", 1) > 0, "no page is held");
}

TEST(idle_pages_are_let_go)
{
	struct scene s = scene_new(thp(), 1);
	struct load l = load_all(&s, 0, 65536, 0);

	hold(&l);
	check(pages_pinned() > s.pins, "nothing is pinned");
	expect_let_go(&s, IDLE_MS);
	check_eq(pinned_kib(), 0);
	hold(&l);
}

static void set_mem_table(struct scene *s)
{
	check_ok(vdev_set_mem_table(s->blk.dev));
}

static void detach(struct scene *s)
{
	vdev_stop(s->blk.dev);
}

static const struct {
	const char *name;
	void (*act)(struct scene *s);
} ends[] = { { "set_mem_table", set_mem_table }, { "detach", detach } };

/* Nothing is held when the ioctl returns. */
TEST_PATHS(pages_are_let_go_at_once, ends)
{
	struct scene s = scene_new(thp(), 1);
	struct load l = load_all(&s, 0, 65536, 0);

	hold(&l);
	v->act(&s);
	check_eq(pages_pinned(), s.pins);
	check_eq(pinned_kib(), 0);
}

static void map_over(void *at, size_t bytes)
{
	map_at(at, bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
	check(!madvise(at, bytes, MADV_DONTFORK), "madvise: %m");
}

static void map_other(struct scene *s)
{
	map_over(s->data->hva, DATA_BYTES);
	memset(s->data->hva, BLK_UNTOUCHED, DATA_BYTES);
}

static void drop(struct scene *s)
{
	check(!madvise(s->data->hva, DATA_BYTES, MADV_DONTNEED), "madvise: %m");
}

/* The pages go elsewhere, others come in their place. */
static void move(struct scene *s)
{
	void *elsewhere = map_at(NULL, DATA_BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	check(mremap(s->data->hva, DATA_BYTES, DATA_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		     elsewhere) == elsewhere, "mremap: %m");
	map_other(s);
}

/* All of a huge page but for one small one stays. */
static void pierce(struct scene *s)
{
	for (size_t at = GUEST_PAGE * 5; at < DATA_BYTES; at += HUGE_PAGE)
		check(!madvise((char *)s->data->hva + at, GUEST_PAGE, MADV_DONTNEED),
		      "madvise: %m");
}

/* As a debugger's look at what was written does; what is there stays. */
static void protect(struct scene *s)
{
	check(!mprotect(s->data->hva, DATA_BYTES, PROT_READ), "mprotect: %m");
	check(!mprotect(s->data->hva, DATA_BYTES, PROT_READ | PROT_WRITE), "mprotect: %m");
}

/* Its pages are copied when they are written: the device's must be those. */
static void fork_and_write(struct scene *s)
{
	pid_t child;

	check(!madvise(s->data->hva, DATA_BYTES, MADV_DOFORK), "madvise: %m");
	child = check_ok(fork());
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
	}
	memset(s->data->hva, BLK_UNTOUCHED, DATA_BYTES);
}

/*
 * Huge pages that are mapped by small ones: a change of one of these tells of it alone. The
 * kernel may undo it any time, though it seldom does.
 */
static void map_by_small_ones(struct scene *s)
{
	for (unsigned int try = 0; huge_bytes(s->data->hva); try++) {
		check(try < 10, "they are still mapped as huge ones");
		for (size_t at = 0; at < DATA_BYTES; at += HUGE_PAGE) {
			char *page = (char *)s->data->hva + at;

			check(!mprotect(page, GUEST_PAGE, PROT_READ), "mprotect: %m");
			check(!mprotect(page, GUEST_PAGE, PROT_READ | PROT_WRITE), "mprotect: %m");
		}
	}
}

static const struct {
	const char *name;
	void (*act)(struct scene *s);
	/* After some there is nothing to hold. */
	unsigned int rounds;
	void (*before)(struct scene *s);
} changes[] = {
	{ "mapped_over", map_other, 5 }, { "dropped", drop, 5 }, { "moved", move, 5 },
	{ "protected", protect, 5 }, { "pierced", pierce, 1 },
	{ "pierced_when_mapped_by_small_ones", pierce, 1, map_by_small_ones },
	{ "forked", fork_and_write, 1 },
};

/* Requests use what is mapped when they are made, whatever was held before. */
TEST_PATHS(changed_mapping_is_seen, changes)
{
	struct scene s = scene_new(thp(), 1);
	struct load l = load_all(&s, 0, 65536, 0);

	if (v->before)
		v->before(&s);
	for (unsigned int round = 0; round < v->rounds; round++) {
		hold(&l);
		v->act(&s);
		load_put_all(&l, false, 0);
		load_finish(&l);
		load_put_all(&l, true, 7000 * round);
		load_finish(&l);
		load_check_disk(&l, s.lower);
	}
	detach(&s);
	check_eq(pages_pinned(), s.pins);
}

/* Writes a sector of each huge page, at its beginning, and looks for it on the disk. */
static void check_each_page(struct scene *s, uint64_t seed)
{
	unsigned char got[SECTOR], *data;

	for (unsigned int i = 0; i < DATA_PAGES; i++) {
		data = (unsigned char *)s->data->hva + i * HUGE_PAGE;
		fill(data, SECTOR, seed + i);
		blk_transfer(s->blk.vq, VIRTIO_BLK_T_OUT, i, DATA_GPA + i * HUGE_PAGE, SECTOR);
		device_read(s->lower, i * SECTOR, got, SECTOR);
		check_same(got, data, SECTOR, "the medium");
	}
}

static void wait_for_pins(void)
{
	uint64_t end = now_ms() + patience(2000);

	while (!pinned_kib())
		check(now_ms() < end, "no page is held");
}

/* From the last one on, so that it meets the device, which pins from the first one on. */
static void map_others_backwards(struct scene *s)
{
	for (unsigned int i = DATA_PAGES; i--;)
		map_over((char *)s->data->hva + i * HUGE_PAGE, HUGE_PAGE);
}

/*
 * Mapped over while the device pins one after the other: it must not take for the mapping what
 * was one before. Mapped by small ones, which takes longest to pin; begun anew each time, for
 * the device has no patience with pages that were not there.
 */
TEST_LIMIT(mapped_over_while_they_are_pinned, 60)
{
	struct scene s = scene_new(thp(), 1);
	uint64_t end = now_ms() + stress_ms(15000);
	unsigned int rounds, met = 0;

	for (rounds = 0; met < MEETINGS && now_ms() < end; rounds++) {
		detach(&s);
		check(!s.blk.dev->ops->attach(s.blk.dev), "attach: %m");
		map_by_small_ones(&s);
		for (unsigned int i = 0; i < DATA_PAGES; i++)
			blk_transfer(s.blk.vq, VIRTIO_BLK_T_IN, 64, DATA_GPA + i * HUGE_PAGE,
				     MISSED_BYTES);
		wait_for_pins();
		map_others_backwards(&s);
		met += pinned_kib() < DATA_BYTES >> 10;
		check_each_page(&s, rounds);
	}
	check(met, "the device was never met while it pinned: this shows nothing");
	diag("%u rounds, met in %u", rounds, met);
}

/*
 * Reads in held pages of a disk that hangs, whose pages are then closed. They stay pinned, to
 * the last one, for longer than the device waits between two looks for their readers. The
 * disk goes on soon after that.
 */
static struct load reads_in_closed_pages(struct scene *s, void (*close)(struct scene *s))
{
	struct load l = load_new_at(s->blk.vq, 100, LOAD_BYTES, 1, 0);
	long pins, left;

	hold(&l);
	disk_suspend(s->blk.path);
	load_put_all(&l, false, 0);
	load_wait_taken(&l);
	pins = pages_pinned();
	check(pins > s->pins, "nothing is pinned under reads in flight");
	close(s);
	sleep_ms(500);
	left = pages_pinned();
	disk_resume_soon(s->blk.path);
	check_eq(left, pins);
	return l;
}

static struct scene scene_that_hangs(void)
{
	const char *lower = nullb_new(&(struct nullb){ .mb = 64 });

	return scene_over(lower, dm_linear_new(lower, (64 << 20) / SECTOR), thp(), 1);
}

static void unmap(struct scene *s)
{
	check(!munmap(s->data->hva, DATA_BYTES), "munmap: %m");
}

/* What a request in flight uses stays till it has ended, and no longer. */
TEST(munmap_under_reads_of_held_pages)
{
	struct scene s = scene_that_hangs();
	struct load l = reads_in_closed_pages(&s, unmap);

	for (unsigned int i = 0; i < l.n; i++)
		vq_get(s.blk.vq);
	for (unsigned int i = 0; i < l.n; i++)
		check_eq(*load_status(&l, &l.slots[i]), VIRTIO_BLK_S_OK);
	expect_let_go(&s, LET_GO_MS);
}

/* The stop comes while closed pages wait for a request that hangs. */
TEST(stop_while_closed_pages_wait)
{
	struct scene s = scene_that_hangs();

	reads_in_closed_pages(&s, drop);
	detach(&s);
	check_eq(pages_pinned(), s.pins);
	check_eq(pinned_kib(), 0);
}

/* Reads of all of the data, of which there is no room for two at a time. */
static void put_reads_of_all(struct scene *s, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		uint64_t meta = guest_alloc(s->blk.mem, BLK_HEADER + 1, 16);
		struct seg segs[] = {
			{ meta, BLK_HEADER, false }, { DATA_GPA, DATA_BYTES, true },
			{ meta + BLK_HEADER, 1, true },
		};

		memset(guest_ptr(s->blk.mem, meta, BLK_HEADER), 0, BLK_HEADER);
		vq_add(s->blk.vq, segs, ARRAY_SIZE(segs), VQ_DIRECT);
	}
	blk_send(s->blk.vq);
}

/* Those that wait for their turn use nothing meanwhile: the stop finds no reader. */
TEST(large_held_requests_wait_their_turn)
{
	const char *lower = nullb_new(&(struct nullb){ .mb = 64 });
	struct scene s = scene_over(lower, slow_disk_over(lower, 100), thp(), 1);
	struct load l = load_all(&s, 0, 300 << 10, 0);
	uint64_t end = now_ms() + patience(15000);

	do {
		check(now_ms() < end, "not all pages are held");
		hold(&l);
	} while (pages_pinned() < s.pins + DATA_PAGES);
	put_reads_of_all(&s, 4);
	for (unsigned int i = 0; i < 4; i++)
		vq_get(s.blk.vq);
	detach(&s);
	check_eq(pages_pinned(), s.pins);
	check_eq(pinned_kib(), 0);
}

/* Held pages are writable; memory that is no more is not written. */
TEST(read_only_memory_is_not_written)
{
	struct scene s = scene_new(thp(), 1);
	struct load l = load_new_at(s.blk.vq, 100, LOAD_BYTES, 1, 0);
	struct snapshot before;

	hold(&l);
	load_put_all(&l, true, 1);
	load_finish(&l);
	for (unsigned int i = 0; i < l.n; i++)
		load_put(&l, i, false, 0);
	before = snapshot_take(s.data->hva, DATA_BYTES);
	check(!mprotect(s.data->hva, DATA_BYTES, PROT_READ), "mprotect: %m");
	load_send(&l);
	for (unsigned int i = 0; i < l.n; i++)
		vq_get(s.blk.vq);
	for (unsigned int i = 0; i < l.n; i++)
		check_eq(*load_status(&l, &l.slots[i]), VIRTIO_BLK_S_IOERR);
	snapshot_check(&before, 0, "read-only memory");
}

static void drop_capability(unsigned int capability)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	check_ok(syscall(SYS_capget, &head, data));
	data[0].effective &= ~(1u << capability);
	check_ok(syscall(SYS_capset, &head, data));
}

/* An owner that may lock three pages has no more held, and lacks nothing. */
TEST(memlock_limit_is_kept)
{
	struct rlimit limit = { 3 * HUGE_PAGE, 3 * HUGE_PAGE };
	void *data = thp();
	struct scene s;
	struct load l;

	check_ok(setrlimit(RLIMIT_MEMLOCK, &limit));
	drop_capability(CAP_IPC_LOCK);
	s = scene_new(data, 1);
	l = load_all(&s, 0, 65536, 0);
	for (unsigned int round = 0; round < 20; round++) {
		load_put_all(&l, true, 1000 * round);
		load_finish(&l);
		load_check_disk(&l, s.lower);
		load_put_all(&l, false, 0);
		load_finish(&l);
		sleep_ms(20);
	}
	check_eq(pinned_kib(), 3 * HUGE_PAGE >> 10);
	check_eq(pages_pinned() - s.pins, 3);
}

struct change {
	void *at;
	volatile bool stop;
};

/* Each change makes the device let go of all, in the midst of it. */
static void *change_all_the_time(void *arg)
{
	struct change *change = arg;
	int prot = PROT_READ | PROT_WRITE;

	while (!change->stop) {
		check(!mprotect(change->at, DATA_BYTES, prot ^= PROT_EXEC), "mprotect: %m");
		sleep_ms(patience(150));
	}
	return NULL;
}

static unsigned long long held_of(const struct scene *s)
{
	unsigned long long held = 0;

	for (unsigned int q = 0; q < s->blk.dev->nvqs; q++)
		held += vdev_stat(q, "held", 1);
	return held;
}

/* For some seconds, and until pages were held in between. */
TEST_LIMIT(changes_under_load, 60)
{
	struct scene s = scene_new(thp(), 4);
	uint64_t end = now_ms() + stress_ms(2500), last = now_ms() + patience(30000);
	struct change change = { s.data->hva, false };
	struct load l[4];
	pthread_t thread;

	for (unsigned int q = 0; q < 4; q++)
		l[q] = load_all(&s, q, 16384, 0);
	check(!pthread_create(&thread, NULL, change_all_the_time, &change), "no thread");
	for (unsigned int round = 0; now_ms() < end || !held_of(&s); round++) {
		check(now_ms() < last, "no page is held");
		loads_put_all(l, 4, !(round % 2), 1000 * round);
		loads_finish(l, 4);
	}
	change.stop = true;
	check(!pthread_join(thread, NULL), "pthread_join");
	for (unsigned int q = 0; q < 4; q++)
		load_check_disk(&l[q], s.lower);
	diag("%llu requests in held pages", held_of(&s));
	detach(&s);
	check_eq(pages_pinned(), s.pins);
}
