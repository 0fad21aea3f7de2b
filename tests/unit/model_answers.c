// SPDX-License-Identifier: GPL-2.0
/* What the models say of a request's status, used.len and buffer. */
#include "model.h"

TEST(obedient_device_is_right)
{
	struct world *w = world_new();

	for (unsigned int i = 0; i < 50; i++) {
		do_write(w, i % 5, i % 40, 512 * (i % 8));
		put(w, 0, VIRTIO_BLK_T_IN, i, 4096);
		put(w, 1, VIRTIO_BLK_T_GET_ID, 0, 20);
		put(w, 2, VIRTIO_BLK_T_FLUSH, 0, 0);
		put(w, 3, 77, 0, 5);
		publish(w);
		use(w, 3, 1, VIRTIO_BLK_S_UNSUPP);
		memcpy(data_of(w, 1), "a serial of 20 bytes", 20);
		use(w, 1, 21, VIRTIO_BLK_S_OK);
		obey_read(w, 0, i, 4096);
		use(w, 2, 1, VIRTIO_BLK_S_OK);
		must_be_right(w);
		check(!read_back(w), "the disk is right");
	}
	check_eq(w->model.ring[0].nout, 0);
	check(!memory_check(&w->model.memory), "memory is right");
	world_end(w);
}

/*
 * The device answers a request. @right bytes of the buffer are as they are to be, of which
 * that at @spoilt is not; or one that it was not to write. -1: all are right.
 */
static const struct {
	const char *name;
	uint32_t type, sector, len, right;
	int spoilt;
	uint32_t used;
	uint8_t status;
	const char *noticed;
} answers[] = {
	{ "status", VIRTIO_BLK_T_IN, SECTORS, 512, 0, -1, 0, VIRTIO_BLK_S_UNSUPP, "status 2" },
	{ "used_len", VIRTIO_BLK_T_IN, 0, 512, 512, -1, 512, VIRTIO_BLK_S_OK,
	  "used.len is 512, expected 513" },
	{ "used_len_of_a_failed_read", VIRTIO_BLK_T_IN, SECTORS, 512, 0, -1, 513,
	  VIRTIO_BLK_S_IOERR, "used.len is 513, expected 0" },
	{ "buffer_of_a_failed_read", VIRTIO_BLK_T_IN, SECTORS, 512, 0, 511, 0,
	  VIRTIO_BLK_S_IOERR, "the others were written" },
	{ "byte_of_a_read", VIRTIO_BLK_T_IN, 3, 4096, 4096, 4095, 4097, VIRTIO_BLK_S_OK,
	  "sector 10 was never that" },
	{ "id", VIRTIO_BLK_T_GET_ID, 0, 30, 20, 19, 20, VIRTIO_BLK_S_OK, "GET_ID" },
	{ "byte_behind_the_id", VIRTIO_BLK_T_GET_ID, 0, 30, 20, 20, 20, VIRTIO_BLK_S_OK,
	  "the others were written" },
};

TEST_V(wrong_answer_noticed, answers)
{
	struct world *w = world_new();

	put(w, 0, v->type, v->sector, v->len);
	publish(w);
	if (v->type == VIRTIO_BLK_T_IN)
		memcpy(data_of(w, 0), w->disk + v->sector * DISK_SECTOR, v->right);
	else
		memcpy(data_of(w, 0), "a serial of 20 bytes", v->right);
	if (v->spoilt >= 0)
		data_of(w, 0)[v->spoilt] ^= 0x10;
	use(w, 0, v->used, v->status);
	collect_must_notice(w, v->noticed);
	world_end(w);
}

TEST(byte_beside_a_buffer_noticed)
{
	struct world *w = world_new();

	put(w, 0, VIRTIO_BLK_T_IN, 0, 512);
	publish(w);
	obey_read(w, 0, 0, 512);
	data_of(w, 0)[512] ^= 1;
	must_be_right(w);
	must_notice(memory_check(&w->model.memory), "0x1000200");
	world_end(w);
}
