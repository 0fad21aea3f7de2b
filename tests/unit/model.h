/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A device of a few lines, with its disk and its ring, and the models that judge it: for the
 * tests of these. Each includes it once, and has the models' sources with it.
 */
#ifndef MODEL_H
#define MODEL_H

#include "../lib/verdict.c"
#include "../lib/memory_model.c"
#include "../lib/disk_model.c"
#include "../lib/ring_model.c"
#include "../lib/transfer_model.c"
#include "../lib/blk_model.c"

#include "tap.h"

#define SECTORS 64
#define NUM 16
/* A stretch, as memory_stretches() has it, so that no two slots share one. */
#define SLOT 65536
#define META 0x300000ull
#define DATA 0x1000000ull
/* In each slot of DATA: data, a hole, the status. */
#define STATUS 8192

/* The device, what it has as a disk, and the ring of its only queue. */
struct world {
	struct guest mem;
	struct blk_model model;
	unsigned char initial[SECTORS * DISK_SECTOR], disk[SECTORS * DISK_SECTOR];
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx;
};

static inline struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));
	unsigned char *meta;

	guest_add(&w->mem, META, 65536);
	guest_add(&w->mem, DATA, NUM * SLOT);
	meta = w->mem.region[0].hva;
	w->desc = (void *)meta;
	w->avail = (void *)(meta + 4096);
	w->used = (void *)(meta + 8192);
	fill(w->initial, sizeof(w->initial), 1);
	memcpy(w->disk, w->initial, sizeof(w->disk));
	fill(w->mem.region[1].hva, NUM * SLOT, 2);
	memory_init(&w->model.memory, &w->mem);
	memory_track(&w->model.memory, 1);
	disk_init(&w->model.disk, w->initial, SECTORS);
	ring_model_init(&w->model.ring[0], &w->model.memory, NUM, w->desc, w->avail, w->used);
	w->model.features = 1 << VIRTIO_BLK_F_DISCARD | 1 << VIRTIO_BLK_F_WRITE_ZEROES;
	w->model.max_discard = w->model.max_write_zeroes = SECTORS;
	w->model.max_discard_seg = w->model.max_write_zeroes_seg = 4;
	memcpy(w->model.id, "a serial of 20 bytes", BLK_MODEL_ID_BYTES);
	return w;
}

static inline void world_end(struct world *w)
{
	ring_model_start(&w->model.ring[0], 0, 0);
	memory_free(&w->model.memory);
	disk_free(&w->model.disk);
	free(w);
}

static inline unsigned char *data_of(struct world *w, unsigned int slot)
{
	return (unsigned char *)w->mem.region[1].hva + slot * SLOT;
}

static inline uint8_t *status_of(struct world *w, unsigned int slot)
{
	return data_of(w, slot) + STATUS;
}

static inline void put_desc(struct world *w, unsigned int id, uint64_t addr, uint32_t len,
		     uint16_t flags)
{
	w->desc[id] = (struct vring_desc){ htole64(addr), htole32(len), htole16(flags),
					   htole16(id + 1) };
}

/* Makes a request of slot 0 to 4, whose head is three times that, and does not send it. */
static inline void put(struct world *w, unsigned int slot, uint32_t type, uint64_t sector, uint32_t len)
{
	bool write = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	uint64_t hdr = META + 16384 + slot * 16, at = DATA + slot * SLOT;
	struct virtio_blk_outhdr h = { .type = htole32(type), .sector = htole64(sector) };
	unsigned int id = 3 * slot;

	memcpy((unsigned char *)w->mem.region[0].hva + 16384 + slot * 16, &h, 16);
	put_desc(w, id, hdr, 16, VRING_DESC_F_NEXT);
	put_desc(w, id + 1, at, len, VRING_DESC_F_NEXT | (write ? VRING_DESC_F_WRITE : 0));
	put_desc(w, id + 2, at + STATUS, 1, VRING_DESC_F_WRITE);
	w->avail->ring[w->avail_idx++ % NUM] = htole16(id);
}

static inline void publish(struct world *w)
{
	blk_model_publish(&w->model, 0, w->avail_idx);
	w->avail->idx = htole16(w->avail_idx);
}

static inline void use(struct world *w, unsigned int slot, uint32_t len, uint8_t status)
{
	uint16_t idx = le16toh(w->used->idx);

	*status_of(w, slot) = status;
	w->used->ring[idx % NUM] = (struct vring_used_elem){ htole32(3 * slot), htole32(len) };
	w->used->idx = htole16(idx + 1);
}

static inline void obey_read(struct world *w, unsigned int slot, uint64_t sector, uint32_t len)
{
	memcpy(data_of(w, slot), w->disk + sector * DISK_SECTOR, len);
	use(w, slot, len + 1, VIRTIO_BLK_S_OK);
}

static inline void obey_write(struct world *w, unsigned int slot, uint64_t sector, uint32_t len)
{
	memcpy(w->disk + sector * DISK_SECTOR, data_of(w, slot), len);
	use(w, slot, 1, VIRTIO_BLK_S_OK);
}

static inline void must_be_right(struct world *w)
{
	const char *said = blk_model_collect(&w->model, 0);

	check(!said, "nothing is wrong, but: %s", said);
}

static inline void must_notice(const char *said, const char *part)
{
	check(said, "it was not noticed; expected: %s", part);
	check(strstr(said, part), "'%s' was noticed; expected: %s", said, part);
}

static inline void collect_must_notice(struct world *w, const char *part)
{
	must_notice(blk_model_collect(&w->model, 0), part);
}

static inline const char *read_back(struct world *w)
{
	return disk_read_back(&w->model.disk, 0, SECTORS, w->disk);
}

/* New data in a slot's buffer, as the driver puts it there. */
static inline void new_data(struct world *w, unsigned int slot, uint64_t seed)
{
	fill(data_of(w, slot), STATUS, seed);
	memory_accept_region(&w->model.memory, 1);
}

/* Sends a write of new data; the device has not done it yet. */
static inline void put_write(struct world *w, unsigned int slot, uint64_t sector, uint32_t len)
{
	new_data(w, slot, 100 + sector);
	put(w, slot, VIRTIO_BLK_T_OUT, sector, len);
	publish(w);
}

static inline void do_write(struct world *w, unsigned int slot, uint64_t sector, uint32_t len)
{
	put_write(w, slot, sector, len);
	obey_write(w, slot, sector, len);
	must_be_right(w);
}

#endif
