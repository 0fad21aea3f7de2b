// SPDX-License-Identifier: GPL-2.0
/* Opening, owning, and who may do what. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"
#include "tap.h"

/* For reload, too: all there is to an I/O. */
TEST(one_request)
{
	struct blk blk = load_start(nullb_new(&(struct nullb){}), 1);
	struct load l = load_new(blk.vq, 1);

	load_put_all(&l, true, 1);
	load_finish(&l);
	load_put_all(&l, false, 1);
	load_finish(&l);
}

#define FILES 1000

TEST_LIMIT(a_thousand_opens, 100)
{
	struct rlimit limit = { FILES + 100, FILES + 100 };
	static int fd[FILES];

	check_ok(setrlimit(RLIMIT_NOFILE, &limit));
	run_command("modprobe vhost_blk");
	for (unsigned int i = 0; i < FILES; i++) {
		fd[i] = check_ok(open(blk_ops.path, O_RDWR | O_CLOEXEC));
		/* An owner has a thread and the rings' tables as well. */
		if (i % 10 == 0)
			check_ok(ioctl(fd[i], VHOST_SET_OWNER));
	}
	check_eq(module_users(), FILES);
	for (unsigned int i = 0; i < FILES; i++)
		close(fd[i]);
	check_eq(module_users(), 0);
}

/* More than once open and used in one process, the devices are apart. */
TEST(two_devices_on_one_disk)
{
	const char *path = nullb_new(&(struct nullb){});
	struct blk a = load_start(path, 1), b = load_start(path, 1);
	struct load la = load_new(a.vq, 8), lb = load_new(b.vq, 8);

	load_put_all(&la, true, 1);
	load_finish(&la);
	for (unsigned int i = 0; i < lb.n; i++)
		lb.slots[i].on_disk = la.slots[i].on_disk;
	load_put_all(&lb, false, 0);
	load_finish(&lb);
	close(a.dev->fd);
	load_put_all(&lb, false, 0);
	load_finish(&lb);
}

TEST(owner_is_set_once)
{
	struct blk blk = load_start(nullb_new(&(struct nullb){}), 1);
	struct load l = load_new(blk.vq, 1);

	check_errno(ioctl(blk.dev->fd, VHOST_SET_OWNER), EBUSY);
	load_put_all(&l, true, 1);
	load_finish(&l);
}

/* The ioctls that change something, with arguments that would be good. */
static void check_refused(const struct blk *blk)
{
	int event = check_ok(eventfd(0, EFD_CLOEXEC)), fd = blk->dev->fd;
	struct vhost_blk_serial serial = { "none" };
	struct vhost_vring_state state = { 0 };

	check_errno(blk_set_backend(blk->dev, -1), EPERM);
	check_errno(blk_set_backend(blk->dev, blk->fd), EPERM);
	check_errno(ioctl(fd, VHOST_BLK_SET_SERIAL, &serial), EPERM);
	check_errno(ioctl(fd, VHOST_BLK_SET_CONFIG_CALL, &event), EPERM);
	check_errno(vdev_set_mem_table(blk->dev), EPERM);
	check_errno(vq_set_num(blk->vq, 64), EPERM);
	check_errno(ioctl(fd, VHOST_SET_VRING_BASE, &state), EPERM);
	check_errno(ioctl(fd, VHOST_GET_VRING_BASE, &state), EPERM);
	check_errno(vq_set_addr(blk->vq), EPERM);
	check_errno(vq_set_file(blk->vq, VHOST_SET_VRING_KICK, event), EPERM);
	check_errno(vq_set_file(blk->vq, VHOST_SET_VRING_CALL, event), EPERM);
	check_errno(vq_set_file(blk->vq, VHOST_SET_VRING_ERR, event), EPERM);
	close(event);
}

TEST(ioctls_of_another_process_are_refused)
{
	struct blk blk = load_start(slow_disk(16, 300), 1);
	struct load l = load_new(blk.vq, 8);
	int status;
	pid_t pid;

	loads_put_all(&l, 1, true, 1);
	fflush(stdout);
	pid = check_ok(fork());
	if (!pid) {
		check_refused(&blk);
		check_errno(vdev_new_worker(blk.dev), EPERM);
		check_errno(vdev_free_worker(blk.dev, 0), EPERM);
		check_errno(vq_attach_worker(blk.vq, 0), EPERM);
		check_errno(ioctl(blk.dev->fd, VHOST_SET_OWNER), EBUSY);
		_exit(0);
	}
	check_eq(waitpid(pid, &status, 0), pid);
	check_eq(status, 0);
	load_finish(&l);
}

TEST(ioctls_without_an_owner_are_refused)
{
	const char *path = nullb_new(&(struct nullb){});
	struct vdev *dev = vdev_open_bare(&blk_ops);
	struct vq vq = { .dev = dev, .num = 128 };
	struct blk blk = { .dev = dev, .vq = &vq };

	blk.fd = check_ok(open(path, O_RDWR | O_CLOEXEC));
	check_refused(&blk);
	check_errno(vdev_new_worker(dev), EINVAL);
	/* What needs none goes. */
	check_ok(ioctl(dev->fd, VHOST_GET_FEATURES, &dev->offered));
}
