// SPDX-License-Identifier: GPL-2.0
/*
 * T10 protection information: a device that has it gets it with every write, every
 * read is verified, and what was damaged behind the device's back is an error to the
 * guest. Disks: scsi_debug, and the NVMe namespaces that L1 was booted with.
 */
#include <pthread.h>
#include <string.h>

#include "integrity.h"
#include "load.h"
#include "tap.h"

#define PLACES 64

struct disk {
	const char *name;
	struct pi_disk disk;
};

static const struct disk disks[] = {
	{ "scsi_dif_1", { "dif=1 dix=1", "T10-DIF-TYPE1-CRC" } },
	{ "scsi_dif_3", { "dif=3 dix=1", "T10-DIF-TYPE3-CRC" } },
	{ "scsi_dif_1_ip", { "dif=1 dix=1 guard=1", "T10-DIF-TYPE1-IP" } },
	{ "nvme_pi_1", { NULL, "T10-DIF-TYPE1-CRC" } },
};

static void fill_disk(struct blk *blk, unsigned char *data)
{
	fill(data, PLACES * SECTOR, 5);
	blk_write(blk->vq, 0, data, PLACES * SECTOR);
}

static void read_must_fail(struct blk *blk, uint64_t sector, unsigned int sectors)
{
	blk_expect_len(blk->vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN, .sector = sector,
			.in_len = sectors * SECTOR }, VIRTIO_BLK_S_IOERR, 0);
}

/* Through every way that data goes: inline, allocated, bounced. */
TEST_PATHS(written_data_reads_back, disks)
{
	const struct blk_layout odd = { "", .out = { 16, 100 }, .in = { 100 }, .offset = 3 };
	static unsigned char data[1 << 20], got[1 << 20];
	struct blk blk = blk_start(&(struct blk_setup){ .path = pi_disk_new(&v->disk) });

	fill(data, sizeof(data), 6);
	blk_write(blk.vq, 0, data, sizeof(data));
	blk_read(blk.vq, 0, got, sizeof(got));
	check_same(got, data, sizeof(got), "1 MiB");
	blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_OUT, .sector = 3,
			.out = data, .out_len = 9 * SECTOR, .layout = &odd }, VIRTIO_BLK_S_OK);
	blk_read(blk.vq, 3, got, 9 * SECTOR);
	check_same(got, data, 9 * SECTOR, "bounced");
	/* The host, which verifies as well, finds nothing wrong. */
	device_read(blk.path, 0, got, sizeof(got));
}

static void *scribble(void *arg)
{
	const struct load *l = arg;

	for (unsigned char n = 0;; n++) {
		memset(load_data(l, &l->slots[n % l->n]), n, l->bytes);
		pthread_testcancel();
	}
	return NULL;
}

/*
 * VIRTIO has no word against a driver that changes what it writes while it is written:
 * Linux's page cache does. What is written is then either, and good.
 */
TEST_PATHS(data_may_change_while_it_is_written, disks)
{
	struct blk blk = blk_start(&(struct blk_setup){ .path = pi_disk_new(&v->disk) });
	struct load l = load_new(blk.vq, 16);
	pthread_t thread;

	check(!pthread_create(&thread, NULL, scribble, &l), "no thread");
	for (unsigned int i = 0; i < 100; i++) {
		load_put_all(&l, true, i);
		load_finish(&l);
	}
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	for (unsigned int i = 0; i < l.n; i++)
		blk_expect(blk.vq, &(struct blk_io){ .type = VIRTIO_BLK_T_IN,
				.sector = l.slots[i].sector, .in_len = l.bytes },
			   VIRTIO_BLK_S_OK);
	check_eq(vdev_stat(0, "protection_errors", 1), 0);
}

TEST_PATHS(damaged_block_is_an_error, disks)
{
	static unsigned char data[PLACES * SECTOR], got[SECTOR];
	struct blk blk = blk_start(&(struct blk_setup){ .path = pi_disk_new(&v->disk) });

	fill_disk(&blk, data);
	pi_damage(blk.path, 10);
	read_must_fail(&blk, 10, 1);
	read_must_fail(&blk, 8, 8);
	check_eq(vdev_stat(0, "protection_errors", 1), 2);
	blk_read(blk.vq, 9, got, SECTOR);
	check_same(got, data + 9 * SECTOR, SECTOR, "the block before");
	blk_read(blk.vq, 11, got, SECTOR);
	check_same(got, data + 11 * SECTOR, SECTOR, "the block behind");
	/* Written anew it is good again. */
	blk_write(blk.vq, 10, data, SECTOR);
	blk_read(blk.vq, 10, got, SECTOR);
	check_same(got, data, SECTOR, "the block itself");
}

/* Type 3 has nothing that says where a block belongs. */
static const struct disk placed[] = {
	{ "nvme_pi_1", { NULL, "T10-DIF-TYPE1-CRC" } },
	{ "scsi_dif_1", { "dif=1 dix=1 virtual_gb=1", "T10-DIF-TYPE1-CRC" } },
	{ "scsi_dif_1_ip", { "dif=1 dix=1 guard=1 virtual_gb=1", "T10-DIF-TYPE1-IP" } },
};

static void write_sector(void *arg, uint64_t sector, const void *data)
{
	struct blk *blk = arg;

	blk_write(blk->vq, sector, data, SECTOR);
}

TEST_PATHS(misdirected_write_is_an_error, placed)
{
	static unsigned char data[PLACES * SECTOR], got[SECTOR];
	struct blk blk = blk_start(&(struct blk_setup){ .path = pi_disk_new(&v->disk) });

	fill_disk(&blk, data);
	pi_misdirect(&v->disk, blk.path, 30, write_sector, &blk);
	read_must_fail(&blk, 30, 1);
	check_eq(vdev_stat(0, "protection_errors", 1), 1);
	for (unsigned int sector = 20; sector < 32; sector++) {
		if (sector == 30)
			continue;
		blk_read(blk.vq, sector, got, SECTOR);
		check_same(got, data + sector * SECTOR, SECTOR, "another block");
	}
}
