// SPDX-License-Identifier: GPL-2.0
/* More at once than the device binds memory for; row 8 of the bug list. */
#include <string.h>
#include <sys/mman.h>

#include "load.h"
#include "tap.h"

#define SEGMENT (128u << 10)
#define SEGMENTS 254
/* What the requests of a queue may bind at a time. */
#define QUEUE_BYTES ((uint64_t)SEGMENT * SEGMENTS)
#define QUEUE_PAGES ((long)(QUEUE_BYTES / GUEST_PAGE))

/* A disk that takes all at once, answers late, and stores nothing. */
static const char *late_disk(unsigned int ms)
{
	return slow_disk_over(nullb_new(&(struct nullb){ .discards_data = true, .mb = 64 }), ms);
}

static struct blk start(const struct nullb *disk, unsigned int num, uint64_t memory)
{
	return blk_start(&(struct blk_setup){ .disk = *disk, .num = num, .memory = memory });
}

/* A read of n segments, each so far from the one before; its status. */
static const uint8_t *put_read(struct vq *vq, unsigned int n, uint32_t bytes, uint64_t at,
			       uint32_t step)
{
	static struct seg segs[1024];
	uint64_t meta = guest_alloc(&vq->dev->mem, BLK_HEADER + 1, 16);
	uint8_t *p = guest_ptr(&vq->dev->mem, meta, BLK_HEADER + 1);

	memset(p, 0, BLK_HEADER);
	p[BLK_HEADER] = BLK_NO_STATUS;
	segs[0] = (struct seg){ meta, BLK_HEADER, false };
	for (unsigned int i = 1; i <= n; i++)
		segs[i] = (struct seg){ at + (i - 1) * step, bytes, true };
	segs[n + 1] = (struct seg){ meta + BLK_HEADER, 1, true };
	vq_add(vq, segs, n + 2, 0);
	return p + BLK_HEADER;
}

/* All segments lie at the same place. */
static const uint8_t *put_aliased(struct vq *vq, unsigned int n, uint32_t bytes, uint64_t at)
{
	return put_read(vq, n, bytes, at, 0);
}

static const struct {
	const char *name;
	unsigned int segments;
} big[] = { { "1_mib", 8 }, { "4_mib", 32 } };

/*
 * A full ring of big ones: all are answered, and at no time is more bound than
 * the queue's share.
 */
TEST_V_LIMIT(full_ring_of_big_requests, big, 100)
{
	struct blk blk = blk_start(&(struct blk_setup){ .path = late_disk(200), .num = 1024 });
	unsigned int n = 1024 * 8 / v->segments;
	uint64_t at = guest_alloc(blk.mem, SEGMENT, GUEST_PAGE), end = now_ms() + 90000;
	long pins = pages_pinned(), most = 0, now;
	const uint8_t *status[1024];

	for (unsigned int i = 0; i < n; i++)
		status[i] = put_aliased(blk.vq, v->segments, SEGMENT, at);
	vq_publish(blk.vq);
	vq_kick_always(blk.vq);
	while (vq_used_idx(blk.vq) != n) {
		check(now_ms() < end, "%u of %u requests were answered", vq_used_idx(blk.vq), n);
		now = pages_pinned() - pins;
		most = now > most ? now : most;
		sleep_ms(5);
	}
	for (unsigned int i = 0; i < n; i++)
		check_eq(*status[i], VIRTIO_BLK_S_OK);
	diag("at most %ld pages were pinned at a time", most);
	check(most > 0, "no page was seen pinned: the test shows nothing");
	check(most <= QUEUE_PAGES, "%ld pages were pinned at a time, allowed are %ld", most,
	      QUEUE_PAGES);
	check_eq(pages_pinned(), pins);
}

static const struct {
	const char *name;
	unsigned int segments;
	uint32_t bytes;
	uint8_t status;
} aliases[] = {
	{ "a_page_a_thousand_times", 1000, 4096, VIRTIO_BLK_S_OK },
	{ "a_sector_a_thousand_times", 1000, 512, VIRTIO_BLK_S_OK },
	{ "most_that_is_allowed", SEGMENTS, SEGMENT, VIRTIO_BLK_S_OK },
	{ "more_than_is_allowed", SEGMENTS + 1, SEGMENT, VIRTIO_BLK_S_IOERR },
	{ "more_than_32_bits", 1000, 32 << 20, VIRTIO_BLK_S_IOERR },
};

TEST_PATHS(aliased_buffers, aliases)
{
	struct blk blk = start(&(struct nullb){ .mb = 64 }, 1024, 64 << 20);
	uint64_t at = guest_alloc(blk.mem, v->bytes, GUEST_PAGE);
	long pins = pages_pinned();
	const uint8_t *status;

	for (unsigned int i = 0; i < 4; i++) {
		status = put_aliased(blk.vq, v->segments, v->bytes, at);
		vq_publish(blk.vq);
		vq_kick(blk.vq);
		vq_get(blk.vq);
		check_eq(*status, v->status);
		check_eq(pages_pinned(), pins);
	}
}

/* The parts of a page, in requests of their own and in one. */
TEST(page_pinned_by_many_requests_is_released)
{
	struct blk blk = start(&(struct nullb){ .delay_ms = 100 }, 1024, 64 << 20);
	uint64_t at = guest_alloc(blk.mem, 4 * GUEST_PAGE, GUEST_PAGE);
	long pins = pages_pinned();

	for (unsigned int i = 0; i < 64; i++)
		put_aliased(blk.vq, 1 + i % 3, 512, at + 512 * (i % 8));
	vq_publish(blk.vq);
	vq_kick(blk.vq);
	check(event_wait(blk.vq->call, VQ_WAIT_MS), "no interrupt");
	for (unsigned int i = 0; i < 64; i++)
		vq_get(blk.vq);
	check_eq(pages_pinned(), pins);
}

static const struct {
	const char *name;
	bool write;
} directions[] = { { "read", false }, { "write", true } };

/* Through pages of our own, and more of them than a queue may have at once. */
TEST_PATHS_LIMIT(bounced_4_mib, directions, 90)
{
	struct blk blk = start(&(struct nullb){ .mb = 64, .delay_ms = 20 }, 128, 128 << 20);
	struct load l = load_new_at(blk.vq, 14, 4 << 20, 0, 1);
	long pins = pages_pinned();

	load_prefill(&l, blk.path, 1);
	load_put_all(&l, v->write, 100);
	check_eq(pages_pinned(), pins);
	load_finish(&l);
	load_check_disk(&l, blk.path);
}

/* Segments of 512 bytes on end: each takes a pin, and none may stay. */
TEST(adjoining_segments_release_their_page)
{
	struct blk blk = start(&(struct nullb){}, 128, 64 << 20);
	uint64_t at = guest_alloc(blk.mem, 32 << 10, GUEST_PAGE);
	long pins = pages_pinned();

	for (unsigned int i = 0; i < 4; i++) {
		const uint8_t *status = put_read(blk.vq, 64 - i, 512, at + 512 * i, 512);

		vq_publish(blk.vq);
		vq_kick(blk.vq);
		vq_get(blk.vq);
		check_eq(*status, VIRTIO_BLK_S_OK);
		check_eq(pages_pinned(), pins);
	}
}
