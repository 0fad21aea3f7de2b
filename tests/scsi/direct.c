// SPDX-License-Identifier: GPL-2.0
/*
 * The short way of reads and writes, Documentation/vhost-scsi.md: what goes it, and that
 * all else is as if there were none: reservations, unit attentions, ALUA, protection,
 * resets, errors.
 */
#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "devices.h"
#include "generator.h"
#include "load.h"
#include "scsi.h"
#include "tap.h"

#define HEADER sizeof(struct virtio_scsi_cmd_req)
#define RESP sizeof(struct virtio_scsi_cmd_resp)
#define RESERVATION_CONFLICT 0x18
#define TASK_ABORTED 0x40
/* A disk's. */
#define SECTORS 32768

static const uint8_t other_lun[8] = { 1, SCSI_OTHER_TPGT, 0x40, 0 };

static struct vdev *start_on(const struct scsi_lun *lun)
{
	struct vdev *dev;

	scsi_target_with(lun);
	scsi_other_target();
	dev = scsi_start(SCSI_WWPN, 2, 128, SCSI_FEATURES);
	vdev_start(dev);
	return dev;
}

static struct vdev *start(void)
{
	return start_on(&(struct scsi_lun){ .path = nullb_new(&(struct nullb){ 0 }) });
}

static unsigned long long went_direct(void)
{
	return vdev_stat(SCSI_FIRST_QUEUE, "direct", 1);
}

static struct scsi_cmd without_data(uint8_t opcode)
{
	return (struct scsi_cmd){ .cdb = { opcode } };
}

/* By the other initiator; its own unit attentions come first, and are none of ours. */
static void by_the_other(struct vdev *dev, struct scsi_cmd cmd)
{
	struct scsi_result res;

	cmd.lun = other_lun;
	for (unsigned int try = 0; try < 4; try++) {
		res = scsi_cmd_do(scsi_queue(dev, 1), &cmd);
		scsi_check_response(&res, VIRTIO_SCSI_S_OK);
		if (!res.resp.status)
			return;
	}
	fail("opcode %02x of the other initiator: status %02x, sense key %x/%02x/%02x", cmd.cdb[0],
	     res.resp.status, res.resp.sense[2], res.resp.sense[12], res.resp.sense[13]);
}

/* By the guest itself; @direct: it must go the short way, or must not. */
static struct scsi_result by_us(struct vdev *dev, const struct scsi_cmd *cmd, bool direct)
{
	unsigned long long before;
	struct scsi_result res;
	struct scsi_cmd tur = without_data(0);

	/* So that there are statistics. */
	if (!scsi_queue(dev, 0)->last_used)
		scsi_cmd_do(scsi_queue(dev, 0), &tur);
	before = went_direct();
	res = scsi_cmd_do(scsi_queue(dev, 0), cmd);
	check(went_direct() - before == direct, direct ? "it went the long way" :
	      "it went the short way");
	return res;
}

static unsigned char block[4096];

static void must_read(struct vdev *dev, bool direct)
{
	struct scsi_cmd cmd = scsi_cmd_read(0, 8);
	struct scsi_result res = by_us(dev, &cmd, direct);

	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 0, 0, 0);
}

static void must_write(struct vdev *dev, bool direct)
{
	struct scsi_cmd cmd = scsi_cmd_write(0, 8, block);
	struct scsi_result res = by_us(dev, &cmd, direct);

	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 0, 0, 0);
}

static void read_must_end(struct vdev *dev, uint8_t key, uint8_t asc, uint8_t ascq)
{
	struct scsi_cmd cmd = scsi_cmd_read(0, 8);
	struct scsi_result res = by_us(dev, &cmd, false);

	scsi_check_sense(&res, key, asc, ascq);
}

TEST(reads_and_writes_go_it)
{
	struct vdev *dev = start();
	struct scsi_cmd cmd;
	struct scsi_result res;
	unsigned char data[16384];

	for (unsigned int i = 0; i < 16; i++) {
		fill(data, sizeof(data), 100 + i);
		cmd = scsi_cmd_write(i * 32, 32, data);
		res = by_us(dev, &cmd, true);
		scsi_check_sense(&res, 0, 0, 0);
		cmd = scsi_cmd_read(i * 32, 32);
		res = by_us(dev, &cmd, true);
		scsi_check_sense(&res, 0, 0, 0);
		check_eq(res.io.used_len, sizeof(res.resp) + sizeof(data));
		check_same(res.data, data, sizeof(data), "what was read");
	}
}

/* What says more than read, or write, or of what there is more, goes the long way. */

static const struct other {
	const char *name;
	unsigned int byte, bits;
	uint8_t task_attr;
	uint32_t blocks;
	uint8_t key, asc;
	int more;
} others[] = {
	{ "fua_without_a_cache_rejected", 1, 0x08, 0, 8, 5, 0x24 },
	{ "dpo_without_a_cache_rejected", 1, 0x10, 0, 8, 5, 0x24 },
	{ "protect_rejected", 1, 0x20, 0, 8, 5, 0x24 },
	{ "ordered", 0, 0, VIRTIO_SCSI_S_ORDERED, 8 }, { "head", 0, 0, VIRTIO_SCSI_S_HEAD, 8 },
	{ "nothing", 0, 0, 0, 0 }, { "past_the_end_rejected", 2, 0x80, 0, 8, 5, 0x21 },
	{ "many_pages", 0, 0, 0, 80 }, { "more_room", 0, 0, 0, 8, .more = 512 },
};

TEST_PATHS(other_commands_do_not, others)
{
	struct vdev *dev = start();
	struct scsi_cmd cmd = scsi_cmd_read(0, v->blocks);
	struct scsi_result res;

	cmd.cdb[v->byte] |= v->bits;
	cmd.task_attr = v->task_attr;
	cmd.in_len += v->more;
	res = by_us(dev, &cmd, false);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, v->key, v->asc, 0);
	must_read(dev, true);
}

TEST(switched_off_and_on)
{
	struct vdev *dev = start();

	must_read(dev, true);
	scsi_set_direct(false);
	must_read(dev, false);
	must_write(dev, false);
	scsi_set_direct(true);
	must_write(dev, true);
}

TEST(ram_disk_has_none)
{
	struct vdev *dev;

	scsi_target_new(16);
	dev = scsi_start(SCSI_WWPN, 2, 128, SCSI_FEATURES);
	vdev_start(dev);
	must_write(dev, false);
}

/* SPC-2: RESERVE and RELEASE. */
TEST(reservation_of_another)
{
	struct vdev *dev = start();
	struct scsi_cmd read = scsi_cmd_read(0, 8);
	struct scsi_result res;

	must_read(dev, true);
	by_the_other(dev, without_data(0x16));
	res = by_us(dev, &read, false);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	check_eq(res.resp.status, RESERVATION_CONFLICT);
	by_the_other(dev, without_data(0x17));
	must_read(dev, true);
}

/* SPC-4 PERSISTENT RESERVE OUT; exclusive access. */
static struct scsi_cmd prout(uint8_t action, uint64_t key, uint64_t new_key)
{
	static unsigned char list[24];
	struct scsi_cmd cmd = { .cdb = { 0x5f, action, 3, [8] = sizeof(list) }, .out = list,
				.out_len = sizeof(list) };

	key = htobe64(key);
	new_key = htobe64(new_key);
	memcpy(list, &key, sizeof(key));
	memcpy(list + 8, &new_key, sizeof(new_key));
	return cmd;
}

TEST(persistent_reservation_of_another)
{
	struct vdev *dev = start();
	struct scsi_cmd write = scsi_cmd_write(0, 8, block);
	struct scsi_result res;

	must_write(dev, true);
	/* REGISTER, RESERVE, then RELEASE. */
	by_the_other(dev, prout(0, 0, 7));
	must_write(dev, true);
	by_the_other(dev, prout(1, 7, 0));
	res = by_us(dev, &write, false);
	check_eq(res.resp.status, RESERVATION_CONFLICT);
	by_the_other(dev, prout(2, 7, 0));
	must_write(dev, true);
}

TEST(reset_by_another_is_told_of)
{
	struct virtio_scsi_ctrl_tmf_req tmf = {
		.subtype = htole32(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET),
		.lun = { 1, SCSI_OTHER_TPGT, 0x40, 0 },
	};
	struct vdev *dev = start();

	must_read(dev, true);
	scsi_tmf_do(dev, &tmf, VIRTIO_SCSI_S_OK);
	read_must_end(dev, 6, 0x29, 3);
	must_read(dev, true);
}

static const struct alua {
	const char *name;
	const char *state;
	uint8_t ascq;
} alua[] = {
	{ "non_optimized", "1", 0 }, { "standby", "2", 0x0b }, { "unavailable", "3", 0x0c },
};

#define GROUP "alua/default_tg_pt_gp"

TEST_PATHS(asymmetric_access, alua)
{
	struct vdev *dev = start();

	must_read(dev, true);
	scsi_put_attribute(GROUP "/alua_access_state", v->state);
	scsi_put_attribute(GROUP "/nonop_delay_msecs", "0");
	/* The first is told that it has changed. */
	read_must_end(dev, 6, 0x2a, 6);
	read_must_end(dev, v->ascq ? 2 : 0, v->ascq ? 4 : 0, v->ascq);
	scsi_put_attribute(GROUP "/alua_access_state", "0");
	read_must_end(dev, 6, 0x2a, 6);
	must_read(dev, true);
}

TEST(port_that_is_offline)
{
	struct vdev *dev = start();

	must_read(dev, true);
	put_attribute(SCSI_TPG "/lun/lun_0", "alua_tg_pt_offline", "1");
	read_must_end(dev, 2, 0x04, 0x12);
	put_attribute(SCSI_TPG "/lun/lun_0", "alua_tg_pt_offline", "0");
	must_read(dev, true);
}

/* The last block as a number of 64 bits would wrap. */
TEST(range_that_wraps_rejected)
{
	struct vdev *dev = start();
	struct scsi_cmd read = scsi_cmd_read(0, 8);
	struct scsi_result res;

	memset(read.cdb + 2, 0xff, 8);
	read.cdb[9] = 0xfc;
	res = by_us(dev, &read, false);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 5, 0x21, 0);
}

TEST(read_only_backstore)
{
	struct vdev *dev = start_on(&(struct scsi_lun){
		.path = nullb_new(&(struct nullb){ 0 }), .read_only = true });
	struct scsi_cmd write = scsi_cmd_write(0, 8, block);
	struct scsi_result res;

	must_read(dev, true);
	res = by_us(dev, &write, false);
	scsi_check_sense(&res, 7, 0x27, 0);
}

TEST(lun_that_goes_and_comes_as_another)
{
	struct vdev *dev = start();
	struct scsi_cmd read = scsi_cmd_read(0, 8);
	struct scsi_result res;

	must_write(dev, true);
	scsi_lun_remove(0);
	res = by_us(dev, &read, false);
	scsi_check_sense(&res, 5, 0x25, 0);
	scsi_lun_add(0, &(struct scsi_lun){ .mb = 1 });
	must_read(dev, false);
}

/* Commands in flight. */

#define REQUESTS 8

static struct vdev *start_slow(void)
{
	return start_on(&(struct scsi_lun){ .path = slow_disk(16, SLOW_DISK_MS) });
}

static void put_slow(struct vdev *dev, struct scsi_result *res)
{
	unsigned long long before;

	must_read(dev, true);
	before = went_direct();
	for (unsigned int i = 0; i < REQUESTS; i++) {
		struct scsi_cmd cmd = scsi_cmd_write(i * 8, 8, block);

		res[i] = scsi_cmd_add(scsi_queue(dev, 0), &cmd);
	}
	blk_send(scsi_queue(dev, 0));
	while (went_direct() - before < REQUESTS)
		sleep_ms(5);
}

/* SAM: those of others that a reset ends have a status of their own, if there is to be one. */
static const struct reset {
	const char *name;
	bool no_tas;
	uint8_t response, status;
} resets[] = {
	{ "with_a_status", false, VIRTIO_SCSI_S_OK, TASK_ABORTED },
	{ "without_a_status", true, VIRTIO_SCSI_S_ABORTED, 0 },
};

TEST_PATHS(reset_by_another_ends_commands_in_flight, resets)
{
	struct virtio_scsi_ctrl_tmf_req tmf = {
		.subtype = htole32(VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET),
		.lun = { 1, SCSI_OTHER_TPGT, 0x40, 0 },
	};
	struct vdev *dev = start_on(&(struct scsi_lun){ .path = slow_disk(16, SLOW_DISK_MS),
						       .no_tas = v->no_tas });
	struct scsi_result res[REQUESTS];

	put_slow(dev, res);
	scsi_tmf_do(dev, &tmf, VIRTIO_SCSI_S_OK);
	scsi_finish_all(scsi_queue(dev, 0), res, REQUESTS);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		scsi_check_response(&res[i], v->response);
		check_eq(res[i].resp.status, v->status);
	}
	read_must_end(dev, 6, 0x29, 3);
	must_read(dev, true);
}

TEST(preempt_and_abort_ends_commands_in_flight)
{
	struct vdev *dev = start_slow();
	struct scsi_result res[REQUESTS];
	struct scsi_cmd cmd;

	/* Both are registered, nobody holds it; the other preempts us. */
	by_the_other(dev, prout(0, 0, 7));
	cmd = prout(0, 0, 9);
	res[0] = by_us(dev, &cmd, false);
	scsi_check_sense(&res[0], 0, 0, 0);
	cmd = prout(1, 9, 0);
	res[0] = by_us(dev, &cmd, false);
	scsi_check_sense(&res[0], 0, 0, 0);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		cmd = scsi_cmd_write(i * 8, 8, block);
		res[i] = scsi_cmd_add(scsi_queue(dev, 0), &cmd);
	}
	blk_send(scsi_queue(dev, 0));
	sleep_ms(100);
	by_the_other(dev, prout(5, 7, 9));
	scsi_finish_all(scsi_queue(dev, 0), res, REQUESTS);
	for (unsigned int i = 0; i < REQUESTS; i++)
		check(res[i].resp.status == TASK_ABORTED ||
		      res[i].resp.response == VIRTIO_SCSI_S_ABORTED,
		      "command %u: response %u, status %02x", i, res[i].resp.response,
		      res[i].resp.status);
}

static const struct {
	const char *name;
	bool tur;
} ordered_ones[] = {
	{ "read", false },
	/* Needs no disk: nothing but its order keeps it. */
	{ "test_unit_ready", true },
};

/* An ORDERED command by the second queue. */
static struct scsi_result put_ordered(struct vdev *dev, bool tur)
{
	struct scsi_cmd cmd = tur ? (struct scsi_cmd){ .cdb = { 0 } } : scsi_cmd_read(0, 8);
	struct scsi_result res;

	cmd.lun = other_lun;
	cmd.task_attr = VIRTIO_SCSI_S_ORDERED;
	res = scsi_cmd_add(scsi_queue(dev, 1), &cmd);
	blk_send(scsi_queue(dev, 1));
	return res;
}

/* It waits for those in flight, whichever way they went, and those behind it for it. */
TEST_PATHS(ordered_command_waits, ordered_ones)
{
	struct vdev *dev = start_slow();
	struct scsi_result res[REQUESTS], ordered;
	struct used u;

	put_slow(dev, res);
	ordered = put_ordered(dev, v->tur);
	vq_quiet(scsi_queue(dev, 1), 100);
	check(vq_used_idx(scsi_queue(dev, 0)) == scsi_queue(dev, 0)->last_used,
	      "the disk was too quick: this shows nothing");
	scsi_finish_all(scsi_queue(dev, 0), res, REQUESTS);
	check(v->tur || !vq_pop(scsi_queue(dev, 1), &u), "the ORDERED one has overtaken");
	for (unsigned int i = 0; i < REQUESTS; i++)
		scsi_check_sense(&res[i], 0, 0, 0);
	scsi_cmd_finish(&ordered, vq_get(scsi_queue(dev, 1)));
	must_read(dev, true);
}

/* Nor does one overtake it that comes while it waits. */
TEST(command_behind_an_ordered_one_waits)
{
	struct vdev *dev = start_slow();
	struct scsi_result res[REQUESTS + 1], ordered;
	struct scsi_cmd cmd = scsi_cmd_read(0, 8);
	unsigned long long before;
	struct used u;

	put_slow(dev, res);
	ordered = put_ordered(dev, false);
	sleep_ms(50);
	before = went_direct();
	res[REQUESTS] = scsi_cmd_add(scsi_queue(dev, 0), &cmd);
	blk_send(scsi_queue(dev, 0));
	scsi_finish_all(scsi_queue(dev, 0), res, REQUESTS + 1);
	check_eq(went_direct(), before);
	check(vq_pop(scsi_queue(dev, 1), &u), "it has overtaken the ORDERED one");
	scsi_cmd_finish(&ordered, u);
	scsi_check_sense(&ordered, 0, 0, 0);
	scsi_check_sense(&res[REQUESTS], 0, 0, 0);
}

TEST(error_of_the_device)
{
	const char *disk = dm_linear_new(nullb_new(&(struct nullb){ 0 }), SECTORS);
	struct vdev *dev = start_on(&(struct scsi_lun){ .path = disk });
	struct scsi_cmd read = scsi_cmd_read(0, 8);
	struct scsi_result res;

	must_read(dev, true);
	dm_set(disk, "0 32768 error\\n");
	res = by_us(dev, &read, true);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 2, 0x08, 0);
	check_eq(res.io.used_len, sizeof(res.resp));
}

/* Whatever is asked, the answer is the same the other way, to the byte. */

static struct scsi_cmd random_rw(uint64_t *random)
{
	static const uint8_t opcodes[] = { 0x28, 0x2a, 0x88, 0x8a, 0x88, 0x8a };
	/* Command and response apart from data, that lies well, or not; or in pieces. */
	static const struct blk_layout layouts[] = {
		{ "", { HEADER }, 0, { RESP } }, { "", { HEADER }, 0, { RESP }, .offset = 512 },
		{ "", { HEADER }, 0, { RESP }, .offset = 8 },
		{ "", { HEADER }, 4096, { RESP }, 4096 }, { "", { HEADER }, 1000, { RESP }, 1000 },
		{ "", .offset = 8 },
	};
	static struct blk_layout layout;
	static unsigned char data[65536];
	uint8_t opcode = opcodes[prng(random) % ARRAY_SIZE(opcodes)];
	uint32_t blocks = prng(random) % 80, len = blocks * 512;
	struct scsi_cmd cmd = scsi_cmd_read(prng(random) % 33000, blocks);
	bool write = opcode & 2;

	if (opcode < 0x80) {
		memmove(cmd.cdb + 2, cmd.cdb + 6, 4);
		memmove(cmd.cdb + 7, cmd.cdb + 12, 2);
		memset(cmd.cdb + 9, 0, sizeof(cmd.cdb) - 9);
		cmd.cdb[6] = 0;
	}
	cmd.cdb[0] = opcode;
	if (!(prng(random) % 8))
		cmd.cdb[prng(random) % 16] ^= 1 << prng(random) % 8;
	if (!(prng(random) % 8))
		len = prng(random) % 4096;
	cmd.in_len = write ? 0 : len;
	cmd.out = write ? data : NULL;
	cmd.out_len = write ? len : 0;
	fill(data, len, prng(random));
	layout = layouts[prng(random) % ARRAY_SIZE(layouts)];
	layout.direct = VQ_DIRECT;
	cmd.layout = &layout;
	return cmd;
}

TEST_LIMIT(answers_are_the_same, 60)
{
	uint64_t random = now_ms(), mark;
	struct vdev *dev = start();
	struct scsi_result direct, other;
	unsigned long long n = 600;
	struct scsi_cmd cmd;

	diag("seed %llu", (unsigned long long)random);
	/* Many of them fail, and are to. */
	scsi_limit_failures(0);
	must_read(dev, true);
	for (unsigned int i = 0; i < n; i++) {
		mark = guest_mark(&dev->mem);
		cmd = random_rw(&random);
		scsi_set_direct(true);
		direct = scsi_cmd_do(scsi_queue(dev, 0), &cmd);
		scsi_set_direct(false);
		other = scsi_cmd_do(scsi_queue(dev, 0), &cmd);
		check_eq(direct.io.used_len, other.io.used_len);
		check_same(direct.io.in, other.io.in, direct.io.in_len, "the answer");
		scsi_result_free(&direct);
		scsi_result_free(&other);
		guest_release(&dev->mem, mark);
	}
	diag("%llu of %llu went the short way", went_direct(), n);
	check(went_direct() > n / 4, "too few went the short way");
}

/* All of it changes while I/O runs: each command ends well, or in what fits. */

static atomic_bool over;

static void *change(void *unused)
{
	static const char *const states[] = { "1", "0", "3", "0" };

	for (unsigned int i = 0; !over; i++) {
		scsi_set_direct(i & 1);
		scsi_put_attribute(GROUP "/alua_access_state", states[i % 4]);
		scsi_lun_add(1, &(struct scsi_lun){ .mb = 1 });
		scsi_lun_remove(1);
		run_command("rmdir " SCSI_LIO "/core/rd_mcp_7000/vst1");
	}
	return unused;
}

TEST_LIMIT(states_change_under_load, 60)
{
	struct vdev *dev = start();
	uint64_t end = now_ms() + stress_ms(2000);
	unsigned int good = 0, told = 0;
	unsigned char data[4096];
	pthread_t thread;

	/* As above: each change is told by a command that fails. */
	scsi_limit_failures(0);
	scsi_set_direct(true);
	must_read(dev, true);
	check(!pthread_create(&thread, NULL, change, NULL), "no thread");
	for (unsigned int i = 0; now_ms() < end || !told; i++) {
		struct scsi_result res;
		struct scsi_cmd cmd;

		/* RESERVE and RELEASE, if it may. */
		if (!(i % 50)) {
			cmd = without_data(i % 100 ? 0x17 : 0x16);
			cmd.lun = other_lun;
			scsi_cmd_do(scsi_queue(dev, 1), &cmd);
		}
		fill(data, sizeof(data), i);
		cmd = i & 1 ? scsi_cmd_read(i % 64 * 8, 8) : scsi_cmd_write(i % 64 * 8, 8, data);
		res = scsi_cmd_do(scsi_queue(dev, 0), &cmd);
		scsi_check_response(&res, VIRTIO_SCSI_S_OK);
		if (!res.resp.status)
			good++;
		else
			told++;
		check(!res.resp.status || res.resp.status == 2 ||
		      res.resp.status == RESERVATION_CONFLICT, "status %02x", res.resp.status);
		scsi_result_free(&res);
	}
	over = true;
	pthread_join(thread, NULL);
	diag("%u good, %u told of something, %llu the short way", good, told, went_direct());
	check(good && told && went_direct(), "nothing has changed");
}
