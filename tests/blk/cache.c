// SPDX-License-Identifier: GPL-2.0
/* The host's page cache of a disk, which requests pass by. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "blk.h"
#include "tap.h"

#define BYTES 16384u

static void check_host_sees(int host, const unsigned char *want)
{
	unsigned char got[BYTES];

	check_eq(pread(host, got, BYTES, 0), BYTES);
	check_same(got, want, BYTES, "what the host reads");
}

static void exchange(struct vdev *dev)
{
	const char *other = nullb_new(&(struct nullb){});

	check_ok(blk_set_backend(dev, check_ok(open(other, O_RDWR | O_CLOEXEC))));
}

static void close_it(struct vdev *dev)
{
	check_ok(close(dev->fd));
}

static const struct {
	const char *name;
	void (*act)(struct vdev *dev);
} ends[] = { { "detached", vdev_stop }, { "exchanged", exchange }, { "closed", close_it } };

/* What it had read before the guest wrote is of no use to it when the guest is gone. */
TEST_V(host_sees_what_the_guest_wrote, ends)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	int host = check_ok(open(blk.path, O_RDONLY | O_CLOEXEC));
	unsigned char data[BYTES] = { 0 };

	check_host_sees(host, data);
	fill(data, BYTES, 1);
	blk_write(blk.vq, 0, data, BYTES);
	v->act(blk.dev);
	check_host_sees(host, data);
}

/* What it has written, and the disk not seen yet, the guest is to find. */
TEST(guest_sees_what_the_host_wrote)
{
	struct blk blk = blk_prepare(&(struct blk_setup){});
	int host = check_ok(open(blk.path, O_RDWR | O_CLOEXEC));
	unsigned char data[BYTES], got[BYTES];

	fill(data, BYTES, 2);
	check_eq(pwrite(host, data, BYTES, 0), BYTES);
	vdev_start(blk.dev);
	blk_read(blk.vq, 0, got, BYTES);
	check_same(got, data, BYTES, "what the guest reads");
}
