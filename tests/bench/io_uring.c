// SPDX-License-Identifier: GPL-2.0
/*
 * The limit: io_uring straight on the devices, with registered files and buffers. One
 * lane has the requests of all.
 */
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "devices.h"

static struct io_uring ring;
static unsigned char *data;

static void register_all(struct bench *b)
{
	size_t bytes = bench_whole_pages((uint64_t)b->depth * b->bytes);
	struct iovec iov = { .iov_len = bytes };
	int files[BENCH_LANES];

	check(!posix_memalign((void **)&data, BENCH_HUGE_PAGE, bytes), "out of memory");
	memset(data, 0, bytes);
	iov.iov_base = data;
	for (unsigned int i = 0; i < b->devices; i++)
		files[i] = check_ok(open(b->paths[i], O_RDWR | O_DIRECT | O_CLOEXEC));
	check_eq(io_uring_register_buffers(&ring, &iov, 1), 0);
	check_eq(io_uring_register_files(&ring, files, b->devices), 0);
}

static void start(struct bench *b)
{
	unsigned int flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

	b->depth *= b->devices * b->vqs;
	check(b->depth <= BENCH_DEPTH, "no more than %u requests at a time", BENCH_DEPTH);
	b->nlanes = 1;
	b->lanes[0] = (struct lane){ .bench = b, .next = 1,
				     .blocks = device_sectors(b->paths[0]) / (b->bytes / 512) };
	check_eq(io_uring_queue_init(b->depth, &ring, flags), 0);
	register_all(b);
}

static void put(struct lane *lane, unsigned int slot, uint64_t block)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	uint32_t bytes = lane->bench->bytes;
	unsigned int file = slot % lane->bench->devices;
	void *at = data + (size_t)slot * bytes;

	if (lane->bench->write)
		io_uring_prep_write_fixed(sqe, file, at, bytes, block * bytes, 0);
	else
		io_uring_prep_read_fixed(sqe, file, at, bytes, block * bytes, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, slot);
}

/* With the wait: one call for both. */
static void submit(struct lane *lane)
{
	(void)lane;
}

static unsigned int wait_any(struct bench *b, struct lane **ready)
{
	int ret = io_uring_submit_and_wait(&ring, 1);

	check(ret >= 0, "io_uring_enter: %s", strerror(-ret));
	ready[0] = &b->lanes[0];
	return 1;
}

static unsigned int reap(struct lane *lane, uint16_t *slots)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(&ring, head, cqe) {
		check_eq(cqe->res, lane->bench->bytes);
		slots[n++] = io_uring_cqe_get_data64(cqe);
	}
	io_uring_cq_advance(&ring, n);
	return n;
}

const struct engine engine_io_uring = {
	.name = "io_uring",
	.device = "a block device",
	.start = start,
	.put = put,
	.submit = submit,
	.wait = wait_any,
	.reap = reap,
};
