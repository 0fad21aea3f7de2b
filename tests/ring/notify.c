// SPDX-License-Identifier: GPL-2.0
/* Kicks and interrupts: VIRTIO 2.7.7, 2.7.10. */
#include <string.h>

#include "scene.h"
#include "tap.h"

static const struct blk_io flush = { .type = VIRTIO_BLK_T_FLUSH };

#define EVENT_IDX (BLK_FEATURES | BIT(VIRTIO_RING_F_EVENT_IDX))

static const struct {
	const char *name;
	uint64_t features;
} modes[] = { { "flags", BLK_FEATURES }, { "event_idx", EVENT_IDX } };

/* Waits for a used entry without asking for an interrupt. */
static void poll_used(struct vq *vq)
{
	vq->no_interrupt = true;
	vq_get(vq);
	vq->no_interrupt = false;
}

/* 2.7.10.2: a kick that announces nothing is not an error. */
TEST_PATHS(spurious_kicks_do_nothing, modes)
{
	struct blk blk = blk_start(&(struct blk_setup){ .features = v->features });

	for (unsigned int i = 0; i < 20; i++) {
		vq_kick_always(blk.vq);
		sleep_ms(2);
	}
	vq_quiet(blk.vq, 50);
	check_eq(event_take(blk.vq->call), 0);
	check_eq(event_take(blk.vq->err), 0);
	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
}

TEST_PATHS(double_kick_serves_once, modes)
{
	struct blk blk = blk_start(&(struct blk_setup){ .features = v->features });

	for (unsigned int i = 0; i < 50; i++) {
		blk_add(blk.vq, &flush);
		vq_publish(blk.vq);
		vq_kick_always(blk.vq);
		vq_kick_always(blk.vq);
		vq_get(blk.vq);
	}
	vq_quiet(blk.vq, 100);
}

/* Every request has its interrupt, or the wait for it fails the test. */
TEST_PATHS(a_thousand_requests_lose_no_notification, modes)
{
	struct blk blk = blk_start(&(struct blk_setup){ .features = v->features });

	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t mark = guest_mark(blk.mem);

		blk_add(blk.vq, &flush);
		blk_send(blk.vq);
		vq_get(blk.vq);
		guest_release(blk.mem, mark);
	}
}

/* The disk ends requests some time after it got them: while others are taken, and told. */
TEST_V_LIMIT(completions_at_any_time_are_told, modes, 60)
{
	struct blk blk = blk_start(&(struct blk_setup){ .features = v->features,
		.disk.attributes = "irqmode=2 completion_nsec=20000" });
	struct carousel c = carousel_new(blk.vq, false, VIRTIO_BLK_T_IN, 0, SECTOR);
	uint64_t random = 1;

	for (unsigned int i = 0; i < 5000; i++) {
		carousel_send(&c, 1 + prng(&random) % 4);
		check(carousel_wait(&c, prng(&random) % 2), "round %u waits for ever", i);
	}
	check(carousel_wait(&c, 0), "the last ones wait for ever");
	check_eq(*c.status, VIRTIO_BLK_S_OK);
}

/* 2.7.7.2, first half: without EVENT_IDX the flag decides. */
TEST(no_interrupt_flag_obeyed)
{
	struct blk blk = blk_start(&(struct blk_setup){});

	vq_put_avail_flags(blk.vq, VRING_AVAIL_F_NO_INTERRUPT);
	for (unsigned int i = 0; i < 5; i++) {
		blk_add(blk.vq, &flush);
		blk_send(blk.vq);
		poll_used(blk.vq);
	}
	check(!event_wait(blk.vq->call, VQ_QUIET_MS), "an interrupt in spite of the flag");
	vq_put_avail_flags(blk.vq, 0);
	blk_add(blk.vq, &flush);
	blk_send(blk.vq);
	check(event_wait(blk.vq->call, VQ_WAIT_MS), "no interrupt without the flag");
	poll_used(blk.vq);
}

/* With it the flag is ignored, and used_event decides. */
TEST(no_interrupt_flag_ignored_with_event_idx)
{
	struct blk blk = blk_start(&(struct blk_setup){ .features = EVENT_IDX });

	vq_put_avail_flags(blk.vq, VRING_AVAIL_F_NO_INTERRUPT);
	vq_put_used_event(blk.vq, 0);
	blk_add(blk.vq, &flush);
	blk_send(blk.vq);
	check(event_wait(blk.vq->call, VQ_WAIT_MS), "the flag was obeyed");
}

static const struct {
	const char *name;
	uint16_t base;
} bases[] = { { "from_0", 0 }, { "over_the_wrap", 65530 } };

/*
 * 2.7.7.2: an interrupt exactly when the used index passes used_event: requests
 * go one by one, and of twelve only that which fills slot used_event has one.
 */
TEST_V(used_event_is_exact, bases)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .features = EVENT_IDX });
	uint16_t event = v->base + 6;

	vq_set_base(blk.vq, v->base);
	vdev_start(blk.dev);
	/* The device signals the first of a start by whatever measure it likes. */
	vq_put_used_event(blk.vq, v->base);
	blk_add(blk.vq, &flush);
	blk_send(blk.vq);
	poll_used(blk.vq);
	check(event_wait(blk.vq->call, VQ_WAIT_MS), "no interrupt for the first entry");
	vq_put_used_event(blk.vq, event);
	for (unsigned int i = 1; i < 12; i++) {
		bool expected = blk.vq->last_used == event;
		bool got;

		blk_add(blk.vq, &flush);
		blk_send(blk.vq);
		poll_used(blk.vq);
		got = event_wait(blk.vq->call, expected ? VQ_WAIT_MS : 100);
		check(got == expected, "used index %u, used_event %u: %s interrupt",
		      blk.vq->last_used, event, got ? "an" : "no");
	}
}

/* A batch that steps over used_event has one interrupt, whatever its length. */
TEST_V(batch_over_used_event_interrupts, bases)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .features = EVENT_IDX });

	vq_set_base(blk.vq, v->base);
	vdev_start(blk.dev);
	for (unsigned int round = 0; round < 10; round++) {
		event_take(blk.vq->call);
		vq_put_used_event(blk.vq, blk.vq->last_used + 7);
		for (unsigned int i = 0; i < 16; i++)
			blk_add(blk.vq, &flush);
		blk_send(blk.vq);
		check(event_wait(blk.vq->call, VQ_WAIT_MS), "round %u: no interrupt", round);
		for (unsigned int i = 0; i < 16; i++)
			poll_used(blk.vq);
	}
}

/* An idle device asks for the next kick, and not for an older or a later one. */
TEST_V(idle_device_wants_the_next_kick, bases)
{
	struct blk blk = blk_prepare(&(struct blk_setup){ .features = EVENT_IDX });

	vq_set_base(blk.vq, v->base);
	vdev_start(blk.dev);
	for (unsigned int i = 0; i < 12; i++) {
		uint64_t end = now_ms() + VQ_WAIT_MS;

		blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
		while (vq_avail_event(blk.vq) != blk.vq->avail_idx && now_ms() < end)
			sleep_ms(1);
		check_eq(vq_avail_event(blk.vq), blk.vq->avail_idx);
	}
}

/* A queue without a call eventfd is served; the driver polls. */
TEST(no_call_eventfd_ok)
{
	struct blk blk = blk_prepare(&(struct blk_setup){});

	vdev_setup(blk.dev);
	check_ok(vq_set_file(blk.vq, VHOST_SET_VRING_CALL, -1));
	check_ok(blk_set_backend(blk.dev, blk.fd));
	blk_add(blk.vq, &flush);
	blk_send(blk.vq);
	poll_used(blk.vq);
}

/* Exchanged while the device runs: later completions go to the new one. */
TEST(call_eventfd_exchanged_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){ .queues = 2 });
	int other = blk.dev->vqs[1]->call;

	blk_expect(blk.vq, &flush, VIRTIO_BLK_S_OK);
	event_take(blk.vq->call);
	check_ok(vq_set_file(blk.vq, VHOST_SET_VRING_CALL, other));
	blk_add(blk.vq, &flush);
	blk_send(blk.vq);
	poll_used(blk.vq);
	check(event_wait(other, VQ_WAIT_MS), "no interrupt on the new eventfd");
	check_eq(event_take(blk.vq->call), 0);
}
