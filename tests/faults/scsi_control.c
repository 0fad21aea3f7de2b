// SPDX-License-Identifier: GPL-2.0
/*
 * Memory runs out under a request of the control queue, or an event: each allocation once,
 * of the queue's worker, of the kernel's workers, or of who adds the LUN. A function is
 * answered after the commands that it is about; an event is told, or that one was missed.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"
#include "load.h"
#include "scsi.h"
#include "tap.h"

#define TARGET { 1, SCSI_TPGT, 0x40, 0 }
#define COMMANDS 4
#define DELAY_MS 60
#define TAG 100

/* More pieces than are taken without allocating, of an answer that is written at once. */
#define ROOM 12
static const struct blk_layout pieces = { .name = "pieces", .in_every = 1, .packed = true };

struct tries {
	const struct function *function;
	struct vdev *dev;
	struct victim victim;
	unsigned int failed;
	/* Buffers of the event queue that the device has. */
	struct blk_req buffers[2];
};

static void serves(struct tries *t)
{
	struct scsi_cmd tur = { .cdb = { 0 } };
	struct scsi_result res;

	/* The first may be told of a reset, or of another LUN. */
	for (unsigned int i = 0; i < 4; i++) {
		res = scsi_cmd_do(scsi_queue(t->dev, 1), &tur);
		scsi_check_response(&res, VIRTIO_SCSI_S_OK);
		if (!res.resp.status)
			break;
	}
	scsi_check_sense(&res, 0, 0, 0);
	scsi_result_free(&res);
}

/* The control queue */

union control {
	struct virtio_scsi_ctrl_tmf_req tmf;
	struct virtio_scsi_ctrl_an_req an;
};

static const struct function {
	const char *name;
	union control request;
	uint32_t len;
	/* Where the answer is, and what. */
	unsigned int at;
	uint8_t answer;
	bool commands;	/* are in flight */
} functions[] = {
	{ "logical_unit_reset",
	  { .tmf = { .subtype = VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, .lun = TARGET } },
	  sizeof(struct virtio_scsi_ctrl_tmf_req), 0, VIRTIO_SCSI_S_OK },
	{ "logical_unit_reset_in_flight",
	  { .tmf = { .subtype = VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, .lun = TARGET } },
	  sizeof(struct virtio_scsi_ctrl_tmf_req), 0, VIRTIO_SCSI_S_OK, true },
	{ "abort_task_in_flight",
	  { .tmf = { .subtype = VIRTIO_SCSI_T_TMF_ABORT_TASK, .lun = TARGET, .tag = TAG } },
	  sizeof(struct virtio_scsi_ctrl_tmf_req), 0, VIRTIO_SCSI_S_OK, true },
	{ "i_t_nexus_reset",
	  { .tmf = { .subtype = VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET, .lun = TARGET } },
	  sizeof(struct virtio_scsi_ctrl_tmf_req), 0, VIRTIO_SCSI_S_OK },
	{ "unknown", { .tmf = { .type = 3 } }, sizeof(struct virtio_scsi_ctrl_tmf_req), 0,
	  VIRTIO_SCSI_S_FAILURE },
	{ "notifications", { .an = { .type = VIRTIO_SCSI_T_AN_QUERY, .lun = TARGET } },
	  sizeof(struct virtio_scsi_ctrl_an_req), 4, VIRTIO_SCSI_S_OK },
};

static void put_commands(struct tries *t, struct scsi_result *res)
{
	struct vq *vq = scsi_queue(t->dev, 0);
	static unsigned char data[4096];

	for (unsigned int i = 0; i < COMMANDS; i++) {
		struct scsi_cmd cmd = scsi_cmd_write(i * 8, 8, data);

		cmd.tag = TAG + i;
		res[i] = scsi_cmd_add(vq, &cmd);
	}
	blk_send(vq);
	while ((uint16_t)vq_get_base(vq) != vq->published_idx)
		sleep_ms(1);
}

/* That are done, or aborted, whatever became of the function. */
static void end_commands(struct tries *t, struct scsi_result *res)
{
	scsi_finish_all(scsi_queue(t->dev, 0), res, COMMANDS);
	for (unsigned int i = 0; i < COMMANDS; i++) {
		uint8_t response = res[i].resp.response;

		if (response != VIRTIO_SCSI_S_RESET && response != VIRTIO_SCSI_S_ABORTED &&
		    (response != VIRTIO_SCSI_S_OK || res[i].resp.status))
			scsi_check_host_failed(&res[i]);
		scsi_result_free(&res[i]);
	}
}

/* What cannot be remembered is a failure, and what the target core has no memory for rejected. */
static void check_answer(struct tries *t, const struct blk_req *req, bool met)
{
	const struct function *f = t->function;

	if (req->in[f->at] == f->answer)
		return;
	check(met, "no fault, and yet an answer of %u", req->in[f->at]);
	check(req->in[0] == VIRTIO_SCSI_S_FAILURE ||
	      req->in[0] == VIRTIO_SCSI_S_FUNCTION_REJECTED, "an answer of %u", req->in[0]);
	t->failed++;
}

static bool try_function(struct tries *t, unsigned int n)
{
	static const unsigned char untouched[ROOM] = { [0 ... ROOM - 1] = SCSI_NO_RESPONSE };
	const struct function *f = t->function;
	uint64_t mark = guest_mark(&t->dev->mem);
	struct scsi_result commands[COMMANDS];
	struct vq *vq = t->dev->vqs[0];
	struct blk_req req;
	bool met;

	if (f->commands)
		put_commands(t, commands);
	req = req_add(vq, &f->request, f->len, untouched, ROOM, &pieces);
	fault_arm(&t->victim, n);
	blk_send(vq);
	req_finish(&req, vq_get(vq));
	met = fault_met(&t->victim);
	check_answer(t, &req, met);
	blk_free(&req);
	if (f->commands)
		end_commands(t, commands);
	serves(t);
	if (n)
		guest_release(&t->dev->mem, mark);
	return met;
}

static struct tries start(const char *disk, uint64_t features)
{
	struct tries t = { 0 };

	scsi_target_with(&(struct scsi_lun){ .path = disk });
	t.dev = scsi_start(SCSI_WWPN, 2, 128, SCSI_FEATURES | features);
	vdev_start(t.dev);
	serves(&t);
	return t;
}

TEST_PATHS_LIMIT(each_function_is_answered, functions, 60)
{
	unsigned int own, others;
	struct tries t;

	faults_need();
	kernel_pages();
	t = start(v->commands ? slow_disk(16, DELAY_MS) : nullb_new(&(struct nullb){}), 0);
	t.function = v;
	t.victim = victim_worker();
	own = faults_sweep(&t, try_function);
	t.victim = victim_kworkers();
	others = faults_sweep(&t, try_function);
	diag("%u faults, and %u of the kernel's workers, %u functions failed", own, others,
	     t.failed);
}

/* Events */

#define LUN SCSI_TPG "/lun/lun_1"
#define LINK LUN "/vst"
/* The backstore of LUN 0. */
#define STORE SCSI_LIO "/core/iblock_7000/vst0"
/* It is there a little later, if it is told at all. */
#define SOON_MS patience(100)

static struct vq *events_of(const struct tries *t)
{
	return t->dev->vqs[1];
}

/* As many buffers as there are events in a try. */
static void give_buffers(struct tries *t)
{
	static const unsigned char untouched[sizeof(struct virtio_scsi_event)];

	for (unsigned int i = 0; i < ARRAY_SIZE(t->buffers); i++)
		if (!t->buffers[i].pieces || t->buffers[i].done)
			t->buffers[i] = req_add(events_of(t), NULL, 0, untouched,
						sizeof(untouched), &pieces);
	blk_send(events_of(t));
}

/* The next one, within a time; false: none. */
static bool take_event(struct tries *t, struct virtio_scsi_event *event, unsigned int ms)
{
	struct blk_req *req = t->buffers;
	struct used u;

	if (!vq_wait(events_of(t), &u, ms))
		return false;
	while (req->done || req->head != u.head)
		check(++req < t->buffers + ARRAY_SIZE(t->buffers), "head %u is no buffer", u.head);
	req_finish(req, u);
	check_eq(req->used_len, sizeof(*event));
	memcpy(event, req->in, sizeof(*event));
	blk_free(req);
	return true;
}

/* The guest knows of it, or that it does not know all; what else it is told goes before. */
static void must_be_told(struct tries *t, uint32_t reason)
{
	struct virtio_scsi_event event;

	for (;;) {
		check(take_event(t, &event, VQ_WAIT_MS), "nothing told of reason %u", reason);
		if (le32toh(event.event) & VIRTIO_SCSI_T_EVENTS_MISSED) {
			t->failed++;
			return;
		}
		check_eq(le32toh(event.event), VIRTIO_SCSI_T_TRANSPORT_RESET);
		if (le32toh(event.reason) == reason)
			return;
	}
}

static void link_lun(void)
{
	check_ok(symlink(STORE, LINK));
}

static void unlink_lun(void)
{
	check_ok(unlink(LINK));
}

/* Of who adds the LUN: that may fail, and then it has not come, or has gone again. */
static bool try_to_add(struct tries *t, unsigned int n)
{
	struct virtio_scsi_event event;
	int ret, error;
	bool met;

	give_buffers(t);
	fault_arm(&t->victim, n);
	ret = symlink(STORE, LINK);
	error = errno;
	met = fault_met(&t->victim);
	if (ret) {
		check(met && error == ENOMEM, "linking the LUN: %s", strerror(error));
		if (take_event(t, &event, SOON_MS))
			must_be_told(t, VIRTIO_SCSI_EVT_RESET_REMOVED);
		return met;
	}
	must_be_told(t, VIRTIO_SCSI_EVT_RESET_RESCAN);
	unlink_lun();
	give_buffers(t);
	must_be_told(t, VIRTIO_SCSI_EVT_RESET_REMOVED);
	return met;
}

/* Of who removes it: the guest is told all the same, that it was or that one was missed. */
static bool try_to_remove(struct tries *t, unsigned int n)
{
	int ret, error;
	bool met;

	give_buffers(t);
	link_lun();
	must_be_told(t, VIRTIO_SCSI_EVT_RESET_RESCAN);
	give_buffers(t);
	fault_arm(&t->victim, n);
	ret = unlink(LINK);
	error = errno;
	met = fault_met(&t->victim);
	if (ret) {
		check(met && error == ENOMEM, "unlinking the LUN: %s", strerror(error));
		unlink_lun();
	}
	must_be_told(t, VIRTIO_SCSI_EVT_RESET_REMOVED);
	return met;
}

/* Of the queue's worker: a buffer that has no turn has it with the next event. */
static bool try_to_tell(struct tries *t, unsigned int n)
{
	struct virtio_scsi_event event;
	bool told, met;

	give_buffers(t);
	fault_arm(&t->victim, n);
	link_lun();
	told = take_event(t, &event, SOON_MS);
	met = fault_met(&t->victim);
	check(told || met, "no fault, and yet no event");
	unlink_lun();
	if (!told)
		must_be_told(t, VIRTIO_SCSI_EVT_RESET_RESCAN);
	must_be_told(t, VIRTIO_SCSI_EVT_RESET_REMOVED);
	return met;
}

static const struct teller {
	const char *name;
	bool (*try)(struct tries *t, unsigned int n);
	bool by_worker;
} tellers[] = {
	{ "of_a_lun_that_comes", try_to_add },
	{ "of_a_lun_that_goes", try_to_remove },
	{ "by_the_worker", try_to_tell, true },
};

TEST_PATHS_LIMIT(each_event_is_told, tellers, 60)
{
	unsigned int n;
	struct tries t;

	faults_need();
	kernel_pages();
	t = start(nullb_new(&(struct nullb){}), BIT(VIRTIO_SCSI_F_HOTPLUG));
	check_ok(mkdir(LUN, 0755));
	t.victim = v->by_worker ? victim_worker() : victim_self();
	faults_lock_memory();
	n = faults_sweep(&t, v->try);
	serves(&t);
	diag("%u faults, %u events missed", n, t.failed);
}
