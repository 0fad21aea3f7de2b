/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost_scsi.ko, private: the device, its requests and its targets, and what each file
 * gives the others. A request meets the files in this order: queue.c, request.c, then
 * direct.c or data.c, submit.c and fabric.c, protect.c and failures.c where that went
 * wrong, and complete.c; a task management function control.c. Files call downwards
 * only, in the order of Kbuild.
 *
 * Locks, outermost first: dev->mutex of a device (its ioctls), vhost_scsi_tpgs_lock,
 * tpg->lock, the control queue's vq->mutex, that of another queue. Configfs calls with
 * locks of its own held, which the ioctls take too: neither of our two is held there.
 */
#ifndef _VHOST_SCSI_H
#define _VHOST_SCSI_H

#include <linux/bio-integrity.h>
#include <linux/kref.h>
#include <linux/scatterlist.h>
#include <scsi/scsi_common.h>
#include <scsi/scsi_proto.h>
#include <target/target_core_base.h>
#include <target/target_core_fabric.h>
#include "request.h"
#include "vhost_storage.h"

#define VHOST_SCSI_FEATURES						\
	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ANY_LAYOUT) |	\
	 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | \
	 BIT_ULL(VIRTIO_SCSI_F_HOTPLUG) | BIT_ULL(VIRTIO_SCSI_F_CHANGE) | \
	 BIT_ULL(VIRTIO_SCSI_F_T10_PI) | BIT_ULL(VHOST_F_LOG_ALL))

/* VIRTIO 5.6.2: what the first queues are for. */
#define VHOST_SCSI_CONTROL_VQ	0
#define VHOST_SCSI_EVENT_VQ	1
#define VHOST_SCSI_FIRST_VQ	2

#define VHOST_SCSI_TARGETS	256
/* Requests of a queue that are in flight at one time; vhost has no room for more. */
#define VHOST_SCSI_REQS_MAX	UIO_MAXIOV
/* The same of the control queue: bits of vhost_scsi_req.awaited. */
#define VHOST_SCSI_CONTROLS	16
/* Events that wait for a buffer of the guest; what comes then is missed. */
#define VHOST_SCSI_EVENTS	128
/* Scatterlist entries or vecs, and so pages, that a request has without allocating. */
#define VHOST_SCSI_INLINE_SG	8
/* Protection information that a request has room for without allocating: of 64 blocks. */
#define VHOST_SCSI_SLOT_BYTES	512
/* Data of larger requests, and bounced ones, that a queue has in flight at one time. */
#define VHOST_SCSI_VQ_BYTES	(VHOST_SCSI_BYTES_MAX + VHOST_SCSI_PI_MAX)

/* LUNs up to here may have the short way. */
#define VHOST_SCSI_DIRECT_LUNS	256

struct vhost_scsi;
struct vhost_scsi_direct;

/**
 * struct vhost_scsi_reply - where the guest wants its answer
 * @at: the writable buffer, where the answer fits into the first one; else NULL
 * @iov: copies of all of them, where it does not or data follows that is copied
 * @segs: how many these are
 * @room: bytes of it
 */
struct vhost_scsi_reply {
	u8 __user *at;
	struct iovec *iov;
	unsigned int segs;
	u32 room;
};

/**
 * struct vhost_scsi_span - where a request's data is
 * @iov: the first buffer that has some
 * @segs: how many buffers there are from there on
 * @skip: bytes into the first one
 */
struct vhost_scsi_span {
	const struct iovec *iov;
	unsigned int segs;
	size_t skip;
};

/**
 * enum vhost_scsi_pages - whose pages a scatterlist has
 * @VHOST_SCSI_PINNED: the guest's, pinned for the request
 * @VHOST_SCSI_HELD: the guest's, which stay pinned
 * @VHOST_SCSI_BOUNCED: ours, of the request alone
 * @VHOST_SCSI_SLOT: ours, which stays its own: protection information
 */
enum vhost_scsi_pages {
	VHOST_SCSI_PINNED,
	VHOST_SCSI_HELD,
	VHOST_SCSI_BOUNCED,
	VHOST_SCSI_SLOT,
};

/**
 * struct vhost_scsi_sgl - pages of a request
 * @table: allocated, the request's own, or NULL
 * @nents: how many entries it has, each in one page
 * @pages: whose they are
 * @reader: where they are held ones
 */
struct vhost_scsi_sgl {
	struct scatterlist *table;
	unsigned int nents;
	enum vhost_scsi_pages pages;
	int reader;
};

/**
 * enum vhost_scsi_way - the way of a command, see direct.c
 * @VHOST_SCSI_LONG: through the target core, as its scatterlists
 * @VHOST_SCSI_DIRECT: as a bio
 * @VHOST_SCSI_UNCHARGING: that has ended, and the target core lets go of it now
 * @VHOST_SCSI_HANDED_OVER: that has not ended well, and the target core has it
 */
enum vhost_scsi_way {
	VHOST_SCSI_LONG,
	VHOST_SCSI_DIRECT,
	VHOST_SCSI_UNCHARGING,
	VHOST_SCSI_HANDED_OVER,
};

/**
 * struct vhost_scsi_req - a SCSI command in flight
 * @cmd: the core's part
 * @se_cmd: the target core's part
 * @work: sends it there, where that may take its time
 * @next_free: while it is free
 * @command: what it is
 * @reply: where its answer goes
 * @response: the VIRTIO response, where it is not the target core's to say
 * @cancelled: how a task management function makes it end, else 0; vq->mutex
 * @aborted: the target core has ended it without a status
 * @aborted_as: the response then; vq->mutex
 * @sent: the target core has it, or had
 * @busy: it is not free
 * @way: how it goes
 * @awaited: a bit for each control request that it keeps waiting; vq->mutex
 * @bytes: what it holds of VHOST_SCSI_VQ_BYTES
 * @data: of its data; where it is a bio, only whose pages it has
 * @prot: of its protection information
 * @slot: room for little of that, in a page of the queue
 * @slot_sg: which is this then
 * @prot_at: to where the guest wants it, if that is all that is copied; else NULL
 * @sense: sense data
 * @inline_sg: for what is small
 * @bio: the short way's
 * @vecs: its table
 * @slot_vec: @slot, where it has protection information
 * @bip: which this is then
 */
struct vhost_scsi_req {
	struct vstor_cmd cmd;
	struct se_cmd se_cmd;
	struct vstor_work work;
	struct vhost_scsi_req *next_free;
	struct vhost_scsi_command command;
	struct vhost_scsi_reply reply;
	u8 response;
	u8 cancelled;
	bool aborted;
	u8 aborted_as;
	bool sent;
	bool busy;
	enum vhost_scsi_way way;
	unsigned long awaited;
	u32 bytes;
	struct vhost_scsi_sgl data;
	struct vhost_scsi_sgl prot;
	u8 *slot;
	struct scatterlist slot_sg;
	u8 __user *prot_at;
	u8 sense[TRANSPORT_SENSE_BUFFER];
	union {
		struct scatterlist inline_sg[VHOST_SCSI_INLINE_SG];
		struct {
			struct bio bio;
			struct bio_vec vecs[VHOST_SCSI_INLINE_SG];
			struct bio_vec slot_vec;
			struct bio_integrity_payload bip;
		};
	};
};

/**
 * enum vhost_scsi_status - how requests end, as far as is counted apart
 * @VHOST_SCSI_STATUS_OK: GOOD
 * @VHOST_SCSI_STATUS_CHECK: CHECK CONDITION
 * @VHOST_SCSI_STATUS_OTHER: another SCSI status
 * @VHOST_SCSI_STATUS_RESPONSE: without one: the VIRTIO response is not OK
 */
enum vhost_scsi_status {
	VHOST_SCSI_STATUS_OK,
	VHOST_SCSI_STATUS_CHECK,
	VHOST_SCSI_STATUS_OTHER,
	VHOST_SCSI_STATUS_RESPONSE,
	VHOST_SCSI_STATUSES,
};

/**
 * struct vhost_scsi_stats - what a queue's requests were; as struct vstor_stats
 * @requests: of each sort, also those that ended in an error
 * @bytes: their data
 * @statuses: how many ended how
 * @direct: how many went the short way
 */
struct vhost_scsi_stats {
	u64 requests[VHOST_SCSI_OPS];
	u64 bytes[VHOST_SCSI_OPS];
	u64 statuses[VHOST_SCSI_STATUSES];
	u64 direct;
};

/**
 * struct vhost_scsi_vq - a queue of any of the three sorts
 * @svq: the core's part; its vq's private_data is the endpoint
 * @scsi: the device
 * @reqs: of a request queue, while there is an endpoint
 * @nreqs: how many
 * @free: those that are not in flight
 * @bytes: sum of their @bytes
 * @stats: see above
 */
struct vhost_scsi_vq {
	struct vstor_vq svq;
	struct vhost_scsi *scsi;
	struct vhost_scsi_req *reqs;
	unsigned int nreqs;
	struct vhost_scsi_req *free;
	u32 bytes;
	struct vhost_scsi_stats stats;
};

/**
 * struct vhost_scsi_control - a request of the control queue
 * @cmd: the core's part
 * @se_cmd: a reset, on its way through the target core
 * @scsi: the device
 * @reply: where its answer goes
 * @response: the VIRTIO response
 * @answer_bytes: of the answer, of which the response is the last
 * @busy: it is not free
 * @left: requests that must end first, and one while it is being started
 */
struct vhost_scsi_control {
	struct vstor_cmd cmd;
	struct se_cmd se_cmd;
	struct vhost_scsi *scsi;
	struct vhost_scsi_reply reply;
	u8 response;
	u8 answer_bytes;
	bool busy;
	atomic_t left;
};

/**
 * struct vhost_scsi_event - something to tell the guest
 * @cmd: the core's part, once there is a buffer
 * @node: in the device's list until then
 * @event: what the guest gets
 */
struct vhost_scsi_event {
	struct vstor_cmd cmd;
	struct list_head node;
	struct virtio_scsi_event event;
};

/**
 * struct vhost_scsi_tport - /sys/kernel/config/target/vhost/NAME
 * @wwn: the target core's part
 * @protocol: of the name: SCSI_PROTOCOL_SAS, _FCP or _ISCSI
 * @name: as QEMU gives it, without the "fc." of a folder
 */
struct vhost_scsi_tport {
	struct se_wwn wwn;
	u8 protocol;
	char name[TRANSPORT_IQN_LEN];
};

/**
 * struct vhost_scsi_tpg - tpgt_N in it: a target that a guest can be given
 * @tpg: the target core's part
 * @refs: of this memory; the folder has one, and SET_ENDPOINT while it looks
 * @node: in vhost_scsi_tpgs
 * @tport: whose it is
 * @tag: N, by which the guest names it as well
 * @lock: what follows but @luns
 * @session: the nexus, or NULL; fixed while there is a user
 * @user: the device that has it, or is about to
 * @ports: LUNs
 * @prot_type: what fabric_prot_type says
 * @block_mask: bits that must be 0 in the length of a piece of data that goes to the
 *	target core as it lies: of the largest block of any LUN; only grows
 * @luns: a bit for each LUN there is; atomic
 * @read_only: a bit for each of them that must not be written
 * @stable: a bit for each where what is written must not change meanwhile
 * @direct_rw: reads and writes may go the short way
 * @direct: those LUNs where they can, direct.c; written with @lock held, each but NULL stays
 *	as long as it can be found and the mutex of a vq of @user is held
 */
struct vhost_scsi_tpg {
	struct se_portal_group tpg;
	struct kref refs;
	struct list_head node;
	struct vhost_scsi_tport *tport;
	u16 tag;
	struct mutex lock; /* session, user, ports, prot_type */
	struct se_session *session;
	struct vhost_scsi *user;
	unsigned int ports;
	u8 prot_type;
	unsigned int block_mask;
	DECLARE_BITMAP(luns, VHOST_SCSI_LUNS);
	DECLARE_BITMAP(read_only, VHOST_SCSI_LUNS);
	DECLARE_BITMAP(stable, VHOST_SCSI_LUNS);
	bool direct_rw;
	struct vhost_scsi_direct __rcu *direct[VHOST_SCSI_DIRECT_LUNS];
};

/**
 * struct vhost_scsi_endpoint - the targets that a device serves
 * @wwpn: their name
 * @tpgs: by number; each is kept from going by the device
 */
struct vhost_scsi_endpoint {
	char wwpn[TRANSPORT_IQN_LEN];
	struct vhost_scsi_tpg *tpgs[VHOST_SCSI_TARGETS];
};

/**
 * struct vhost_scsi - an open /dev/vhost-scsi
 * @dev: what vhost knows of it
 * @vqs: @queues as vhost wants them
 * @queues: control, event and request queues
 * @nvqs: how many; fixed
 * @number: in names and traces; fixed
 * @stats_file: in debugfs
 * @watch: looks at the sizes of LUNs
 * @works: send what may take its time; from the first endpoint on
 * @endpoint: set or NULL; dev.mutex
 * @controls: requests of the control queue, while there is an endpoint; its vq->mutex
 * @events: that wait for a buffer; the event queue's vq->mutex, and the next three
 * @nevents: how many
 * @told: the last one that was told
 * @events_missed: there were more
 * @missed: tells that, where there is no event that could
 * @failures_until: when all that have failed will not count any more, in ns; 0: none has
 * @held_back_told: the log has a line of it
 */
struct vhost_scsi {
	struct vhost_dev dev;
	struct vhost_virtqueue **vqs;
	struct vhost_scsi_vq *queues;
	unsigned int nvqs;
	unsigned int number;
	struct vstor_stats_file stats_file;
	struct delayed_work watch;
	struct workqueue_struct *works;
	struct vhost_scsi_endpoint *endpoint;
	struct vhost_scsi_control *controls;
	struct list_head events;
	unsigned int nevents;
	struct vhost_scsi_event *told;
	bool events_missed;
	struct vhost_scsi_event missed;
	atomic64_t failures_until;
	bool held_back_told;
};

static inline struct vhost_scsi_vq *to_vhost_scsi_vq(struct vstor_vq *svq)
{
	return container_of(svq, struct vhost_scsi_vq, svq);
}

static inline struct vhost_scsi_tpg *to_vhost_scsi_tpg(struct se_portal_group *tpg)
{
	return container_of(tpg, struct vhost_scsi_tpg, tpg);
}

static inline struct vhost_scsi_req *to_vhost_scsi_req(struct se_cmd *se_cmd)
{
	return container_of(se_cmd, struct vhost_scsi_req, se_cmd);
}

/* ioctl.c */
extern const struct file_operations vhost_scsi_fops;

/* endpoint.c: process context */

/* dev.mutex held. */
long vhost_scsi_set_endpoint(struct vhost_scsi *scsi, void __user *argp);
long vhost_scsi_clear_endpoint(struct vhost_scsi *scsi, void __user *argp);
/* On release. */
void vhost_scsi_detach(struct vhost_scsi *scsi);

/* target.c */

/* All targets; the lock is of the list, and of each one's being there. */
extern struct list_head vhost_scsi_tpgs;
extern struct mutex vhost_scsi_tpgs_lock;
void vhost_scsi_tpg_get(struct vhost_scsi_tpg *tpg);
void vhost_scsi_tpg_put(struct vhost_scsi_tpg *tpg);
/*
 * The target that the guest means, or NULL. vq->mutex of any queue held, on which it
 * stays.
 */
struct vhost_scsi_tpg *vhost_scsi_find_tpg(struct vhost_virtqueue *vq,
					   const struct vhost_scsi_lun *lun);

/* queue.c: process context, vq->mutex held */
extern const struct vstor_ops vhost_scsi_request_ops;
int vhost_scsi_vq_alloc_reqs(struct vhost_scsi_vq *sq);
void vhost_scsi_vq_free_reqs(struct vhost_scsi_vq *sq);

/* direct.c: the vq's worker, vq->mutex held */

/*
 * Sends a command whose data is @skip bytes into @iov the short way: 0, vstor_cmd_done()
 * follows. -EAGAIN: it would exceed the queue's share of memory; -E2BIG: it must go the
 * long way. Then nothing was done.
 */
int vhost_scsi_submit_direct(struct vhost_scsi_req *req, struct vhost_scsi_tpg *tpg,
			     const struct iovec *iov, unsigned int segs, size_t skip);
/* lun.c */

/**
 * struct vhost_scsi_direct - a LUN that is a block device, from its link on
 * @rcu: frees it
 * @dev: its backstore; good while this is found, and while a command holds the LUN
 * @bdev: what that has open; the same
 * @blocks: its last block, when that was looked at
 * @block: bytes of one
 * @shift: from the number of a block to that of its first sector
 * @addr_mask: bits that must be 0 in the address of memory that is to reach it
 * @protected: it has protection information, as the guest has it
 */
struct vhost_scsi_direct {
	struct rcu_head rcu;
	struct se_device *dev;
	struct block_device *bdev;
	u64 blocks;
	unsigned int block;
	unsigned int shift;
	unsigned int addr_mask;
	bool protected;
};

/* A LUN came; is about to go. tpg->lock held. */
void vhost_scsi_direct_add(struct vhost_scsi_tpg *tpg, struct se_lun *lun);
void vhost_scsi_direct_remove(struct vhost_scsi_tpg *tpg, struct se_lun *lun);
/* Has it another size than the last time? The same. */
bool vhost_scsi_direct_resized(struct vhost_scsi_tpg *tpg, unsigned int lun);
/* NULL: there is none. It stays while the vq's mutex is held, and its device with it. */
const struct vhost_scsi_direct *vhost_scsi_direct_find(struct vhost_virtqueue *vq,
						       struct vhost_scsi_tpg *tpg,
						       unsigned int lun);
/* Has the block device what the target core says of it? */
bool vhost_scsi_is_protected(struct se_device *dev, struct block_device *bdev);
/*
 * The block device behind its LUN, which the command holds, if that has protection
 * information that the target core takes it at its word for; else NULL.
 */
struct block_device *vhost_scsi_protected_bdev(const struct vhost_scsi_req *req);

/* lio.c: what is the target core's own */

bool vhost_scsi_lio_is_iblock(const struct se_device *dev);
/* The block device of an iblock backstore, which has it open; NULL: there is none. */
struct block_device *vhost_scsi_lio_bdev(struct se_device *dev);
/*
 * Accounts a command that holds its LUN, as the target core does before it executes one: it
 * is in the list of the device's commands and counted for ORDERED ones. False: an ORDERED
 * one is waiting, which this one must not overtake.
 */
bool vhost_scsi_lio_charge(struct se_cmd *se_cmd, u64 lba);
/* From here on nobody aborts it; false: somebody has, and waits until it ends. */
bool vhost_scsi_lio_close(struct se_cmd *se_cmd);
/* It was closed, and the target core has no other hold of it: it is over. */
void vhost_scsi_lio_uncharge(struct se_cmd *se_cmd);
/* Counts it among those of its LUN. */
void vhost_scsi_lio_count(const struct se_cmd *se_cmd, u32 bytes);
/* No ORDERED command waits for it any more. Process context. */
void vhost_scsi_lio_end_task_attr(struct se_cmd *se_cmd);

/* data.c: the vq's worker, vq->mutex held */

/* Forward by @bytes, of which there are as many. */
void vhost_scsi_advance(struct vhost_scsi_span *span, size_t bytes);
/* Takes a share of the queue's memory; false: there is not so much left of it. */
bool vhost_scsi_reserve(struct vhost_scsi_req *req, u32 bytes);
/* Pages that @bytes of guest memory lie in, one counted for each piece in it. */
unsigned int vhost_scsi_guest_pages(struct vhost_scsi_span span, size_t bytes);
/*
 * Makes the request's scatterlists of the data that is @skip bytes into @iov; -EAGAIN
 * where it would exceed the queue's share of memory, with nothing done.
 */
int vhost_scsi_map(struct vhost_scsi_req *req, const struct vhost_scsi_tpg *tpg,
		   const struct iovec *iov, unsigned int segs, size_t skip);
/*
 * The same of little protection information alone, which is at @span and in one buffer.
 * False: it is not; then nothing was done.
 */
bool vhost_scsi_map_slot(struct vhost_scsi_req *req, struct vhost_scsi_span span);
/* To the guest, what was read and bounced: protection information and @bytes of data. */
int vhost_scsi_copy_read(struct vhost_scsi_req *req, u32 bytes);
/* Gives back all pages and the queue's memory. */
void vhost_scsi_unmap(struct vhost_scsi_req *req);

/* reply.c: vq->mutex held */

/* For an answer of at most @bytes, for which there is room. */
int vhost_scsi_reply_init(struct vhost_scsi_reply *reply, const struct iovec *iov,
			  unsigned int segs, size_t bytes);
/* Where that found no memory: answers, and nothing more is to be told. */
int vhost_scsi_reply_now(struct vhost_scsi_reply *reply, const struct iovec *iov,
			 const void *answer, size_t bytes);
int vhost_scsi_reply_put(struct vhost_scsi_reply *reply, const void *answer, size_t bytes);
void vhost_scsi_reply_free(struct vhost_scsi_reply *reply);

/* submit.c */

/*
 * The target core knows it from here on, and ends it. False: it has ended, for there is no
 * session.
 */
bool vhost_scsi_init_cmd(struct vhost_scsi_req *req, struct vhost_scsi_tpg *tpg);
/* Sends it to the target core, or ends it; vstor_cmd_done() follows in any case. */
void vhost_scsi_submit(struct vhost_scsi_req *req, struct vhost_scsi_tpg *tpg);
/* Has it asked for more data than there is room for? Once the target core has its CDB. */
bool vhost_scsi_is_overrun(const struct vhost_scsi_req *req);

/* complete.c: the vq's worker, or whoever stops the device; vq->mutex held */

s64 vhost_scsi_finish(struct vstor_cmd *cmd, bool discard);

/* failures.c */

/* Have too many commands of the device failed of late? */
bool vhost_scsi_is_held_back(const struct vhost_scsi *scsi);
/* A command has ended, perhaps in an error. vq->mutex held. */
void vhost_scsi_count_failure(struct vhost_scsi_req *req);

/* stats.c */
void vhost_scsi_stats_init(void);
void vhost_scsi_stats_exit(void);
/* The device's file comes. */
void vhost_scsi_stats_add(struct vhost_scsi *scsi);
/* A request was taken; has ended. vq->mutex held. */
void vhost_scsi_stats_taken(struct vhost_scsi_vq *sq, const struct vhost_scsi_command *command);
void vhost_scsi_stats_ended(struct vhost_scsi_vq *sq, u8 response, u8 status);

/* control.c */
extern const struct vstor_ops vhost_scsi_control_ops;
int vhost_scsi_alloc_controls(struct vhost_scsi *scsi);
void vhost_scsi_free_controls(struct vhost_scsi *scsi);
/* A request has ended that those which @awaited names waited for. Its vq->mutex held. */
void vhost_scsi_awaited_ended(struct vhost_scsi *scsi, unsigned long awaited);
/* The target core's answer to a reset; and it is done with it. Any context. */
void vhost_scsi_reset_answered(struct se_cmd *se_cmd);
void vhost_scsi_reset_released(struct se_cmd *se_cmd);

/* event.c */
extern const struct vstor_ops vhost_scsi_event_ops;
/* A LUN came or went. Process context. */
void vhost_scsi_lun_event(struct vhost_scsi *scsi, const struct vhost_scsi_tpg *tpg, u64 lun,
			  u32 reason);
void vhost_scsi_watch_init(struct vhost_scsi *scsi);
/* There is an endpoint, whose sizes are watched while it is there. dev.mutex held. */
void vhost_scsi_watch_start(struct vhost_scsi *scsi);
/* The endpoint goes; the vqs stand still. */
void vhost_scsi_drop_events(struct vhost_scsi *scsi);
/* Process context. */
long vhost_scsi_get_events_missed(struct vhost_scsi *scsi, void __user *argp);
long vhost_scsi_set_events_missed(struct vhost_scsi *scsi, void __user *argp);

/* fabric.c */
extern const struct target_core_fabric_ops vhost_scsi_fabric_ops;
/* protect.c: process context; may do I/O */

/* A read or write has ended with sense data: says in it what protection information was wrong. */
void vhost_scsi_explain(struct vhost_scsi_req *req);

/* configfs.c: what /sys/kernel/config/target/vhost is made of */
extern struct configfs_attribute *vhost_scsi_wwn_attrs[];
extern struct configfs_attribute *vhost_scsi_tpg_attrs[];
extern struct configfs_attribute *vhost_scsi_tpg_attrib_attrs[];
struct se_wwn *vhost_scsi_make_wwn(struct target_fabric_configfs *fabric,
				   struct config_group *group, const char *name);
void vhost_scsi_drop_wwn(struct se_wwn *wwn);
struct se_portal_group *vhost_scsi_make_tpg(struct se_wwn *wwn, const char *name);
void vhost_scsi_drop_tpg(struct se_portal_group *se_tpg);
int vhost_scsi_post_link(struct se_portal_group *se_tpg, struct se_lun *lun);
void vhost_scsi_pre_unlink(struct se_portal_group *se_tpg, struct se_lun *lun);

#endif /* _VHOST_SCSI_H */
