/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A device at work whose dirty log goes on and off: each page that it writes is in it
 * before the used index tells of it, and what is in it is what it had leave to write.
 */
#ifndef TESTS_LOGGED_H
#define TESTS_LOGGED_H

#include "dirty.h"
#include "scene.h"

#define LOGGED_SLOTS 24u
#define LOGGED_PIECES 12u
#define LOGGED_SEGS (LOGGED_PIECES + 4)

/* A request that is sent again and again, each time another one. */
struct logged_slot {
	/* A page for what the driver writes, and one for what the device answers. */
	uint64_t driver, device;
	struct seg segs[LOGGED_SEGS];
	unsigned int n;
	bool busy;
};

struct logged_lane {
	struct vq *vq;
	struct logged_slot slots[LOGGED_SLOTS];
	unsigned int of_head[1024];
	/* Used entries from this one on came with the log on. */
	uint16_t logged_from;
};

struct logged {
	struct vdev *dev;
	const struct way *way;
	/* Makes a request of a slot whose segs are none; of a disk of so many sectors. */
	void (*make)(struct logged *l, struct logged_slot *s);
	uint64_t sectors;
	struct dirty dirty;
	struct logged_lane lanes[4];
	uint64_t random;
	/* What the memory was at the start of the log, region by region. */
	void *shadow[GUEST_REGIONS];
	/* Pages that the device had leave to write since then, and the driver's own. */
	uint8_t *touched, *drivers;
	unsigned long requests;
	/* Pages: logged, and of these without leave. */
	unsigned long logged, over;
	/* Looked for as a request had leave to write them, and of these not in the log. */
	unsigned long checked, missed;
	/* Found changed, and of these not in the log. */
	unsigned long changed, unlogged;
};

/*
 * Of a device that is not started, with the queues of @way from @first on; it has some
 * memory more and is started here.
 */
struct logged *logged_new(struct vdev *dev, unsigned int first, const struct way *way,
			  void (*make)(struct logged *l, struct logged_slot *s),
			  uint64_t sectors);
unsigned int logged_draw(struct logged *l, unsigned int n);
/* Adds one piece of data; several, whose sum is whole sectors: returns it. */
void logged_add_piece(struct logged *l, struct logged_slot *s, uint32_t len, bool write);
uint32_t logged_add_data(struct logged *l, struct logged_slot *s, bool write);

void logged_start(struct logged *l);
/* Fills the rings. */
void logged_send(struct logged *l);
/* Takes what has come; returns how many are out. */
unsigned int logged_take(struct logged *l);
void logged_finish(struct logged *l);
/* Ends the log. */
void logged_stop(struct logged *l);
void logged_check(const struct logged *l);
/* The log on and off and to other maps for LOG_REQUESTS, from the environment, or 3000. */
void logged_run(struct logged *l);

#endif
