// SPDX-License-Identifier: GPL-2.0
/* The control queue: task management, whose answers come last, and notifications. */
#include <endian.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"
#include "scsi.h"
#include "tap.h"

#define COMPLETE VIRTIO_SCSI_S_OK
#define RESP sizeof(struct virtio_scsi_cmd_resp)

static struct vdev *start_with(const struct scsi_lun *lun)
{
	struct vdev *dev = scsi_start(scsi_target_with(lun), 2, 128, SCSI_FEATURES);

	vdev_start(dev);
	return dev;
}

static struct vdev *start(void)
{
	return start_with(&(struct scsi_lun){ .mb = 16 });
}

static struct vdev *start_slow(void)
{
	return start_with(&(struct scsi_lun){ .path = slow_disk(16, SLOW_DISK_MS) });
}

static struct virtio_scsi_ctrl_tmf_req tmf_of(uint32_t subtype, uint8_t lun, uint64_t tag)
{
	return (struct virtio_scsi_ctrl_tmf_req){
		.type = htole32(VIRTIO_SCSI_T_TMF), .subtype = htole32(subtype),
		.lun = { 1, SCSI_TPGT, 0x40, lun }, .tag = htole64(tag),
	};
}

static const struct {
	const char *name;
	uint32_t subtype;
	uint8_t response;
} idle[] = {
	{ "abort_task", VIRTIO_SCSI_T_TMF_ABORT_TASK, COMPLETE },
	{ "abort_task_set", VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, COMPLETE },
	{ "clear_aca", VIRTIO_SCSI_T_TMF_CLEAR_ACA, VIRTIO_SCSI_S_FUNCTION_REJECTED },
	{ "clear_task_set", VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET, VIRTIO_SCSI_S_FUNCTION_REJECTED },
	{ "i_t_nexus_reset", VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET, COMPLETE },
	{ "logical_unit_reset", VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, COMPLETE },
	{ "query_task", VIRTIO_SCSI_T_TMF_QUERY_TASK, COMPLETE },
	{ "query_task_set", VIRTIO_SCSI_T_TMF_QUERY_TASK_SET, COMPLETE },
	{ "unknown", 8, VIRTIO_SCSI_S_FUNCTION_REJECTED },
	{ "huge", 0xffffffff, VIRTIO_SCSI_S_FUNCTION_REJECTED },
};

TEST_PATHS(without_commands, idle)
{
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(v->subtype, 0, 1);

	scsi_tmf_do(start(), &tmf, v->response);
}

TEST(lun_that_is_not_there)
{
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 9, 0);
	struct vdev *dev = start();

	scsi_tmf_do(dev, &tmf, VIRTIO_SCSI_S_INCORRECT_LUN);
	tmf.lun[1] = 77;
	scsi_tmf_do(dev, &tmf, VIRTIO_SCSI_S_BAD_TARGET);
	memset(tmf.lun, 0xff, sizeof(tmf.lun));
	scsi_tmf_do(dev, &tmf, VIRTIO_SCSI_S_BAD_TARGET);
}

/* VIRTIO 5.6.6.2: what is asked for and not there is not reported. */
TEST(notifications_are_none)
{
	const uint32_t types[] = { VIRTIO_SCSI_T_AN_QUERY, VIRTIO_SCSI_T_AN_SUBSCRIBE };
	struct virtio_scsi_ctrl_an_resp resp;
	struct vdev *dev = start();
	struct blk_req req;

	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		struct virtio_scsi_ctrl_an_req an = {
			.type = htole32(types[i]), .lun = { 1, SCSI_TPGT, 0x40, 0 },
			.event_requested = htole32(0x7e),
		};

		req = scsi_control_do(dev, &an, sizeof(an), sizeof(resp));
		check_eq(req.used_len, sizeof(resp));
		memcpy(&resp, req.in, sizeof(resp));
		check_eq(resp.event_actual, 0);
		check_eq(resp.response, VIRTIO_SCSI_S_OK);
	}
}

static const struct {
	const char *name;
	uint32_t type;
	uint32_t len;
} junk[] = {
	{ "unknown_type", 3, 24 }, { "huge_type", 0xffffffff, 24 },
	{ "short_tmf", VIRTIO_SCSI_T_TMF, 23 }, { "short_notification", VIRTIO_SCSI_T_AN_QUERY, 15 },
	{ "type_only", VIRTIO_SCSI_T_TMF, 4 }, { "part_of_a_type", VIRTIO_SCSI_T_TMF, 3 },
	{ "nothing", 0, 0 },
};

TEST_V(junk_is_a_failure, junk)
{
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 0, 0);
	struct vdev *dev = start();
	struct blk_req req;

	tmf.type = htole32(v->type);
	req = scsi_control_do(dev, &tmf, v->len, 5);
	check_eq(req.used_len, 1);
	check_eq(req.in[0], VIRTIO_SCSI_S_FAILURE);
	tmf.type = VIRTIO_SCSI_T_TMF;
	scsi_tmf_do(dev, &tmf, COMPLETE);
}

TEST(no_room_for_an_answer_stops_the_queue)
{
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 0, 0);
	struct vdev *dev = start();

	scsi_control_add(dev, &tmf, sizeof(tmf), 0);
	blk_send(dev->vqs[0]);
	vq_must_break(dev->vqs[0]);
}

#define REQUESTS 8

/* Writes in flight on both queues, tags from 100 on. */
static void put_slow(struct vdev *dev, struct scsi_result *res)
{
	static unsigned char data[4096];
	struct scsi_cmd cmd;

	for (unsigned int i = 0; i < REQUESTS; i++) {
		cmd = scsi_cmd_write(i * 8, 8, data);
		cmd.tag = 100 + i;
		res[i] = scsi_cmd_add(scsi_queue(dev, i & 1), &cmd);
	}
	blk_send(scsi_queue(dev, 0));
	blk_send(scsi_queue(dev, 1));
	sleep_ms(100);
}

/* Those that are in the used rings now. */
static void collect(struct vdev *dev, struct scsi_result *res)
{
	struct used u;

	for (unsigned int q = 0; q < 2; q++)
		while (vq_pop(scsi_queue(dev, q), &u))
			for (unsigned int i = q; i < REQUESTS; i += 2)
				if (res[i].io.head == u.head && !res[i].io.done)
					scsi_cmd_finish(&res[i], u);
}

static const struct slow {
	const char *name;
	uint32_t subtype;
	uint64_t tag;
	/* Which of them it is about, and how these end. */
	unsigned int first, last;
	uint8_t response;
	bool long_way;
} slow[] = {
	{ "abort_task", VIRTIO_SCSI_T_TMF_ABORT_TASK, 103, 3, 3, VIRTIO_SCSI_S_ABORTED },
	{ "abort_task_set", VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, 0, 0, 7, VIRTIO_SCSI_S_ABORTED },
	{ "i_t_nexus_reset", VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET, 0, 0, 7, VIRTIO_SCSI_S_RESET },
	{ "logical_unit_reset", VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 0, 0, 7, VIRTIO_SCSI_S_RESET },
	{ "abort_task_long_way", VIRTIO_SCSI_T_TMF_ABORT_TASK, 103, 3, 3,
	  VIRTIO_SCSI_S_ABORTED, true },
	{ "abort_task_set_long_way", VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, 0, 0, 7,
	  VIRTIO_SCSI_S_ABORTED, true },
	{ "i_t_nexus_reset_long_way", VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET, 0, 0, 7,
	  VIRTIO_SCSI_S_RESET, true },
	{ "logical_unit_reset_long_way", VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 0, 0, 7,
	  VIRTIO_SCSI_S_RESET, true },
};

/* All that it is about has ended, and is in the used rings, when it is answered. */
TEST_PATHS(commands_end_before_the_answer, slow)
{
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(v->subtype, 0, v->tag);
	struct vdev *dev = start_slow();
	struct scsi_result res[REQUESTS];
	long pins = pages_pinned();

	scsi_set_direct(!v->long_way);
	put_slow(dev, res);
	scsi_tmf_do(dev, &tmf, COMPLETE);
	collect(dev, res);
	for (unsigned int i = v->first; i <= v->last; i++) {
		check(res[i].io.done, "the command %u has not ended", i);
		scsi_check_response(&res[i], v->response);
		check_eq(res[i].io.used_len, RESP);
	}
	if (v->first == v->last) {
		sleep_ms(SLOW_DISK_MS);
		collect(dev, res);
		scsi_check_response(&res[v->first + 1], VIRTIO_SCSI_S_OK);
	}
	check(pages_pinned() <= pins, "pages stay pinned");
}

/* Its end is counted: an ORDERED command waits for those before it, and for no others. */
TEST(ordered_command_behind_a_reset)
{
	struct virtio_scsi_ctrl_tmf_req tmf =
		tmf_of(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 0, 0);
	struct scsi_cmd read = scsi_cmd_read(0, 8);
	struct vdev *dev = start_slow();
	struct scsi_result res[REQUESTS];

	put_slow(dev, res);
	scsi_tmf_do(dev, &tmf, COMPLETE);
	collect(dev, res);
	read.task_attr = VIRTIO_SCSI_S_ORDERED;
	/* The first may be told of the reset. */
	for (unsigned int i = 0; i < 4; i++) {
		res[0] = scsi_cmd_do(scsi_queue(dev, i & 1), &read);
		scsi_check_response(&res[0], VIRTIO_SCSI_S_OK);
	}
	check_eq(res[0].resp.status, 0);
}

/* Commands that nobody kicked for are there as well. */
TEST(commands_in_the_ring_are_taken_first)
{
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, 0, 0);
	struct vdev *dev = start_slow();
	struct scsi_cmd tur = { .cdb = { 0 } };
	struct scsi_result res[REQUESTS];
	static unsigned char data[4096];

	/* The looks that the start has asked for are over then. */
	scsi_cmd_do(scsi_queue(dev, 0), &tur);
	scsi_cmd_do(scsi_queue(dev, 1), &tur);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		struct scsi_cmd cmd = scsi_cmd_write(i * 8, 8, data);

		res[i] = scsi_cmd_add(scsi_queue(dev, i & 1), &cmd);
	}
	vq_publish(scsi_queue(dev, 0));
	vq_publish(scsi_queue(dev, 1));
	scsi_tmf_do(dev, &tmf, COMPLETE);
	collect(dev, res);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		check(res[i].io.done, "the command %u has not ended", i);
		scsi_check_response(&res[i], VIRTIO_SCSI_S_ABORTED);
	}
}

/* Of another LUN, or of another name, it is about none. */
TEST(other_commands_are_left_alone)
{
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 1, 0);
	struct vdev *dev = start_slow();
	struct scsi_result res[REQUESTS];
	uint64_t from;

	scsi_lun_add(1, &(struct scsi_lun){ .mb = 1 });
	put_slow(dev, res);
	from = now_ms();
	scsi_tmf_do(dev, &tmf, COMPLETE);
	tmf = tmf_of(VIRTIO_SCSI_T_TMF_ABORT_TASK, 0, 99);
	scsi_tmf_do(dev, &tmf, COMPLETE);
	tmf = tmf_of(VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, 1, 0);
	scsi_tmf_do(dev, &tmf, COMPLETE);
	check(now_ms() - from < SLOW_DISK_MS - 100, "it waited for commands of others");
	sleep_ms(2 * SLOW_DISK_MS);
	collect(dev, res);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		check(res[i].io.done, "the command %u has not ended", i);
		scsi_check_response(&res[i], VIRTIO_SCSI_S_OK);
	}
}

TEST(query_finds_what_is_in_flight)
{
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(VIRTIO_SCSI_T_TMF_QUERY_TASK, 0, 105);
	struct vdev *dev = start_slow();
	struct scsi_result res[REQUESTS];

	put_slow(dev, res);
	scsi_tmf_do(dev, &tmf, VIRTIO_SCSI_S_FUNCTION_SUCCEEDED);
	tmf = tmf_of(VIRTIO_SCSI_T_TMF_QUERY_TASK_SET, 0, 0);
	scsi_tmf_do(dev, &tmf, VIRTIO_SCSI_S_FUNCTION_SUCCEEDED);
	tmf = tmf_of(VIRTIO_SCSI_T_TMF_QUERY_TASK, 0, 99);
	scsi_tmf_do(dev, &tmf, COMPLETE);
}

/* More at a time than there is room for; some of one sort, some of another. */
TEST(functions_at_once_ok)
{
	struct vdev *dev = start_slow();
	struct scsi_result res[REQUESTS];
	struct blk_req reqs[40];

	put_slow(dev, res);
	for (unsigned int i = 0; i < ARRAY_SIZE(reqs); i++) {
		struct virtio_scsi_ctrl_tmf_req tmf =
			tmf_of(i % 2 ? VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET :
				       VIRTIO_SCSI_T_TMF_ABORT_TASK, 0, 100 + i % 8);

		reqs[i] = scsi_control_add(dev, &tmf, sizeof(tmf), 1);
	}
	blk_send(dev->vqs[0]);
	for (unsigned int done = 0; done < ARRAY_SIZE(reqs); done++) {
		struct used u = vq_get(dev->vqs[0]);

		for (unsigned int i = 0; i < ARRAY_SIZE(reqs); i++)
			if (reqs[i].head == u.head && !reqs[i].done)
				req_finish(&reqs[i], u);
	}
	collect(dev, res);
	for (unsigned int i = 0; i < REQUESTS; i++)
		check(res[i].io.done, "the command %u has not ended", i);
	for (unsigned int i = 0; i < ARRAY_SIZE(reqs); i++)
		check_eq(reqs[i].in[0], COMPLETE);
}

/* The device is stopped while a function waits for commands. */
TEST(stop_while_a_function_waits)
{
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 0, 0);
	struct vdev *dev = start_slow();
	struct scsi_result res[REQUESTS];
	struct blk_req req;
	struct used u;

	put_slow(dev, res);
	req = scsi_control_add(dev, &tmf, sizeof(tmf), 1);
	blk_send(dev->vqs[0]);
	sleep_ms(50);
	check_ok(scsi_clear_endpoint(dev, SCSI_WWPN));
	check(vq_pop(dev->vqs[0], &u), "the function has not ended");
	req_finish(&req, u);
	collect(dev, res);
	for (unsigned int i = 0; i < REQUESTS; i++)
		check(res[i].io.done, "the command %u has not ended", i);
}

/* Names that are the same in their lower half are others. */
TEST(tags_have_64_bits)
{
	struct virtio_scsi_ctrl_tmf_req tmf =
		tmf_of(VIRTIO_SCSI_T_TMF_ABORT_TASK, 0, 103 | 1ull << 32);
	struct vdev *dev = start_slow();
	struct scsi_result res[REQUESTS];
	uint64_t from;

	put_slow(dev, res);
	from = now_ms();
	scsi_tmf_do(dev, &tmf, COMPLETE);
	check(now_ms() - from < SLOW_DISK_MS - 100, "it waited for the command of another");
	sleep_ms(SLOW_DISK_MS);
	collect(dev, res);
	scsi_check_response(&res[3], VIRTIO_SCSI_S_OK);
}

/* SPC-4: the next command of the guest is told that its nexus was lost. */
TEST(nexus_reset_is_told)
{
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET, 0, 0);
	struct scsi_cmd tur = { .cdb = { 0 } };
	struct vdev *dev = start();
	struct scsi_result res;

	scsi_tmf_do(dev, &tmf, COMPLETE);
	res = scsi_cmd_do(scsi_queue(dev, 0), &tur);
	scsi_check_sense(&res, 6, 0x29, 7);
	res = scsi_cmd_do(scsi_queue(dev, 0), &tur);
	scsi_check_sense(&res, 0, 0, 0);
}

/* What was aborted was one command, and not all that come after it in its place. */
TEST(requests_go_on_after_an_abort)
{
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, 0, 0);
	struct scsi_cmd tur = { .cdb = { 0 } };
	struct vdev *dev = start_slow();
	struct scsi_result res[REQUESTS];

	put_slow(dev, res);
	scsi_tmf_do(dev, &tmf, COMPLETE);
	collect(dev, res);
	for (unsigned int i = 0; i < 2 * REQUESTS; i++) {
		res[0] = scsi_cmd_do(scsi_queue(dev, i & 1), &tur);
		scsi_check_response(&res[0], VIRTIO_SCSI_S_OK);
	}
}

#define BEHIND 9
#define BEHIND_BLOCKS 2048

/* A disk that has nothing to do, so that it ends all that it was kept from at once. */
static const char *stopped_disk(void)
{
	const char *lower = nullb_new(&(struct nullb){ .discards_data = true });

	return dm_linear_new(lower, device_sectors(lower));
}

/*
 * The second of many commands that end together is aborted; the others have much to copy,
 * before the used entries of all are there.
 */
static void abort_in_a_batch(struct vdev *dev, struct vq *vq, const char *disk)
{
	static const struct blk_layout bounced = { "", .direct = VQ_DIRECT, .offset = 8,
		.in = { RESP } };
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(VIRTIO_SCSI_T_TMF_ABORT_TASK, 0, 99);
	struct scsi_cmd large = scsi_cmd_read(0, BEHIND_BLOCKS), small = scsi_cmd_read(0, 1);
	struct scsi_result res[BEHIND + 1];
	uint64_t mark = guest_mark(&dev->mem);
	unsigned int n = 0;
	bool there = false;
	struct used u;

	large.layout = &bounced;
	small.tag = 99;
	disk_suspend(disk);
	for (unsigned int i = 0; i <= BEHIND; i++)
		res[i] = scsi_cmd_add(vq, i == 1 ? &small : &large);
	blk_send(vq);
	sleep_ms(100);
	scsi_control_add(dev, &tmf, sizeof(tmf), 1);
	blk_send(dev->vqs[0]);
	disk_resume_soon(disk);
	vq_get(dev->vqs[0]);
	for (; vq_pop(vq, &u); n++)
		there |= u.head == res[1].io.head;
	check(there, "the answer is there before the used entry of its command");
	for (; n <= BEHIND; n++)
		vq_get(vq);
	guest_release(&dev->mem, mark);
}

static const struct {
	const char *name;
	unsigned int queue;
} behinds[] = { { "first_queue", 0 }, { "second_queue", 1 } };

/* With a worker for each queue. */
TEST_V(answer_comes_behind_the_batch, behinds)
{
	const char *disk = stopped_disk();
	struct vdev *dev = start_with(&(struct scsi_lun){ .path = disk });

	for (unsigned int i = 0; i < 4; i++)
		check_ok(vq_attach_worker(dev->vqs[i], check_ok(vdev_new_worker(dev))));
	for (unsigned int round = 0; round < 3; round++)
		abort_in_a_batch(dev, scsi_queue(dev, v->queue), disk);
}

/* A thread that keeps a CPU from all others, and from workers that may run nowhere else. */
struct hog {
	pthread_t thread;
	volatile bool stop;
};

static void run_on(int tid, unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	check_ok(sched_setaffinity(tid, sizeof(set), &set));
}

static void *hog_run(void *arg)
{
	const struct sched_param realtime = { .sched_priority = 1 };
	struct hog *hog = arg;

	run_on(0, 1);
	check_ok(sched_setscheduler(0, SCHED_FIFO, &realtime));
	while (!hog->stop)
		;
	return NULL;
}

static void hog_start(struct hog *hog)
{
	hog->stop = false;
	put_attribute("/proc/sys/kernel", "sched_rt_runtime_us", "-1");
	check(!pthread_create(&hog->thread, NULL, hog_run, hog), "no thread");
}

static void hog_stop(struct hog *hog)
{
	hog->stop = true;
	check(!pthread_join(hog->thread, NULL), "pthread_join");
}

static bool give_cpus_back(void)
{
	FILE *f = fopen("/proc/sys/kernel/sched_rt_runtime_us", "we");

	return f && fputs("950000", f) >= 0 && !fclose(f);
}

__attribute__((constructor)) static void control_register(void)
{
	tap_after(give_cpus_back);
}

/* One command has been there already, or nobody knows which task it is. */
static int worker_of(struct vdev *dev, unsigned int queue)
{
	struct scsi_cmd tur = { .cdb = { 0 } };

	if (queue >= SCSI_FIRST_QUEUE)
		scsi_cmd_do(dev->vqs[queue], &tur);
	return vdev_stat(queue, "worker", 1);
}

static const struct {
	const char *name;
	uint32_t subtype;
} all_of_them[] = {
	{ "abort_task_set", VIRTIO_SCSI_T_TMF_ABORT_TASK_SET },
	{ "i_t_nexus_reset", VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET },
	{ "logical_unit_reset", VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET },
};

/* Eight writes by the queue, to a disk that is suspended. */
static void put_suspended(struct vq *vq, const char *disk)
{
	static unsigned char data[4096];

	disk_suspend(disk);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		struct scsi_cmd write = scsi_cmd_write(i * 8, 8, data);

		scsi_cmd_add(vq, &write);
	}
	blk_send(vq);
	while (vdev_stat(vq->index, "in_flight", 1) < REQUESTS)
		sleep_ms(5);
}

/*
 * The target core is done with the commands, and the worker of their queue does not come to
 * put their used entries: nor is the function answered then. After a second the scheduler
 * would give the starved worker some time (its fair server), so this looks for less.
 */
TEST_PATHS(answer_waits_for_the_worker_of_a_queue, all_of_them)
{
	struct virtio_scsi_ctrl_tmf_req none = tmf_of(VIRTIO_SCSI_T_TMF_QUERY_TASK, 0, 1);
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(v->subtype, 0, 0);
	const char *disk = stopped_disk();
	struct vdev *dev = start_with(&(struct scsi_lun){ .path = disk });
	struct vq *vq = scsi_queue(dev, 0);
	struct hog hog;
	struct used u;
	int worker;

	scsi_set_direct(false);
	for (unsigned int i = 0; i < 4; i++)
		check_ok(vq_attach_worker(dev->vqs[i], check_ok(vdev_new_worker(dev))));
	scsi_tmf_do(dev, &none, COMPLETE);
	worker = worker_of(dev, SCSI_FIRST_QUEUE);
	run_on(0, 0);
	run_on(worker, 0);
	run_on(worker_of(dev, 0), 0);
	put_suspended(vq, disk);
	scsi_control_add(dev, &tmf, sizeof(tmf), 1);
	blk_send(dev->vqs[0]);
	sleep_ms(100);
	run_on(worker, 1);
	hog_start(&hog);
	disk_resume(disk);
	for (uint64_t end = now_ms() + 400; now_ms() < end;)
		if (vq_used_idx(dev->vqs[0]) != dev->vqs[0]->last_used)
			break;
	hog_stop(&hog);
	vq_get(dev->vqs[0]);
	for (unsigned int i = 0; i < REQUESTS; i++)
		check(vq_pop(vq, &u), "%u used entries of %u are there", i, REQUESTS);
}

/* In the owner: commands in flight, and a reset that waits for them. */
static void wait_for_ever(int ready)
{
	struct virtio_scsi_ctrl_tmf_req tmf = tmf_of(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, 0, 0);
	struct vdev *dev = scsi_start(SCSI_WWPN, 2, 128, SCSI_FEATURES);
	struct scsi_result res[REQUESTS];

	vdev_start(dev);
	put_slow(dev, res);
	scsi_control_add(dev, &tmf, sizeof(tmf), 1);
	blk_send(dev->vqs[0]);
	sleep_ms(50);
	check_eq(write(ready, "", 1), 1);
	pause();
}

/* Nobody finishes commands but the close itself. */
TEST(killed_while_a_function_waits)
{
	uint64_t end;
	int ready[2];
	pid_t pid;
	char c;

	scsi_target_with(&(struct scsi_lun){ .path = slow_disk(16, 2 * SLOW_DISK_MS) });
	check_ok(pipe(ready));
	pid = check_ok(fork());
	if (!pid)
		wait_for_ever(ready[1]);
	check_eq(read(ready[0], &c, 1), 1);
	check_ok(kill(pid, SIGKILL));
	end = now_ms() + patience(8000);
	while (!waitpid(pid, NULL, WNOHANG)) {
		check(now_ms() < end, "the close of the killed owner hangs");
		sleep_ms(20);
	}
}
