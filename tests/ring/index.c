// SPDX-License-Identifier: GPL-2.0
/* The rings' indices: where they start, wrap and end; sizes of rings. */
#include <string.h>
#include <sys/ioctl.h>

#include "blk.h"
#include "tap.h"

struct mode {
	const char *name;
	uint64_t features;
};

static const struct mode modes[] = {
	{ "flags", BLK_FEATURES },
	{ "event_idx", BLK_FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX) },
};

static const struct blk_io flush = { .type = VIRTIO_BLK_T_FLUSH };

/* Single requests up to the wrap, then batches over a second one. */
TEST_PATHS(wrap_past_65535_ok, modes)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .features = v->features });
	unsigned char data[SECTOR], got[SECTOR];

	vq_set_base(blk.vq, 65535 - 40);
	vdev_start(blk.dev);
	for (unsigned int i = 0; i < 80; i++) {
		fill(data, SECTOR, i);
		blk_write(blk.vq, i, data, SECTOR);
		blk_read(blk.vq, i, got, SECTOR);
		check_same(got, data, SECTOR, "the data");
	}
	check_eq(blk.vq->last_used, 160 - 41);
	vdev_stop(blk.dev);
	check_eq(vq_get_base(blk.vq), 160 - 41);
}

TEST_PATHS(batches_over_the_wrap_ok, modes)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .features = v->features });

	vq_set_base(blk.vq, 65535 - 32 - 5);
	vdev_start(blk.dev);
	for (unsigned int round = 0; round < 8; round++)
		blk_batch(blk.vq, &flush, 32);
	vq_quiet(blk.vq, 50);
}

/*
 * A fresh ring that begins elsewhere: the avail_event in it is stale, and no kick
 * is sent by its measure. The device looks at a ring when it starts, and says
 * from where on it wants kicks.
 */
TEST(start_asks_for_kicks_anew)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .features = modes[1].features });

	vq_set_base(blk.vq, 30000);
	memset(&blk.vq->used->ring[blk.vq->num], 0, 2);
	vdev_start(blk.dev);
	for (uint64_t end = now_ms() + VQ_WAIT_MS; now_ms() < end; sleep_ms(1))
		if (vq_avail_event(blk.vq) == 30000)
			break;
	check_eq(vq_avail_event(blk.vq), 30000);
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
}

/* What was made available, or even kicked, before the start is not lost. */
static void request_before_start(uint64_t features, bool kick)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .features = features });
	struct blk_req req[3];

	for (unsigned int i = 0; i < ARRAY_SIZE(req); i++)
		req[i] = blk_add(blk.vq, &flush);
	vq_publish(blk.vq);
	if (kick)
		vq_kick_always(blk.vq);
	vdev_start(blk.dev);
	blk_reap(blk.vq, req, ARRAY_SIZE(req));
}

TEST_PATHS(requests_before_start_are_served, modes)
{
	request_before_start(v->features, false);
}

TEST_PATHS(kick_before_start_is_not_lost, modes)
{
	request_before_start(v->features, true);
}

TEST_PATHS(stop_and_start_goes_on_where_it_was, modes)
{
	struct blk blk = blk_start(&(struct blk_setup){ .features = v->features });

	for (unsigned int round = 1; round <= 5; round++) {
		blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
		vdev_stop(blk.dev);
		check_eq(vq_get_base(blk.vq), round);
		check_ok(blk_set_backend(blk.dev, blk.fd));
	}
}

static const struct {
	const char *name;
	unsigned int num;
} sizes[] = {
	{ "2", 2 }, { "4", 4 }, { "8", 8 }, { "16", 16 }, { "32", 32 }, { "64", 64 },
	{ "128", 128 }, { "256", 256 }, { "512", 512 }, { "1024", 1024 },
};

/* As many requests as fit: direct pairs fill the descriptors. */
TEST_V(queue_full_of_requests_ok, sizes)
{
	const struct blk_layout one = { "", .direct = VQ_DIRECT, .packed = true };
	struct blk blk = blk_start(&(struct blk_setup){ .num = v->num });
	struct blk_io io = { .type = VIRTIO_BLK_T_FLUSH, .layout = &one };

	for (unsigned int round = 0; round < 3; round++)
		blk_batch(blk.vq, &io, v->num / 2);
	vq_quiet(blk.vq, 20);
}

/* The ring's whole length in flight: avail index = last used + num. */
TEST_V(queue_full_of_indirect_requests_ok, sizes)
{
	const struct blk_layout table = { "", .packed = true };
	struct blk blk = blk_start(&(struct blk_setup){ .num = v->num });
	struct blk_io io = { .type = VIRTIO_BLK_T_FLUSH, .layout = &table };

	for (unsigned int round = 0; round < 3; round++)
		blk_batch(blk.vq, &io, v->num);
	vq_quiet(blk.vq, 20);
}

/* A chain that takes all descriptors of the ring. */
TEST_V(chain_of_queue_size_ok, sizes)
{
	struct blk blk = blk_start(&(struct blk_setup){ .num = v->num, .disk.mb = 4 });
	unsigned int sectors = v->num > 2 ? v->num - 2 : 0;
	const struct blk_layout l = {
		"", .out = { 16 }, .in_every = SECTOR, .direct = VQ_DIRECT,
	};
	struct blk_io io = {
		.type = VIRTIO_BLK_T_IN, .in_len = sectors * SECTOR, .layout = &l,
	};
	static unsigned char want[1024 * SECTOR];
	struct blk_req req;

	fill(want, sizeof(want), 9);
	device_write(blk.path, 0, want, sizeof(want));
	req = blk_add(blk.vq, &io);
	check_eq(blk.vq->nfree, 0);
	blk_send(blk.vq);
	blk_finish(&req, vq_get(blk.vq));
	check_eq(req.status, VIRTIO_BLK_S_OK);
	check_same(req.in, want, sectors * SECTOR, "the data");
}

static const struct {
	const char *name;
	int ahead;
} jumps[] = { { "num_plus_1", 128 + 1 }, { "minus_1", -1 }, { "half_way", 32768 } };

/* 2.7.13.3: the index may not run further ahead than the ring is long. */
TEST_V(avail_index_jump_breaks_the_vq, jumps)
{
	struct blk blk = blk_start(&(struct blk_setup){ .queues = 2 });

	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
	vq_put_avail_idx(blk.vq, blk.vq->avail_idx + v->ahead);
	vq_kick_always(blk.vq);
	vq_must_break(blk.vq);
	blk_expect(blk.dev->vqs[1], &flush, VIRTIO_BLK_S_OK);
}
