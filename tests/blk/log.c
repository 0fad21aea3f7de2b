// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log: every page that the device writes is in it before the used index tells
 * the guest, from the moment on at which logging is on, whatever was in flight then.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "logged.h"
#include "tap.h"

/* One of all sorts: most read, some fail. */
static void make(struct logged *l, struct logged_slot *s)
{
	struct virtio_blk_outhdr *hdr = guest_ptr(&l->dev->mem, s->driver, sizeof(*hdr));
	unsigned int sort = logged_draw(l, 20);
	uint32_t bytes;

	s->segs[s->n++] = (struct seg){ .addr = s->driver, .len = sizeof(*hdr) };
	*hdr = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_IN };
	if (sort < 2) {
		hdr->type = VIRTIO_BLK_T_FLUSH;
	} else if (sort < 4) {
		hdr->type = VIRTIO_BLK_T_GET_ID;
		logged_add_piece(l, s, VIRTIO_BLK_ID_BYTES, true);
	} else {
		if (sort < 8)
			hdr->type = VIRTIO_BLK_T_OUT;
		bytes = logged_add_data(l, s, sort >= 8);
		hdr->sector = logged_draw(l, l->sectors - bytes / SECTOR);
		if (sort == 19)
			hdr->sector = l->sectors;
	}
	s->segs[s->n++] = (struct seg){ .addr = s->device, .len = 1, .write = true };
}

static struct logged *logged_blk(const struct way *v, const char *path)
{
	struct blk blk = blk_prepare(&(struct blk_setup){
		.path = path, .queues = v->queues, .num = 1024,
		.features = BLK_FEATURES | (v->indirect ? BIT(VIRTIO_RING_F_EVENT_IDX) : 0),
	});

	return logged_new(blk.dev, 0, v, make, blk.capacity);
}

/* Logging goes on and off, and to other maps, while requests come and go. */
TEST_WAYS_LIMIT(every_written_page_is_logged, ways, 100)
{
	const char *lower = nullb_new(&(struct nullb){ .mb = 64 });

	logged_run(logged_blk(v, dm_half_delayed_new(lower, (64 << 20) / SECTOR, 20)));
}

/* What is in flight when logging begins is logged when it comes. */
TEST_WAYS(in_flight_when_it_begins, ways)
{
	const char *lower = nullb_new(&(struct nullb){ .mb = 64 });
	const char *path = dm_linear_new(lower, (64 << 20) / SECTOR);
	struct logged *l = logged_blk(v, path);
	unsigned int out;

	disk_suspend(path);
	logged_send(l);
	sleep_ms(patience(300));
	logged_start(l);
	out = logged_take(l);
	disk_resume(path);
	logged_finish(l);
	check(out > LOGGED_SLOTS * v->queues / 4, "%u were in flight: the test shows nothing",
	      out);
	logged_stop(l);
	logged_check(l);
}

/*
 * A descriptor of no bytes, in each place, with the log on: to log nothing is a BUG() in
 * some kernels. What is beside it is logged, and nothing for it.
 */
TEST(zero_length_descriptor_ok)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	struct dirty dirty = dirty_new(blk.dev);
	uint64_t hdr = guest_alloc(blk.mem, 16, GUEST_PAGE), empty, data, status;

	memset(guest_ptr(blk.mem, hdr, 16), 0, 16);
	for (unsigned int at = 0; at < 4; at++) {
		empty = guest_alloc(blk.mem, GUEST_PAGE, GUEST_PAGE);
		data = guest_alloc(blk.mem, SECTOR, GUEST_PAGE);
		status = guest_alloc(blk.mem, 1, GUEST_PAGE);
		struct seg segs[4], full[] = {
			{ hdr, 16, false }, { data, SECTOR, true }, { status, 1, true },
		};

		*(unsigned char *)guest_ptr(blk.mem, status, 1) = BLK_NO_STATUS;
		for (unsigned int i = 0, from = 0; i < 4; i++)
			segs[i] = i == at ? (struct seg){ empty, 0, at > 1 } : full[from++];
		dirty_start(&dirty);
		vq_submit(blk.vq, segs, 4, VQ_DIRECT);
		check_eq(vq_get(blk.vq).len, SECTOR + 1);
		check_eq(*(unsigned char *)guest_ptr(blk.mem, status, 1), VIRTIO_BLK_S_OK);
		check(dirty_has(&dirty, data) && dirty_has(&dirty, status), "not logged");
		check(!dirty_has(&dirty, empty), "a page is logged for nothing");
		dirty_stop(&dirty);
	}
}

/* A log that is not there: the vq stops, rather than lose a page. */
TEST(log_that_is_not_there_stops_the_vq)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	const struct blk_io io = { .type = VIRTIO_BLK_T_IN, .in_len = SECTOR };
	struct dirty dirty = dirty_new(blk.dev);

	dirty_start(&dirty);
	blk_expect(blk.vq, &io, VIRTIO_BLK_S_OK);
	check_ok(mprotect(dirty.live, dirty.words * sizeof(uint64_t), PROT_NONE));
	blk_add(blk.vq, &io);
	blk_send(blk.vq);
	vq_must_break(blk.vq);
}

/* A log that is too small for the memory is refused, whenever it comes. */
TEST(log_out_of_reach_rejected)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	uint64_t bad = -4096ull;

	check_ok(vdev_set_features(blk.dev, BLK_FEATURES | BIT(VHOST_F_LOG_ALL)));
	check_errno(vdev_request(blk.dev, VHOST_SET_LOG_BASE, &bad), EFAULT);
	check_ok(vdev_set_features(blk.dev, BLK_FEATURES));
	check_ok(vdev_request(blk.dev, VHOST_SET_LOG_BASE, &bad));
	check_errno(vdev_set_features(blk.dev, BLK_FEATURES | BIT(VHOST_F_LOG_ALL)), EFAULT);
}
