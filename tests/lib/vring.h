/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver's side of split virtqueues, on a vhost device that this process
 * owns: there is no guest and no VMM. A test may go through the comfortable
 * layer (vq_add, vq_submit, vq_get), or write descriptors and indices
 * as it likes, through the pointers in struct vq.
 */
#ifndef TESTS_VRING_H
#define TESTS_VRING_H

#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "guest.h"
#include "tap.h"

#define VDEV_QUEUES 256

/* Milliseconds in which a completion must come, and a sane time for none. */
#define VQ_WAIT_MS patience(10000)
#define VQ_QUIET_MS 300

#define BIT(n) (1ull << (n))

struct vdev;

struct vq {
	struct vdev *dev;
	unsigned int index;
	unsigned int num;

	/* Where the three parts lie, in the guest's memory and in ours. */
	uint64_t desc_gpa, avail_gpa, used_gpa;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;

	int kick, call, err;

	bool event_idx;
	/* The device is to log what it writes into the used ring. */
	bool log_used;
	/* Do not ask for notifications: the test polls the used index. */
	bool no_interrupt;

	/* Next avail index to write; what is published; at the last kick. */
	uint16_t avail_idx, published_idx, kicked_idx;
	uint16_t last_used;

	/* Free descriptors as a stack, and which ones a head holds. */
	uint16_t *free;
	unsigned int nfree;
	struct vq_chain {
		uint16_t *desc;
		unsigned int n;
		uint64_t table;
		unsigned int table_size;
	} *chain;

	unsigned long kicks, interrupts;
};

/* What differs between the kinds of device. */
struct vdev_ops {
	const char *path;
	const char *module;
	/* Return 0, or -1 and errno. Instead of ioctl, where the device is no file: */
	int (*request)(struct vdev *dev, unsigned long request, void *arg);
	int (*attach)(struct vdev *dev);
	int (*detach)(struct vdev *dev);
};

struct vdev {
	const struct vdev_ops *ops;
	int fd;
	struct guest mem;
	uint64_t offered, features;
	struct vq *vqs[VDEV_QUEUES];
	unsigned int nvqs;
	/* The backend: a file descriptor (blk), a name (scsi). */
	int backend_fd;
	const char *backend_name;
};

/* A piece of a request, in the guest's memory. */
struct seg {
	uint64_t addr;
	uint32_t len;
	bool write;
};

/*
 * Devices. vdev_open loads the module if there is no device node, opens it,
 * takes ownership, gives the guest memory. vdev_start tells the device about
 * memory and rings, and attaches the backend.
 */
struct vdev *vdev_open(const struct vdev_ops *ops, uint64_t memory);
/* One of vhost's ioctls, as the device takes it; returns -1 and errno. */
int vdev_request(struct vdev *dev, unsigned long request, void *arg);
struct vdev *vdev_open_bare(const struct vdev_ops *ops);
/* What vdev_open does with one opened bare. */
void vdev_own(struct vdev *dev, uint64_t memory);
/* A kernel thread in the place of the owner's as worker; before vdev_own. */
void vdev_kernel_thread(struct vdev *dev);
void vdev_negotiate(struct vdev *dev, uint64_t features);
int vdev_set_features(struct vdev *dev, uint64_t features);
int vdev_set_mem_table(struct vdev *dev);
void vdev_setup(struct vdev *dev);
void vdev_start(struct vdev *dev);
void vdev_stop(struct vdev *dev);
/* The end of it, for a test that goes on with another one. */
void vdev_close(struct vdev *dev);

/* Workers, where the kernel has them; they return -1 and errno. */
int vdev_new_worker(struct vdev *dev);
int vdev_free_worker(struct vdev *dev, int worker);
int vq_attach_worker(struct vq *vq, int worker);

/* Rings. A ring's index must be set before the device starts. */
struct vq *vq_new(struct vdev *dev, unsigned int index, unsigned int num);
void vq_set_base(struct vq *vq, uint16_t index);
unsigned int vq_get_base(struct vq *vq);
/*
 * Waits for what the worker is at: what is told of used entries is counted and
 * traced after the driver can see them, under the mutex that this takes too.
 */
void vq_settle(struct vq *vq);
int vq_set_num(struct vq *vq, unsigned int num);
int vq_set_addr(struct vq *vq);
int vq_set_file(struct vq *vq, unsigned long request, int fd);
/* How many microseconds its worker looks at an empty ring. */
void vq_set_polling(struct vq *vq, unsigned int us);
void vq_setup(struct vq *vq);

/*
 * Adds a chain: the first segments in direct descriptors, the others in an
 * indirect table. VQ_DIRECT puts all in direct ones, 0 all in the table.
 * Returns the head. The chain is only seen by the device after vq_publish.
 */
#define VQ_DIRECT (~0u)
uint16_t vq_add(struct vq *vq, const struct seg *segs, unsigned int n,
		   unsigned int direct);

/* Raw: a descriptor or a table's entry; a head into the avail ring. */
void vq_put_desc(struct vring_desc *d, uint64_t addr, uint32_t len,
		    uint16_t flags, uint16_t next);
void vq_put_avail(struct vq *vq, uint16_t head);
void vq_put_avail_idx(struct vq *vq, uint16_t idx);

void vq_publish(struct vq *vq);

/* Kicks if the device wants to be; tells whether it did. */
bool vq_kick(struct vq *vq);
void vq_kick_always(struct vq *vq);

uint16_t vq_submit(struct vq *vq, const struct seg *segs, unsigned int n,
		      unsigned int direct);

/*
 * The used ring. vq_pop never waits. vq_wait waits for the interrupt, as
 * a driver does, so that a lost one fails the test; false if nothing came or
 * the ring broke. vq_get is for what must come.
 */
struct used {
	uint16_t head;
	uint32_t len;
};

bool vq_pop(struct vq *vq, struct used *u);
bool vq_wait(struct vq *vq, struct used *u, unsigned int ms);
struct used vq_get(struct vq *vq);

/* The device must not put a used entry for a while. */
void vq_quiet(struct vq *vq, unsigned int ms);

/* Takes what an eventfd counted; 0 for nothing. */
uint64_t event_take(int fd);
bool event_wait(int fd, unsigned int ms);

/* The ring must break: its error eventfd fires, and no used entry comes. */
void vq_must_break(struct vq *vq);

/* The words that both sides write, as the other side sees them. */
uint16_t vq_used_idx(const struct vq *vq);
uint16_t vq_used_flags(const struct vq *vq);
uint16_t vq_avail_event(const struct vq *vq);
void vq_put_used_event(struct vq *vq, uint16_t idx);
void vq_put_avail_flags(struct vq *vq, uint16_t flags);

#endif
