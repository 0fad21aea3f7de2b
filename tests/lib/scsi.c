// SPDX-License-Identifier: GPL-2.0
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices.h"
#include "integrity.h"
#include "scsi.h"
#include "tap.h"

#define LIO SCSI_LIO
#define WWPN SCSI_WWPN
#define TPG SCSI_TPG
#define OTHER_TPG LIO "/vhost/" WWPN "/tpgt_2"
#define OTHER_NEXUS "naa.5001405763686f33"
#define NEXUS "naa.5001405763686f32"
#define HBA "7000"

static int endpoint(const struct vdev *dev, unsigned long request, const char *wwpn)
{
	struct vhost_scsi_target t = { .vhost_tpgt = SCSI_TPGT };

	snprintf(t.vhost_wwpn, sizeof(t.vhost_wwpn), "%s", wwpn);
	return ioctl(dev->fd, request, &t);
}

int scsi_set_endpoint(const struct vdev *dev, const char *wwpn)
{
	return endpoint(dev, VHOST_SCSI_SET_ENDPOINT, wwpn);
}

int scsi_clear_endpoint(const struct vdev *dev, const char *wwpn)
{
	return endpoint(dev, VHOST_SCSI_CLEAR_ENDPOINT, wwpn);
}

static int attach(struct vdev *dev)
{
	return scsi_set_endpoint(dev, dev->backend_name);
}

static int detach(struct vdev *dev)
{
	return scsi_clear_endpoint(dev, dev->backend_name);
}

const struct vdev_ops scsi_ops = {
	.path = "/dev/vhost-scsi",
	.module = "vhost_scsi",
	.attach = attach,
	.detach = detach,
};

/* Ours is the one that uses vhost_storage. */
#define IS_OURS "[ -d /sys/module/vhost_storage/holders/vhost_scsi ]"
#define IS_LOADED "[ -d /sys/module/vhost_scsi ]"

static bool intree;

void scsi_load_intree(void)
{
	if (on_debug_kernel())
		skip("lockdep: the kernel's vhost_scsi and configfs take two locks in either order");
	intree = true;
	run_command("! " IS_OURS " || rmmod vhost_scsi");
	run_command(IS_LOADED " || { modprobe -a vhost vhost_iotlb target_core_mod && "
		    "insmod /lib/modules/$(uname -r)/kernel/drivers/vhost/vhost_scsi.ko*; }");
}

/* Few things that a test does take longer than a command. */
void scsi_load_ours(void)
{
	intree = false;
	if (!access("/sys/module/vhost_storage/holders/vhost_scsi", F_OK))
		return;
	run_command("! " IS_LOADED " || rmmod vhost_scsi");
	run_command("modprobe vhost_scsi && " IS_OURS);
}

static void put_number(const char *dir, const char *name, unsigned int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	put_attribute(dir, name, text);
}

void scsi_limit_failures(unsigned int a_second)
{
	put_number("/sys/module/vhost_scsi/parameters", "max_failures", a_second);
}

static void make(const char *dir)
{
	check(!mkdir(dir, 0755), "mkdir %s: %m", dir);
}

static void make_hba(const char *dir)
{
	check(!mkdir(dir, 0755) || errno == EEXIST, "mkdir %s: %m", dir);
}

void scsi_tpg_new(void)
{
	if (access(LIO, F_OK))
		run_command("modprobe target_core_mod");
	/* Where persistent reservations are kept; to be said before there is a fabric. */
	if (access("/tmp/target/pr", F_OK))
		run_command("mkdir -p /tmp/target/pr && echo /tmp/target >" LIO "/dbroot");
	if (!intree) {
		scsi_load_ours();
		/* What a test before this one has changed. */
		scsi_limit_failures(SCSI_FAILURES_A_SECOND);
	}
	make_hba(LIO "/vhost");
	make(LIO "/vhost/" WWPN);
	make(TPG);
	put_attribute(TPG, "nexus", NEXUS);
}

/* The folder of the backstore that was made for a LUN; made of a RAM disk, or a device. */
static const char *store_of(unsigned int lun, bool device)
{
	static char store[200];

	snprintf(store, sizeof(store), LIO "/core/%s_" HBA "/vst%u", device ? "iblock" : "rd_mcp",
		 lun);
	return store;
}

static const char *store_new(unsigned int lun, const struct scsi_lun *setup)
{
	const char *store = store_of(lun, setup->path);
	char hba[100], control[300];

	snprintf(hba, sizeof(hba), LIO "/core/%s_" HBA, setup->path ? "iblock" : "rd_mcp");
	make_hba(hba);
	make(store);
	if (setup->path)
		snprintf(control, sizeof(control), "udev_path=%s,readonly=%d", setup->path,
			 setup->read_only);
	else
		snprintf(control, sizeof(control), "rd_pages=%u", setup->mb * 256);
	put_attribute(store, "control", control);
	put_attribute(store, "enable", "1");
	if (setup->serial)
		put_attribute(store, "wwn/vpd_unit_serial", setup->serial);
	return store;
}

static const char *lun_dir(unsigned int lun)
{
	static char dir[200];

	snprintf(dir, sizeof(dir), TPG "/lun/lun_%u", lun);
	return dir;
}

static void link_lun(unsigned int lun, const char *store)
{
	char link[220];

	make(lun_dir(lun));
	snprintf(link, sizeof(link), "%s/vst", lun_dir(lun));
	check(!symlink(store, link), "linking the LUN: %m");
}

void scsi_lun_add(unsigned int lun, const struct scsi_lun *setup)
{
	const char *store = store_new(lun, setup);
	char attrib[220];

	snprintf(attrib, sizeof(attrib), "%s/attrib", store);
	if (setup->block_size)
		put_number(attrib, "block_size", setup->block_size);
	if (setup->pi_type)
		put_number(attrib, "pi_prot_type", setup->pi_type);
	if (setup->no_tas)
		put_number(attrib, "emulate_tas", 0);
	link_lun(lun, store);
}

void scsi_lun_add_same(unsigned int lun, unsigned int as)
{
	link_lun(lun, store_of(as, false));
}

void scsi_other_target(void)
{
	make(OTHER_TPG);
	put_attribute(OTHER_TPG, "nexus", OTHER_NEXUS);
	make(OTHER_TPG "/lun/lun_0");
	check(!symlink(store_of(0, true), OTHER_TPG "/lun/lun_0/vst"), "linking the LUN: %m");
}

void scsi_set_direct(bool on)
{
	put_attribute(TPG "/attrib", "direct_rw", on ? "1" : "0");
}

void scsi_put_attribute(const char *name, const char *value)
{
	put_attribute(store_of(0, true), name, value);
}

void scsi_lun_remove(unsigned int lun)
{
	char link[220];

	snprintf(link, sizeof(link), "%s/vst", lun_dir(lun));
	check(!unlink(link), "unlinking the LUN: %m");
	check(!rmdir(lun_dir(lun)), "rmdir %s: %m", lun_dir(lun));
}

const char *scsi_target_with(const struct scsi_lun *setup)
{
	scsi_tpg_new();
	scsi_lun_add(0, setup);
	return WWPN;
}

const char *scsi_target_new(unsigned int mb)
{
	return scsi_target_with(&(struct scsi_lun){ .mb = mb });
}

static void each_path(const char *pattern, int (*remove)(const char *path))
{
	glob_t found;

	if (!glob(pattern, 0, NULL, &found))
		for (size_t i = 0; i < found.gl_pathc; i++)
			remove(found.gl_pathv[i]);
	globfree(&found);
}

static int drop_nexus(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = write(fd, "NULL", 4);

	close(fd);
	return n == 4 ? 0 : -1;
}

static bool none(const char *pattern)
{
	glob_t found;
	bool none = glob(pattern, 0, NULL, &found);

	globfree(&found);
	return none;
}

/* In the order in which one holds the other; what fails now may work the next time. */
static bool sweep_once(void)
{
	each_path(LIO "/vhost/*/tpgt_*/lun/lun_*/vst", unlink);
	each_path(LIO "/vhost/*/tpgt_*/lun/lun_*", rmdir);
	each_path(LIO "/vhost/*/tpgt_*/nexus", drop_nexus);
	each_path(LIO "/vhost/*/tpgt_*", rmdir);
	each_path(LIO "/vhost/*.*", rmdir);
	rmdir(LIO "/vhost");
	each_path(LIO "/core/*_" HBA "/vst*", rmdir);
	each_path(LIO "/core/*_" HBA, rmdir);
	return access(LIO "/vhost", F_OK) && none(LIO "/core/*_" HBA);
}

/* What held them may be on its way out: retried for a while. */
static bool sweep(void)
{
	for (unsigned int try = 0; try < 200; try++) {
		if (sweep_once())
			return true;
		sleep_ms(50);
	}
	diag("a target stays");
	return false;
}

void scsi_tpg_drop(void)
{
	check(sweep(), "the target stays");
}

/* Before the sweep of the devices that are behind the LUNs. */
__attribute__((constructor(101))) static void scsi_register(void)
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

static const uint8_t lun_0[8] = { 1, SCSI_TPGT, 0x40, 0 };

uint32_t scsi_put_header(const struct vdev *dev, const struct scsi_cmd *cmd, unsigned char *to)
{
	struct virtio_scsi_cmd_req_pi pi = {
		.tag = htole64(cmd->tag), .task_attr = cmd->task_attr,
		.pi_bytesout = htole32(cmd->pi_out), .pi_bytesin = htole32(cmd->pi_in),
	};
	struct virtio_scsi_cmd_req plain = { .tag = pi.tag, .task_attr = cmd->task_attr };

	memcpy(pi.lun, cmd->lun ?: lun_0, sizeof(pi.lun));
	memcpy(pi.cdb, cmd->cdb, sizeof(pi.cdb));
	memcpy(plain.lun, pi.lun, sizeof(pi.lun));
	memcpy(plain.cdb, pi.cdb, sizeof(pi.cdb));
	if (dev->features & BIT(VIRTIO_SCSI_F_T10_PI)) {
		memcpy(to, &pi, sizeof(pi));
		return sizeof(pi);
	}
	memcpy(to, &plain, sizeof(plain));
	return sizeof(plain);
}

struct scsi_result scsi_cmd_add(struct vq *vq, const struct scsi_cmd *cmd)
{
	uint32_t resp = sizeof(struct virtio_scsi_cmd_resp) - cmd->response_cut, header;
	unsigned char *out = malloc(100 + cmd->out_len), *in = malloc(resp + cmd->in_len + 1);
	struct blk_layout usual = { "usual", .direct = VQ_DIRECT };
	struct scsi_result res = { 0 };

	header = scsi_put_header(vq->dev, cmd, out) - cmd->header_cut;
	if (cmd->out_len)
		memcpy(out + header, cmd->out, cmd->out_len);
	memset(in, SCSI_NO_RESPONSE, resp);
	memset(in + resp, BLK_UNTOUCHED, cmd->in_len);
	usual.out[0] = header;
	usual.in[0] = resp;
	res.io = req_add(vq, out, header + cmd->out_len, in, resp + cmd->in_len,
			 cmd->layout ?: &usual);
	free(out);
	free(in);
	return res;
}

void scsi_cmd_finish(struct scsi_result *res, struct used u)
{
	uint32_t resp = sizeof(res->resp);

	req_finish(&res->io, u);
	memset(&res->resp, SCSI_NO_RESPONSE, resp);
	memcpy(&res->resp, res->io.in, res->io.in_len < resp ? res->io.in_len : resp);
	res->data = res->io.in + resp;
	check(res->resp.response != SCSI_NO_RESPONSE, "no response was written");
}

void scsi_finish_all(struct vq *vq, struct scsi_result *res, unsigned int n)
{
	for (unsigned int done = 0; done < n; done++) {
		struct used u = vq_get(vq);

		for (unsigned int i = 0; i < n; i++)
			if (res[i].io.head == u.head && !res[i].io.done)
				scsi_cmd_finish(&res[i], u);
	}
}

struct scsi_result scsi_cmd_do(struct vq *vq, const struct scsi_cmd *cmd)
{
	uint64_t mark = guest_mark(&vq->dev->mem);
	struct scsi_result res = scsi_cmd_add(vq, cmd);

	vq_publish(vq);
	vq_kick(vq);
	scsi_cmd_finish(&res, vq_get(vq));
	/* The table of an indirect chain stays with the head. */
	if (!cmd->layout || cmd->layout->direct == VQ_DIRECT)
		guest_release(&vq->dev->mem, mark);
	return res;
}

void scsi_result_free(struct scsi_result *res)
{
	blk_free(&res->io);
}

/* Of 16 bytes, for any number of blocks. */
static struct scsi_cmd rw16(uint8_t opcode, uint32_t lba, uint32_t blocks)
{
	uint64_t be_lba = htobe64(lba);
	uint32_t be_blocks = htobe32(blocks);
	struct scsi_cmd cmd = { .cdb = { opcode } };

	memcpy(cmd.cdb + 2, &be_lba, sizeof(be_lba));
	memcpy(cmd.cdb + 10, &be_blocks, sizeof(be_blocks));
	return cmd;
}

struct scsi_cmd scsi_cmd_read(uint32_t lba, uint32_t blocks)
{
	struct scsi_cmd cmd = rw16(0x88, lba, blocks);

	cmd.in_len = blocks * SCSI_BLOCK;
	return cmd;
}

struct scsi_cmd scsi_cmd_write(uint32_t lba, uint32_t blocks, const void *data)
{
	struct scsi_cmd cmd = rw16(0x8a, lba, blocks);

	cmd.out = data;
	cmd.out_len = blocks * SCSI_BLOCK;
	return cmd;
}

/* RDPROTECT and WRPROTECT. */
#define PROTECT_CHECKED (1 << 5)

struct scsi_cmd scsi_cmd_read_pi(uint32_t lba, uint32_t blocks)
{
	struct scsi_cmd cmd = scsi_cmd_read(lba, blocks);

	cmd.cdb[1] = PROTECT_CHECKED;
	cmd.pi_in = blocks * PI_TUPLE;
	cmd.in_len += cmd.pi_in;
	return cmd;
}

struct scsi_cmd scsi_cmd_write_pi(uint32_t lba, uint32_t blocks, const void *bytes)
{
	struct scsi_cmd cmd = scsi_cmd_write(lba, blocks, bytes);

	cmd.cdb[1] = PROTECT_CHECKED;
	cmd.pi_out = blocks * PI_TUPLE;
	cmd.out_len += cmd.pi_out;
	return cmd;
}

void scsi_check_response(const struct scsi_result *res, uint8_t response)
{
	check(res->resp.response == response, "response %u, status 0x%02x; expected response %u",
	      res->resp.response, res->resp.status, response);
}

void scsi_check_sense(const struct scsi_result *res, uint8_t key, uint8_t asc, uint8_t ascq)
{
	const uint8_t *sense = res->resp.sense;
	bool descriptors = (sense[0] & 0x7f) >= 0x72;
	uint8_t got_key = descriptors ? sense[1] & 0xf : sense[2] & 0xf;
	uint8_t got_asc = descriptors ? sense[2] : sense[12];
	uint8_t got_ascq = descriptors ? sense[3] : sense[13];

	if (!key) {
		check(!res->resp.status, "status 0x%02x, sense %u/%02x/%02x; expected GOOD",
		      res->resp.status, got_key, got_asc, got_ascq);
		check_eq(le32toh(res->resp.sense_len), 0);
		return;
	}
	check(res->resp.status == 2 && le32toh(res->resp.sense_len),
	      "response %u, status 0x%02x, no sense; expected %u/%02x/%02x", res->resp.response,
	      res->resp.status, key, asc, ascq);
	check(got_key == key && got_asc == asc && got_ascq == ascq,
	      "sense %u/%02x/%02x, expected %u/%02x/%02x", got_key, got_asc, got_ascq, key, asc,
	      ascq);
}

#define STATUS_BUSY 0x08
#define STATUS_TASK_SET_FULL 0x28

void scsi_check_host_failed(const struct scsi_result *res)
{
	check_eq(res->io.used_len, sizeof(res->resp));
	if (res->resp.response == VIRTIO_SCSI_S_BUSY)
		return;
	scsi_check_response(res, VIRTIO_SCSI_S_OK);
	if (res->resp.status != STATUS_BUSY && res->resp.status != STATUS_TASK_SET_FULL)
		scsi_check_sense(res, 2, 0x08, 0);
}

struct blk_req scsi_control_add(struct vdev *dev, const void *bytes, uint32_t len, uint32_t room)
{
	static const unsigned char untouched[16] = {
		[0 ... 15] = SCSI_NO_RESPONSE,
	};
	const struct blk_layout whole = { "", .direct = VQ_DIRECT };

	return req_add(dev->vqs[0], bytes, len, untouched, room, &whole);
}

struct blk_req scsi_control_do(struct vdev *dev, const void *bytes, uint32_t len, uint32_t room)
{
	struct blk_req req = scsi_control_add(dev, bytes, len, room);

	blk_send(dev->vqs[0]);
	req_finish(&req, vq_get(dev->vqs[0]));
	return req;
}

void scsi_tmf_do(struct vdev *dev, const struct virtio_scsi_ctrl_tmf_req *tmf, uint8_t response)
{
	struct blk_req req = scsi_control_do(dev, tmf, sizeof(*tmf), 1);

	check_eq(req.used_len, 1);
	check_eq(req.in[0], response);
	blk_free(&req);
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
