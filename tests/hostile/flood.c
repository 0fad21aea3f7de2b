// SPDX-License-Identifier: GPL-2.0
/* Row 28: a million bad requests, and a hundred broken rings, and a quiet log. */
#include "scene.h"
#include "tap.h"

#define REQUESTS 125000
#define STARTS 25
/* Lines of the kernel's log: not one for each of anything. */
#define LINES 20

static const struct {
	const char *name;
	uint32_t type;
	uint64_t sector;
	uint32_t len;
	uint8_t status;
} requests[] = {
	{ "unknown_type", 0xdead, 0, SECTOR, VIRTIO_BLK_S_UNSUPP },
	{ "past_the_end", VIRTIO_BLK_T_IN, ~0ull, SECTOR, VIRTIO_BLK_S_IOERR },
	{ "odd_length", VIRTIO_BLK_T_OUT, 0, 13, VIRTIO_BLK_S_IOERR },
	{ "read_only", VIRTIO_BLK_T_OUT, 0, SECTOR, VIRTIO_BLK_S_IOERR },
};

static const struct {
	const char *name;
	struct way way;
	unsigned int request;
} floods[] = {
	{ "unknown_type", { "direct", 1, false }, 0 },
	{ "unknown_type_four_queues", { "indirect", 4, true }, 0 },
	{ "past_the_end", { "direct", 4, false }, 1 },
	{ "past_the_end_indirect", { "indirect", 1, true }, 1 },
	{ "odd_length", { "indirect", 1, true }, 2 },
	{ "odd_length_four_queues", { "direct", 4, false }, 2 },
	{ "read_only", { "direct", 1, false }, 3 },
	{ "read_only_four_queues", { "indirect", 4, true }, 3 },
};

/* Eight times 125000. */
TEST_V_LIMIT(bad_requests_are_not_logged, floods, 60)
{
	const typeof(requests[0]) *r = &requests[v->request];
	struct blk blk = blk_start(&(struct blk_setup){
		.queues = v->way.queues, .num = 1024, .memory = 32 << 20, .read_only = true });
	struct carousel c[4];
	unsigned long sent = 0;
	int log = kernel_log_open();

	for (unsigned int q = 0; q < v->way.queues; q++)
		c[q] = carousel_new(blk.dev->vqs[q], v->way.indirect, r->type, r->sector, r->len);
	while (sent < REQUESTS) {
		for (unsigned int q = 0; q < v->way.queues; q++) {
			carousel_send(&c[q], c[q].n - carousel_out(&c[q]));
			sent += c[q].n;
		}
		for (unsigned int q = 0; q < v->way.queues; q++)
			check(carousel_wait(&c[q], 0), "queue %u: stalled", q);
	}
	for (unsigned int q = 0; q < v->way.queues; q++)
		check_eq(*c[q].status, r->status);
	kernel_log_check(log, LINES);
}

/* Rings that break, and are mended, and break. */
TEST_WAYS_LIMIT(broken_rings_are_not_logged, ways, 60)
{
	struct scene s = scene_start(v);
	int log = kernel_log_open();

	for (unsigned int i = 0; i < STARTS; i++) {
		vq_put_avail(s.vq, 0xffff);
		vq_publish(s.vq);
		/* Again and again, though it has stopped. */
		for (unsigned int k = 0; k < 20; k++)
			vq_kick_always(s.vq);
		check(event_wait(s.vq->err, VQ_WAIT_MS), "the error eventfd did not fire");
		scene_restart(&s);
	}
	kernel_log_check(log, LINES);
	scene_must_serve(&s, "the last start");
}
