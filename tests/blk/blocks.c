// SPDX-License-Identifier: GPL-2.0
/* Blocks of 4096 bytes, on a disk that refuses parts of one; which is not any disk. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blk.h"
#include "tap.h"
#include "targets.h"

#define BYTES (3u << 20)

/* Memory of which no two pages that follow each other do so on the host. */
static char *scattered_pages(unsigned int n)
{
	int fd = check_ok(memfd_create("scattered", MFD_CLOEXEC));
	char *at = mmap(NULL, n * GUEST_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(at != MAP_FAILED, "mmap: %m");
	check_ok(ftruncate(fd, n * GUEST_PAGE));
	check_ok(fallocate(fd, 0, 0, n * GUEST_PAGE));
	/* The file's pages are in order as a rule: backwards. */
	for (unsigned int i = 0; i < n; i++)
		check(mmap(at + i * GUEST_PAGE, GUEST_PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, fd, (n - 1 - i) * GUEST_PAGE) != MAP_FAILED,
		      "mmap: %m");
	return at;
}

/*
 * A bio that is full of pages ends with a whole block, though each block lies in two pages.
 * This disk wants no more of an address than sectors, and refuses what is not whole blocks.
 */
TEST(in_scattered_pages_ok)
{
	struct blk blk = blk_prepare(&(struct blk_setup){
			.path = scsi_debug_new(16, "sector_size=4096") });
	char *data = scattered_pages(BYTES / GUEST_PAGE + 1) + SECTOR;
	uint64_t gpa = 0x100000000ull;
	unsigned char *got = malloc(BYTES);

	guest_add_at(blk.mem, gpa, BYTES + GUEST_PAGE, data - SECTOR);
	vdev_start(blk.dev);
	fill((unsigned char *)data, BYTES, 1);
	blk_transfer(blk.vq, VIRTIO_BLK_T_OUT, 0, gpa + SECTOR, BYTES);
	device_read(blk.path, 0, got, BYTES);
	check_same(got, data, BYTES, "the medium");
	memset(data, 0, BYTES);
	blk_transfer(blk.vq, VIRTIO_BLK_T_IN, 0, gpa + SECTOR, BYTES);
	check_same(data, got, BYTES, "the data");
}
