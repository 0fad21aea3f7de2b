// SPDX-License-Identifier: GPL-2.0
/* The ioctls, configfs, and what happens to commands in flight when a device stops. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"
#include "scsi.h"
#include "tap.h"

static struct vdev *prepare(const char *target)
{
	struct vdev *dev = scsi_start(target, 2, 128, SCSI_FEATURES);

	vdev_setup(dev);
	return dev;
}

static struct vdev *start_on(const char *path)
{
	struct vdev *dev = scsi_start(scsi_target_with(&(struct scsi_lun){ .path = path, .mb = 16 }),
				      2, 128, SCSI_FEATURES);

	vdev_start(dev);
	return dev;
}

static void must_serve(struct vq *vq)
{
	struct scsi_io io = scsi_tur();

	scsi_do(vq, &io);
}

TEST(abi_version_is_1)
{
	struct vdev *dev;
	int version = 0;

	scsi_tpg_new();
	dev = vdev_open_bare(&scsi_ops);
	check_ok(ioctl(dev->fd, VHOST_SCSI_GET_ABI_VERSION, &version));
	check_eq(version, 1);
}

TEST(unknown_ioctl_rejected)
{
	struct vdev *dev;
	uint64_t value[4] = { 0 };

	scsi_tpg_new();
	dev = vdev_open(&scsi_ops, 1 << 20);
	check_errno(ioctl(dev->fd, _IOWR(VHOST_VIRTIO, 0x83, uint64_t), value), ENOTTY);
	check_errno(ioctl(dev->fd, _IOW(VHOST_VIRTIO, 0x50, uint64_t), value), ENOTTY);
}

TEST(endpoint_of_nobody_rejected)
{
	struct vdev *dev;

	scsi_tpg_new();
	dev = vdev_open_bare(&scsi_ops);
	check_errno(scsi_set_endpoint(dev, SCSI_WWPN), EPERM);
	check_errno(scsi_clear_endpoint(dev, SCSI_WWPN), EPERM);
}

TEST(endpoint_unknown_rejected)
{
	struct vdev *dev = prepare(scsi_target_new(1));

	check_errno(scsi_set_endpoint(dev, "naa.5001405763686fff"), ENODEV);
	check_errno(scsi_set_endpoint(dev, ""), ENODEV);
	check_ok(scsi_set_endpoint(dev, SCSI_WWPN));
	must_serve(scsi_queue(dev, 0));
}

TEST(endpoint_without_a_nexus_rejected)
{
	struct vdev *dev;

	scsi_tpg_new();
	put_attribute(SCSI_TPG, "nexus", "NULL");
	dev = prepare(SCSI_WWPN);
	check_errno(scsi_set_endpoint(dev, SCSI_WWPN), ENODEV);
}

TEST(endpoint_twice_rejected)
{
	struct vdev *dev = start_on(NULL);

	check_errno(scsi_set_endpoint(dev, SCSI_WWPN), EEXIST);
	must_serve(scsi_queue(dev, 1));
}

TEST(endpoint_of_another_device_rejected)
{
	struct vdev *dev = start_on(NULL), *other = prepare(SCSI_WWPN);

	check_errno(scsi_set_endpoint(other, SCSI_WWPN), ENODEV);
	must_serve(scsi_queue(dev, 0));
	vdev_stop(dev);
	check_ok(scsi_set_endpoint(other, SCSI_WWPN));
	must_serve(scsi_queue(other, 0));
}

TEST(endpoint_with_reserved_bits_rejected)
{
	struct vhost_scsi_target t = { .vhost_wwpn = SCSI_WWPN, .reserved = 1 };
	struct vdev *dev = prepare(scsi_target_new(1));

	check_errno(ioctl(dev->fd, VHOST_SCSI_SET_ENDPOINT, &t), EOPNOTSUPP);
	check_errno(ioctl(dev->fd, VHOST_SCSI_CLEAR_ENDPOINT, &t), EOPNOTSUPP);
	check_errno(ioctl(dev->fd, VHOST_SCSI_SET_ENDPOINT, NULL), EFAULT);
}

TEST(clear_of_another_name_rejected)
{
	struct vdev *dev = start_on(NULL);

	check_errno(scsi_clear_endpoint(dev, "naa.5001405763686fff"), EINVAL);
	must_serve(scsi_queue(dev, 0));
	check_ok(scsi_clear_endpoint(dev, SCSI_WWPN));
	check_ok(scsi_clear_endpoint(dev, SCSI_WWPN));
}

TEST(features_fixed_while_there_is_an_endpoint)
{
	struct vdev *dev = start_on(NULL);

	check_errno(vdev_set_features(dev, SCSI_FEATURES | BIT(VIRTIO_SCSI_F_T10_PI)), EBUSY);
	check_ok(vdev_set_features(dev, SCSI_FEATURES));
	check_errno(vdev_set_features(dev, BIT(VIRTIO_SCSI_F_INOUT)), EOPNOTSUPP);
	check_ok(vdev_set_features(dev, SCSI_FEATURES | BIT(VHOST_F_LOG_ALL)));
	check_ok(vdev_set_features(dev, SCSI_FEATURES));
}

TEST(target_in_use_stays)
{
	struct vdev *dev = start_on(NULL);
	int fd = check_ok(open(SCSI_TPG "/nexus", O_WRONLY));

	check_errno(write(fd, "NULL", 4), EBUSY);
	scsi_lun_remove(0);
	check_errno(write(fd, "NULL", 4), EBUSY);
	check_errno(rmdir(SCSI_TPG), EBUSY);
	close(fd);
	vdev_stop(dev);
	put_attribute(SCSI_TPG, "nexus", "NULL");
	check_ok(rmdir(SCSI_TPG));
}

/* LIO's own LUN 0, where there is none, would read and write nothing, and say GOOD. */
TEST(lun_may_go_under_a_device)
{
	struct scsi_cmd cmd = scsi_cmd_read(0, 8);
	struct vdev *dev = start_on(NULL);
	struct scsi_result res;

	scsi_lun_remove(0);
	res = scsi_cmd_do(scsi_queue(dev, 0), &cmd);
	scsi_check_response(&res, VIRTIO_SCSI_S_OK);
	scsi_check_sense(&res, 5, 0x25, 0);
	check_eq(res.data[0], BLK_UNTOUCHED);
	scsi_result_free(&res);
	res = scsi_cmd_do(scsi_queue(dev, 0), &(struct scsi_cmd){ .cdb = { 0x12, [4] = 36 },
								  .in_len = 36 });
	scsi_check_sense(&res, 0, 0, 0);
	/* SPC-4 6.4.2: no device, and there can be none. */
	check_eq(res.data[0], 0x3f);
}

static const struct {
	const char *name;
	const char *dir, *nexus;
	bool good;
} names[] = {
	{ "naa_ok", "naa.5001405000000001", "naa.5001405000000002", true },
	{ "fc_ok", "fc.50:01:40:50:00:00:00:01", "fc.50:01:40:50:00:00:00:02", true },
	{ "iqn_ok", "iqn.2003-01.org.example:a", "iqn.2003-01.org.example:b", true },
	{ "nexus_of_another_sort_rejected", "naa.5001405000000001", "iqn.2003-01.org:b", false },
	{ "nexus_of_no_sort_rejected", "naa.5001405000000001", "5001405000000002", false },
};

TEST_V(names_of_a_target, names)
{
	char path[300];
	int fd;

	scsi_tpg_new();
	snprintf(path, sizeof(path), SCSI_LIO "/vhost/%s", v->dir);
	check_ok(mkdir(path, 0755));
	snprintf(path, sizeof(path), SCSI_LIO "/vhost/%s/tpgt_3", v->dir);
	check_ok(mkdir(path, 0755));
	strcat(path, "/nexus");
	fd = check_ok(open(path, O_WRONLY));
	if (v->good)
		check_eq(write(fd, v->nexus, strlen(v->nexus)), strlen(v->nexus));
	else
		check_errno(write(fd, v->nexus, strlen(v->nexus)), EINVAL);
}

TEST(bad_folders_rejected)
{
	scsi_tpg_new();
	check_errno(mkdir(SCSI_LIO "/vhost/5001405000000001", 0755), EINVAL);
	check_errno(mkdir(SCSI_LIO "/vhost/" SCSI_WWPN "/tpgt_256", 0755), EINVAL);
	check_errno(mkdir(SCSI_LIO "/vhost/" SCSI_WWPN "/tpgt_x", 0755), EINVAL);
	check_errno(mkdir(SCSI_LIO "/vhost/" SCSI_WWPN "/2", 0755), EINVAL);
	check(!access(SCSI_LIO "/vhost/version", R_OK), "no version: %m");
}

#define REQUESTS 32

/* Writes that will take a while, of all queues. */
static void put_slow(struct vdev *dev, struct scsi_result *res)
{
	static unsigned char data[4096];
	struct scsi_cmd cmd;

	fill(data, sizeof(data), 1);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		cmd = scsi_cmd_write(i * 8, 8, data);
		res[i] = scsi_cmd_add(scsi_queue(dev, i & 1), &cmd);
	}
	blk_send(scsi_queue(dev, 0));
	blk_send(scsi_queue(dev, 1));
	sleep_ms(100);
}

static unsigned int collect(struct vq *vq, struct scsi_result *res)
{
	unsigned int n = 0;
	struct used u;

	while (vq_pop(vq, &u)) {
		for (unsigned int i = 0; i < REQUESTS; i++)
			if (res[i].io.vq == vq && res[i].io.head == u.head && !res[i].io.done) {
				scsi_cmd_finish(&res[i], u);
				scsi_check_response(&res[i], VIRTIO_SCSI_S_OK);
				n++;
				break;
			}
	}
	return n;
}

/* VIRTIO 5.6.6: all that was taken has been answered when the ioctl returns. */
TEST(clear_waits_for_commands_in_flight)
{
	struct vdev *dev = start_on(slow_disk(16, SLOW_DISK_MS));
	struct scsi_result res[REQUESTS];
	long pins = pages_pinned();

	put_slow(dev, res);
	check_ok(scsi_clear_endpoint(dev, SCSI_WWPN));
	check_eq(collect(scsi_queue(dev, 0), res) + collect(scsi_queue(dev, 1), res), REQUESTS);
	check_unpinned(pins, patience(2000));
}

TEST(memory_table_waits_for_commands_in_flight)
{
	struct vdev *dev = start_on(slow_disk(16, SLOW_DISK_MS));
	struct scsi_result res[REQUESTS];

	put_slow(dev, res);
	check_ok(vdev_set_mem_table(dev));
	check_eq(collect(scsi_queue(dev, 0), res) + collect(scsi_queue(dev, 1), res), REQUESTS);
	must_serve(scsi_queue(dev, 0));
	must_serve(scsi_queue(dev, 1));
}

/* What the owner has not told the device goes when it is killed, or simply closes. */
TEST(close_with_commands_in_flight)
{
	struct vdev *dev = start_on(slow_disk(16, SLOW_DISK_MS));
	struct scsi_result res[REQUESTS];
	long pins = pages_pinned();

	put_slow(dev, res);
	check_ok(close(dev->fd));
	check_unpinned(pins, patience(5000));
}

/* A kick that nobody heard is not lost. */
TEST(commands_sent_while_stopped_are_served)
{
	struct vdev *dev = start_on(NULL);
	struct vq *vq = scsi_queue(dev, 0);
	struct scsi_io io = scsi_tur();
	struct scsi_req req;

	must_serve(vq);
	check_ok(scsi_clear_endpoint(dev, SCSI_WWPN));
	req = scsi_add(vq, &io);
	vq_publish(vq);
	vq_kick_always(vq);
	vq_quiet(vq, VQ_QUIET_MS);
	check_ok(scsi_set_endpoint(dev, SCSI_WWPN));
	check_eq(vq_get(vq).head, req.head);
	scsi_check_good(&req);
}

static void put_rw(const struct load *l, const struct load_slot *s, void *header)
{
	uint32_t blocks = l->bytes / SCSI_BLOCK;
	struct scsi_cmd cmd = s->write ? scsi_cmd_write(s->sector, blocks, NULL) :
					 scsi_cmd_read(s->sector, blocks);

	scsi_put_header(l->vq->dev, &cmd, header);
}

static uint8_t status_of(const void *answer)
{
	const struct virtio_scsi_cmd_resp *resp = answer;

	if (resp->response == BLK_NO_STATUS)
		return BLK_NO_STATUS;
	return resp->response || resp->status ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

static const struct load_kind scsi_load = {
	.header = sizeof(struct virtio_scsi_cmd_req),
	.answer = sizeof(struct virtio_scsi_cmd_resp),
	.answer_first = true, .put = put_rw, .status = status_of,
};

/* Commands taken = answered + never taken, at any point. */
TEST_V_LIMIT(random_clear_loses_nothing, load_ways, 90)
{
	const char *path = nullb_new(&(struct nullb){ .mb = 64, .delay_ms = 3 });
	struct vdev *dev = scsi_start(scsi_target_with(&(struct scsi_lun){ .path = path }),
				      v->queues, 128, SCSI_FEATURES);
	struct load l[4];

	vdev_start(dev);
	for (unsigned int q = 0; q < v->queues; q++) {
		l[q] = load_new_of(&scsi_load, scsi_queue(dev, q), 24, v->bytes, 0, v->offset);
		l[q].indirect = v->indirect;
		load_prefill(&l[q], path, 100 * q);
	}
	loads_stop_at_random(l, v, path);
}

TEST_LIMIT(set_and_clear_under_load, 60)
{
	struct vdev *dev = start_on(NULL);
	struct vq *vq = scsi_queue(dev, 0);
	struct scsi_io io = scsi_tur();
	struct used u;

	for (unsigned int round = 0; round < 50; round++) {
		uint64_t mark = guest_mark(&dev->mem);
		unsigned int got = 0;

		for (unsigned int i = 0; i < 20; i++)
			scsi_add(vq, &io);
		vq_publish(vq);
		vq_kick(vq);
		check_ok(scsi_clear_endpoint(dev, SCSI_WWPN));
		check_ok(scsi_set_endpoint(dev, SCSI_WWPN));
		for (got = 0; got < 20; got++)
			u = vq_get(vq);
		(void)u;
		guest_release(&dev->mem, mark);
	}
}

/* As many workers as queues. */
TEST(worker_for_each_queue_ok)
{
	struct vdev *dev = scsi_start(scsi_target_new(1), 2, 128, SCSI_FEATURES);

	vdev_setup(dev);
	for (unsigned int i = 0; i < 2; i++)
		check_ok(vq_attach_worker(scsi_queue(dev, i), check_ok(vdev_new_worker(dev))));
	check_ok(scsi_set_endpoint(dev, SCSI_WWPN));
	must_serve(scsi_queue(dev, 0));
	must_serve(scsi_queue(dev, 1));
}
