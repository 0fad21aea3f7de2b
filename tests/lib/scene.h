/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A device whose first queue is attacked, and what must not notice: its other
 * queues, and another device on the same disk.
 */
#ifndef TESTS_SCENE_H
#define TESTS_SCENE_H

#include "load.h"

/* How a request gets there: on a device of so many queues, in a table or not. */
struct way {
	const char *name;
	unsigned int queues;
	bool indirect;
};

extern const struct way ways[4];

/* The sectors that the bystanders write to; attacks stay below. */
#define SCENE_SECTORS 2048
#define SCENE_RING 128

struct scene {
	struct blk blk;
	struct blk other;
	const struct way *way;
	struct vq *vq;
	uint64_t seed;
};

/* Without the last step, so that a test may add memory. */
struct scene scene_prepare(const struct way *way, const struct blk_setup *setup);
void scene_run(struct scene *s);
struct scene scene_start(const struct way *way);

/* A write and a read back, by a queue, and by all but the attacked one. */
void scene_probe(struct scene *s, struct vq *vq);
void scene_probe_others(struct scene *s);

/*
 * The attacked queue must stop: its error eventfd fires, nothing that was sent is
 * answered, the others go on, and a new start mends it. What: for the sentence.
 */
void scene_must_stop(struct scene *s, const char *what);
/* The ring begins anew, empty; the device is started with it. */
void scene_restart(struct scene *s);
/* The attacked queue, and all others, serve. */
void scene_must_serve(struct scene *s, const char *what);

/* The driver's side of a ring as after a reset. The device must be stopped. */
void vq_reset(struct vq *vq);

/* A request as descriptors, for a test to spoil before it is sent. */
#define CHAIN_MAX 70

struct chain {
	struct vq *vq;
	/* In the ring, or in the table that the first of the ring names. */
	struct vring_desc *d[CHAIN_MAX];
	uint16_t id[CHAIN_MAX];
	unsigned int n;
	uint16_t head;
	struct vring_desc *table;	/* its descriptor */
	struct virtio_blk_outhdr *hdr;
	unsigned char *data, *status;
	uint64_t hdr_gpa, data_gpa, status_gpa;
	uint32_t len;
};

/*
 * Adds one of header, data in one piece where there are any, and status. OUT has
 * its data readable, all others writable. The data are BLK_UNTOUCHED.
 */
struct chain chain_put(struct scene *s, uint32_t type, uint64_t sector, uint32_t len);
/* Adds what is there in so many pieces; the test has filled in all but d and id. */
void chain_put_segs(struct scene *s, struct chain *c, const struct seg *segs, unsigned int n);
void chain_send(struct chain *c);
/* Sends it; it must be answered so. Returns the used length. */
uint32_t chain_expect(struct chain *c, const char *what, uint8_t status);
/* What lies behind header, data and status is as it was; so are its data. */
void chain_check_guards(const struct chain *c, const char *what);
void chain_check_untouched(const struct chain *c, const char *what);

/* A read that was spoilt so: the queue stops and nothing is written. Frees it. */
void scene_must_refuse(struct scene *s, void (*spoil)(struct chain *c), const char *what);

/* Changes flags of a descriptor. */
void desc_set(struct vring_desc *d, uint16_t flags);
void desc_clear(struct vring_desc *d, uint16_t flags);

/*
 * A ring whose every slot holds a request for good, so that to send more is to
 * move the index: as fast as a client can. No more than @n may be out.
 */
struct carousel {
	struct vq *vq;
	unsigned int n;
	uint8_t *status;	/* shared by all */
};

struct carousel carousel_new(struct vq *vq, bool indirect, uint32_t type, uint64_t sector,
			     uint32_t len);
/* Sends k more; kicks if the device wants to be. */
void carousel_send(struct carousel *c, unsigned int k);
unsigned int carousel_out(const struct carousel *c);
/* Takes what has come. */
unsigned int carousel_take(struct carousel *c);
/* Waits for the interrupt until all but @left are back; false: too long. */
bool carousel_wait(struct carousel *c, unsigned int left);

/* The kernel's log from here on; and that it has no more than so many lines since. */
int kernel_log_open(void);
void kernel_log_check(int fd, unsigned int most);
/* That one of its lines since has this in it. */
void kernel_log_must_have(int fd, const char *text);

#endif
