/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost_storage.ko: what the storage backends have in common, from the ring to
 * pinned guest pages and back to the used ring. Private to these modules.
 *
 * A command's way: vstor_vq_kick() takes its chain off the ring and hands it to
 * the module's ->take(), which submits it. When the device is done, in any
 * context, vstor_cmd_done() puts it on its vq's done list and wakes the worker,
 * where ->finish() writes its answer and vring.c pushes the used entries of the
 * whole batch with one signal.
 *
 * vq->mutex protects everything in struct vstor_vq but @done and @in_flight,
 * which are atomic. It nests inside dev->mutex, which every ioctl holds.
 */
#ifndef _VHOST_STORAGE_H
#define _VHOST_STORAGE_H

#include <linux/fs.h>
#include <linux/llist.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "vhost.h"

struct bio;
struct cgroup_subsys_state;
struct dentry;
struct mem_cgroup;
struct seq_file;
struct vstor_hold;
struct vstor_hold_region;
struct vstor_vq;

/*
 * The kernel tells nobody of a device's change of size, so it is looked at, twice in the
 * second that is promised.
 */
#define VSTOR_WATCH_PERIOD	(HZ / 2)

/* Powers of 2: 1, 2 to 3, 4 to 7, ... commands; the last one is open. */
#define VSTOR_BATCH_BUCKETS	10
/* Powers of 2: below 1 us, below 2 us, ...; the last one is open, from 8 s on. */
#define VSTOR_LATENCY_BUCKETS	25

/**
 * struct vstor_stats - what a vq has done since its device was opened
 * @kicks: how often the worker went to look at the ring
 * @signals: how often the guest was told of used entries
 * @breaks: how often the guest's mistakes stopped the vq
 * @held: commands whose pages were held, see hold.c
 * @latency_ns: sum, from intake to the used ring
 * @taken: batches, by how many commands were taken in one
 * @pushed: batches, by how many used entries were pushed in one
 * @latency: commands, by how long each took
 * @worker: pid of the task that took the last batch
 *
 * Written under vq->mutex and read without any lock: readable whatever the vq is
 * waiting for, each value right, two of them not always of the same moment.
 */
struct vstor_stats {
	u64 kicks;
	u64 signals;
	u64 breaks;
	u64 held;
	u64 latency_ns;
	u64 taken[VSTOR_BATCH_BUCKETS];
	u64 pushed[VSTOR_BATCH_BUCKETS];
	u64 latency[VSTOR_LATENCY_BUCKETS];
	pid_t worker;
};

/* Writable descriptors for which a command allocates nothing: 8 of data, and a status. */
#define VSTOR_LOG_FEW		9
/* Of more, where there is no memory to remember them, the first so many, and the last. */
#define VSTOR_LOG_FIRST		(VSTOR_LOG_FEW - 1)

/**
 * struct vstor_cmd - what the core knows of a command; its module embeds it
 * @node: on the vq's done list, between vstor_cmd_done() and ->finish()
 * @svq: the vq it came from
 * @next: what follows when the device is done with this step of it, or NULL: it ends then.
 *	Called as ->finish() is. True: the next step is on its way, and another
 *	vstor_cmd_done() follows; false: it ends now.
 * @taken_at: when the batch that it came in was begun, in ns
 * @head: the chain's head, as it goes back in the used ring
 * @nlog: how many writable descriptors it has, of at least a byte
 * @log: where these are in the guest's memory, for log.c; @few, or allocated
 * @few: for few of them
 */
struct vstor_cmd {
	struct llist_node node;
	struct vstor_vq *svq;
	bool (*next)(struct vstor_cmd *cmd, bool discard);
	u64 taken_at;
	u16 head;
	u16 nlog;
	struct vhost_log *log;
	struct vhost_log few[VSTOR_LOG_FEW];
};

/**
 * struct vstor_ops - what a module does at each stage; vq->mutex is held, and
 * the task has the owner's mm unless said otherwise
 * @begin: a batch begins; may be NULL
 * @ready: may a command be taken? False makes intake wait for a completion.
 * @take: the chain @head is in vq->iov, @out readable then @in writable
 *	entries. Returns its payload's bytes (for the vq's weight), -EAGAIN to
 *	put the chain back until a command completes, or another error to break
 *	the vq. Every chain that is not put back and does not break the vq ends
 *	in exactly one vstor_cmd_done().
 * @finish: ends the command, frees it and returns the used length; its vstor_cmd
 *	must stay as it is while vq->mutex is held. VSTOR_CMD_UNTOLD: the guest
 *	cannot be told; it gets no used entry, and the vq breaks.
 *	With @discard guest memory must be left alone: the owner's mm is not ours.
 */
struct vstor_ops {
	void (*begin)(struct vstor_vq *svq);
	bool (*ready)(struct vstor_vq *svq);
	ssize_t (*take)(struct vstor_vq *svq, u16 head, unsigned int out,
			unsigned int in);
	s64 (*finish)(struct vstor_cmd *cmd, bool discard);
};

#define VSTOR_CMD_UNTOLD	(-1)

/**
 * struct vstor_vq - a request queue
 * @vq: what vhost knows of it
 * @ops: the module's stages
 * @done: commands that the device has finished, newest first
 * @done_work: drains @done in the vq's worker
 * @in_flight: commands taken and not yet finished
 * @serving: the worker is about to look at @done
 * @drained: woken when @done gets an entry and when commands were finished, for
 *	whoever waits in drain.c
 * @number: of its device, and @index of the vq in it; fixed
 * @nlog: of the last chain: entries of vq->log, its writable descriptors
 * @region: of guest memory, where the last address was; NULL while it is stopped
 * @hold: the device's held pages while it runs, or NULL; written under dev->mutex too
 * @hold_region: of them, where the last address was, or NULL
 * @now: when the present batch was begun, in ns
 * @active_at: when there last was a command to take or to finish, in ns
 * @stats: see above
 * @stopped: no intake: an ioctl is changing what the worker relies on
 * @broken: no intake until the next start: the guest broke the ring's rules
 * @starved: intake stopped for want of a free command, completion restarts it
 */
struct vstor_vq {
	struct vhost_virtqueue vq;
	const struct vstor_ops *ops;
	struct llist_head done;
	struct vhost_work done_work;
	atomic_t in_flight;
	bool serving;
	wait_queue_head_t drained;
	unsigned int number;
	unsigned int index;
	unsigned int nlog;
	const struct vhost_iotlb_map *region;
	struct vstor_hold *hold;
	struct vstor_hold_region *hold_region;
	u64 now;
	u64 active_at;
	struct vstor_stats stats;
	bool stopped;
	bool broken;
	bool starved;
};

static inline struct vstor_vq *to_vstor_vq(struct vhost_virtqueue *vq)
{
	return container_of(vq, struct vstor_vq, vq);
}

/*
 * What every request has of the guest, and gives it: few bytes, how many the compiler
 * knows, loaded and stored word by word, for the general copy is slower by far. In the
 * owner's mm.
 */
static __always_inline int vstor_load(void *to, const void __user *from, size_t bytes)
{
	size_t at;

	if (!user_read_access_begin(from, bytes))
		return -EFAULT;
#pragma GCC unroll 16
	for (at = 0; at + sizeof(u64) <= bytes; at += sizeof(u64))
		unsafe_get_user(*(u64 *)(to + at), (u64 __user *)(from + at), fault);
	if (bytes & sizeof(u32)) {
		unsafe_get_user(*(u32 *)(to + at), (u32 __user *)(from + at), fault);
		at += sizeof(u32);
	}
#pragma GCC unroll 4
	for (; at < bytes; at++)
		unsafe_get_user(*(u8 *)(to + at), (u8 __user *)(from + at), fault);
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

static __always_inline int vstor_store(void __user *to, const void *from, size_t bytes)
{
	size_t at;

	if (!user_write_access_begin(to, bytes))
		return -EFAULT;
#pragma GCC unroll 16
	for (at = 0; at + sizeof(u64) <= bytes; at += sizeof(u64))
		unsafe_put_user(*(u64 *)(from + at), (u64 __user *)(to + at), fault);
	if (bytes & sizeof(u32)) {
		unsafe_put_user(*(u32 *)(from + at), (u32 __user *)(to + at), fault);
		at += sizeof(u32);
	}
#pragma GCC unroll 4
	for (; at < bytes; at++)
		unsafe_put_user(*(u8 *)(from + at), (u8 __user *)(to + at), fault);
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

/* chain.c */

/*
 * Takes the next chain off the available ring: @out readable and then @in writable
 * entries are in vq->iov, the latter also in vq->log, as svq->nlog descriptors. Returns its
 * head, -ENODATA where there is none, or another error where it is not one that VIRTIO
 * allows. vq->mutex held.
 */
int vstor_chain_get(struct vstor_vq *svq, unsigned int *out, unsigned int *in);

/* vring.c: ring to command and back */

/* Before vhost_dev_init(), for vq @index of device @number. Process context. */
void vstor_vq_init(struct vstor_vq *svq, const struct vstor_ops *ops,
		   unsigned int number, unsigned int index);
/* Starts on a ring that is set up, with private_data set. vq->mutex held. */
int vstor_vq_start(struct vstor_vq *svq);
/*
 * Takes what is in the ring now, and finishes what is done. In the owner's mm, vq->mutex
 * held.
 */
void vstor_vq_look(struct vstor_vq *svq);
/* Looks at the ring as if the guest had kicked. Any context. */
void vstor_vq_poke(struct vstor_vq *svq);
/* No more intake; the error eventfd fires. vq->mutex held. */
void vstor_vq_break(struct vstor_vq *svq, const char *why);
/*
 * ->take() has a command: it is in flight from here. -ENOMEM: so it is, but nothing may be
 * written but its last byte, or into the first VSTOR_LOG_FIRST writable entries of
 * vq->iov: an error. vq->mutex held.
 */
int vstor_cmd_init(struct vstor_cmd *cmd, struct vstor_vq *svq, u16 head);
/* It could not be taken after all, and never was in flight. vq->mutex held. */
void vstor_cmd_undo(struct vstor_cmd *cmd);
/* The device is done with it, or it never needed one. Any context. */
void vstor_cmd_done(struct vstor_cmd *cmd);
/* Finishes what is done, pushes used entries, signals. vq->mutex held. */
void vstor_vq_complete(struct vstor_vq *svq);

/* work.c: for what sleeps */

/**
 * struct vstor_work - something that a workqueue does for a vq's worker
 * @work: the workqueue's part
 * @fn: what it does; when that has sent its command on its way it may be another one
 * @io_group: the cgroup that pays for its I/O
 * @memory_group: that which pays for its memory
 */
struct vstor_work {
	struct work_struct work;
	void (*fn)(struct vstor_work *work);
	struct cgroup_subsys_state *io_group;
	struct mem_cgroup *memory_group;
};

/* Of a device, few at a time; destroy_workqueue() waits for what still runs. */
struct workqueue_struct *vstor_works_alloc(const char *name, unsigned int number);
/* In the owner's mm. */
void vstor_work_queue(struct workqueue_struct *works, struct vstor_work *work,
		      void (*fn)(struct vstor_work *work));

/* stats.c */

/* Numbers of open devices, of all modules, for names and traces; or an error. */
int vstor_number_get(void);
void vstor_number_put(unsigned int number);

static inline void vstor_count(u64 *counter, u64 n)
{
	WRITE_ONCE(*counter, *counter + n);
}

/* A batch of @n commands was taken; of @n used entries was pushed. */
void vstor_stats_taken(struct vstor_vq *svq, unsigned int n);
void vstor_stats_pushed(struct vstor_vq *svq, unsigned int n);
/* A command took @ns. */
void vstor_stats_latency(struct vstor_vq *svq, u64 ns);
/* Lines of a name and values. Any context, no lock. */
void vstor_stats_show(struct seq_file *seq, struct vstor_vq *svq);
/* Of a module's own: each sort of its requests, with their bytes; how they ended. */
void vstor_stats_show_requests(struct seq_file *seq, const char *const *names,
			       const u64 *requests, const u64 *bytes, unsigned int n);
void vstor_stats_show_statuses(struct seq_file *seq, const char *const *names,
			       const u64 *statuses, unsigned int n);

/* What the statistics show of a backend's name. */
#define VSTOR_NAME_BYTES	64

/**
 * struct vstor_stats_file - a device's file of statistics, and what it begins with
 * @lock: nobody sleeps under it
 * @backend: the name of what is attached
 * @owner: process that attached it, or 0
 * @opened: when the device was
 * @dentry: in debugfs, if it could be made
 */
struct vstor_stats_file {
	spinlock_t lock; /* backend, owner */
	char backend[VSTOR_NAME_BYTES];
	pid_t owner;
	ktime_t opened;
	struct dentry *dentry;
};

/* Process context: the file comes, in @dir; goes when nobody reads it any more. */
void vstor_stats_file_add(struct vstor_stats_file *file, struct dentry *dir, unsigned int number,
			  void *private, const struct file_operations *fops);
void vstor_stats_file_remove(struct vstor_stats_file *file);
/* Attached by this process; NULL: nothing is. */
void vstor_stats_file_backend(struct vstor_stats_file *file, const char *name);
/* Its first lines. No lock that I/O or an ioctl can hold. */
void vstor_stats_file_show(struct seq_file *seq, struct vstor_stats_file *file,
			   unsigned int number);

/* drain.c: stopping; process context, dev->mutex held, vq->mutex not */

/* No intake; waits until nothing is in flight, finishing what completes. */
void vstor_dev_stop(struct vhost_dev *dev);
/* Intake again on every vq that has a backend, kicked or not; pages may be held. */
void vstor_dev_resume(struct vhost_dev *dev);
/*
 * Acknowledges features, of those @allowed, on every vq. EOPNOTSUPP for others;
 * EBUSY where a backend is attached and they would change.
 */
long vstor_dev_set_features(struct vhost_dev *dev, u64 features, u64 allowed);
/* vhost's own ioctls, with the vqs stopped around those that need it. */
long vstor_dev_ioctl(struct vhost_dev *dev, unsigned int ioctl,
		     void __user *argp);

/* hold.c, hold_works.c: huge pages of guest memory that stay pinned between commands */

/*
 * Is all the data in held pages? @len bytes that follow @skip ones into @iov, in blocks
 * of @block. Returns how many vecs it takes at most and the caller is a @reader of them
 * until vstor_hold_put(), or 0 and it is none. vq->mutex held.
 */
unsigned int vstor_hold_get(struct vstor_vq *svq, const struct iovec *iov, size_t skip,
			    size_t len, unsigned int block, int *reader);
/* The bios, or whatever else had them, have ended. vq->mutex held. */
void vstor_hold_put(struct vstor_vq *svq, int reader);
/*
 * Adds what is at @addr, for which vstor_hold_get() found held pages, to @bio. Returns
 * how many bytes, 0 when the bio is full, or an error.
 */
ssize_t vstor_bio_add_held(struct vstor_vq *svq, struct bio *bio, unsigned long addr, size_t len);
/* The small page of it that @addr is in. */
struct page *vstor_held_page(struct vstor_vq *svq, unsigned long addr);
/*
 * While the vqs stand still; process context of the owner, dev->mutex held. Without
 * memory for it nothing is held, and all works.
 */
void vstor_hold_start(struct vhost_dev *dev);
/* Lets go of all of them. The same, but for the owner's context. */
void vstor_hold_stop(struct vhost_dev *dev);

/* pages.c: guest memory in bios, or as pages */

/* How many of the @n pages lie one behind the other, as those of a huge page do. */
unsigned int vstor_run(struct page **pages, unsigned int n);
/* Pages pinned at a time: what is reasonable on the stack. */
#define VSTOR_PIN_PAGES		32

/*
 * Pins the @n pages from @addr on, all or none; @written: the device writes to them.
 * In the owner's mm, may sleep.
 */
int vstor_pin_guest(unsigned long addr, unsigned int n, bool written, struct page **pages);
/*
 * Is each of the @n segments that follow @skip bytes into @iov, up to @len bytes
 * in all, at an address and of a length that these masks allow?
 */
bool vstor_iov_aligned(const struct iovec *iov, size_t skip, size_t len,
		       unsigned int addr_mask, unsigned int len_mask);
/*
 * Pins guest memory from @addr on and adds it to @bio, as much of @len as fits
 * in whole blocks of @block bytes. Returns the bytes added, 0 when the bio is
 * full, or an error. In the owner's mm, may sleep.
 */
ssize_t vstor_bio_add_guest(struct bio *bio, unsigned long addr, size_t len,
			    unsigned int block);
/* Unpins all of @bio, dirtying what the device wrote. May sleep. */
void vstor_bio_unpin(struct bio *bio);
/* The same for pages of our own: adds, frees, and copies to or from @iter. */
ssize_t vstor_bio_add_bounce(struct bio *bio, size_t len, unsigned int block);
void vstor_bio_free_bounce(struct bio *bio);
int vstor_bio_copy(struct bio *bio, struct iov_iter *iter);

#endif /* _VHOST_STORAGE_H */
