// SPDX-License-Identifier: GPL-2.0
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices.h"
#include "scsi.h"
#include "tap.h"

#define LIO "/sys/kernel/config/target"
#define WWPN "naa.5001405763686f31"
#define NEXUS "naa.5001405763686f32"
#define BACKSTORES LIO "/core/rd_mcp_7000"
#define BACKSTORE BACKSTORES "/vst"
#define TPG LIO "/vhost/" WWPN "/tpgt_1"

static int endpoint(struct vdev *dev, unsigned long request)
{
	struct vhost_scsi_target t = { .vhost_tpgt = SCSI_TPGT };

	snprintf(t.vhost_wwpn, sizeof(t.vhost_wwpn), "%s", dev->backend_name);
	return ioctl(dev->fd, request, &t);
}

static int attach(struct vdev *dev)
{
	return endpoint(dev, VHOST_SCSI_SET_ENDPOINT);
}

static int detach(struct vdev *dev)
{
	return endpoint(dev, VHOST_SCSI_CLEAR_ENDPOINT);
}

const struct vdev_ops scsi_ops = {
	.path = "/dev/vhost-scsi",
	.module = "vhost_scsi",
	.attach = attach,
	.detach = detach,
};

static void make(const char *dir)
{
	check(!mkdir(dir, 0755), "mkdir %s: %m", dir);
}

const char *scsi_target_new(unsigned int mb)
{
	char pages[40];

	run_command("modprobe target_core_mod && modprobe vhost_scsi");
	snprintf(pages, sizeof(pages), "rd_pages=%u", mb * 256);
	make(BACKSTORES);
	make(BACKSTORE);
	put_attribute(BACKSTORE, "control", pages);
	put_attribute(BACKSTORE, "enable", "1");
	mkdir(LIO "/vhost", 0755);
	make(LIO "/vhost/" WWPN);
	make(TPG);
	put_attribute(TPG, "nexus", NEXUS);
	make(TPG "/lun/lun_0");
	check(!symlink(BACKSTORE, TPG "/lun/lun_0/vst"), "linking the LUN: %m");
	return WWPN;
}

static bool sweep(void)
{
	if (access(BACKSTORES, F_OK))
		return true;
	unlink(TPG "/lun/lun_0/vst");
	if (!access(TPG "/nexus", F_OK) &&
	    system("echo NULL >" TPG "/nexus") != 0)
		diag("the nexus stays");
	return rmdir_soon(TPG "/lun/lun_0") && rmdir_soon(TPG) &&
	       rmdir_soon(LIO "/vhost/" WWPN) && rmdir_soon(LIO "/vhost") &&
	       rmdir_soon(BACKSTORE) && rmdir_soon(BACKSTORES);
}

__attribute__((constructor)) static void scsi_register(void)
{
	tap_after(sweep);
}

struct vdev *scsi_start(const char *target, unsigned int queues, unsigned int num,
			uint64_t features)
{
	struct vdev *dev = vdev_open(&scsi_ops, 64 << 20);

	dev->backend_name = target;
	vdev_negotiate(dev, features);
	for (unsigned int i = 0; i < SCSI_FIRST_QUEUE + queues; i++)
		vq_new(dev, i, num);
	return dev;
}

struct vq *scsi_queue(struct vdev *dev, unsigned int n)
{
	return dev->vqs[SCSI_FIRST_QUEUE + n];
}

struct scsi_io scsi_tur(void)
{
	return (struct scsi_io){ .cdb = { 0x00 }, .direct = VQ_DIRECT };
}

struct scsi_io scsi_inquiry(uint64_t data, uint8_t len)
{
	return (struct scsi_io){
		.cdb = { 0x12, 0, 0, 0, len },
		.in = data, .in_len = len, .direct = VQ_DIRECT,
	};
}

static void rw10(struct scsi_io *io, uint8_t opcode, uint32_t lba, uint16_t blocks)
{
	uint32_t be_lba = htobe32(lba);
	uint16_t be_blocks = htobe16(blocks);

	io->cdb[0] = opcode;
	memcpy(io->cdb + 2, &be_lba, sizeof(be_lba));
	memcpy(io->cdb + 7, &be_blocks, sizeof(be_blocks));
	io->direct = VQ_DIRECT;
}

struct scsi_io scsi_read10(uint32_t lba, uint16_t blocks, uint64_t data)
{
	struct scsi_io io = { .in = data, .in_len = blocks * SCSI_BLOCK };

	rw10(&io, 0x28, lba, blocks);
	return io;
}

struct scsi_io scsi_write10(uint32_t lba, uint16_t blocks, uint64_t data)
{
	struct scsi_io io = { .out = data, .out_len = blocks * SCSI_BLOCK };

	rw10(&io, 0x2a, lba, blocks);
	return io;
}

struct scsi_req scsi_add(struct vq *vq, const struct scsi_io *io)
{
	struct guest *g = &vq->dev->mem;
	uint64_t cmd_gpa = guest_alloc(g, sizeof(struct virtio_scsi_cmd_req), 8);
	uint64_t resp_gpa = guest_alloc(g, sizeof(struct virtio_scsi_cmd_resp), 8);
	struct virtio_scsi_cmd_req *cmd = guest_ptr(g, cmd_gpa, sizeof(*cmd));
	struct virtio_scsi_cmd_resp *resp = guest_ptr(g, resp_gpa, sizeof(*resp));
	struct scsi_req req = { .vq = vq, .resp = resp };
	struct seg segs[4];
	unsigned int n = 0;

	*cmd = (struct virtio_scsi_cmd_req){ .lun = { 1, SCSI_TPGT, 0x40, 0 } };
	memcpy(cmd->cdb, io->cdb, sizeof(cmd->cdb));
	memset(resp, 0xff, sizeof(*resp));
	segs[n++] = (struct seg){ cmd_gpa, sizeof(*cmd), false };
	if (io->out_len)
		segs[n++] = (struct seg){ io->out, io->out_len, false };
	segs[n++] = (struct seg){ resp_gpa, sizeof(*resp), true };
	if (io->in_len)
		segs[n++] = (struct seg){ io->in, io->in_len, true };
	req.head = vq_add(vq, segs, n, io->direct);
	return req;
}

void scsi_check_good(const struct scsi_req *req)
{
	check_eq(req->resp->response, VIRTIO_SCSI_S_OK);
	check_eq(req->resp->status, 0);
	check_eq(le32toh(req->resp->resid), 0);
}

void scsi_do(struct vq *vq, const struct scsi_io *io)
{
	uint64_t mark = guest_mark(&vq->dev->mem);
	struct scsi_req req = scsi_add(vq, io);

	vq_publish(vq);
	vq_kick(vq);
	check_eq(vq_get(vq).head, req.head);
	scsi_check_good(&req);
	/* The tables of indirect chains are kept by the ring. */
	if (io->direct == VQ_DIRECT)
		guest_release(&vq->dev->mem, mark);
}
