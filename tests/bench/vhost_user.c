// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tap.h"
#include "vhost_user.h"

/* docs/interop/vhost-user.rst of QEMU: the requests that we send. */
enum {
	GET_FEATURES = 1, SET_FEATURES = 2, SET_OWNER = 3, SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8, SET_VRING_ADDR = 9, SET_VRING_BASE = 10,
	SET_VRING_KICK = 12, SET_VRING_CALL = 13, SET_VRING_ERR = 14,
};

#define VERSION 1

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t number;
		struct vhost_vring_state state;
		struct vhost_vring_addr addr;
		struct {
			uint32_t regions, padding;
			struct { uint64_t gpa, size, hva, offset; } region[8];
		} memory;
	};
} __attribute__((packed));

#define HEADER offsetof(struct message, number)

static void send_message(int socket, struct message *m, const int *fds, unsigned int nfds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * 8)];
	} control = { 0 };
	struct iovec iov = { m, HEADER + m->size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	m->flags = VERSION;
	if (nfds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * nfds);
	}
	check_eq(sendmsg(socket, &msg, MSG_NOSIGNAL), iov.iov_len);
}

static void get_reply(int socket, struct message *m, uint32_t size)
{
	check_eq(recv(socket, m, HEADER + size, MSG_WAITALL), HEADER + size);
	check_eq(m->size, size);
}

static void set_memory(struct vdev *dev)
{
	struct message m = { .request = SET_MEM_TABLE };
	unsigned int n = dev->mem.nregions;
	int fds[8];

	check(n <= 8, "%u regions, vhost-user takes 8", n);
	m.memory.regions = n;
	m.size = 8 + n * sizeof(m.memory.region[0]);
	for (unsigned int i = 0; i < n; i++) {
		const struct guest_region *r = &dev->mem.region[i];

		m.memory.region[i].gpa = r->gpa;
		m.memory.region[i].size = r->size;
		m.memory.region[i].hva = (uintptr_t)r->hva;
		fds[i] = r->fd;
	}
	send_message(dev->fd, &m, fds, n);
}

static void send_number(struct vdev *dev, uint32_t request, uint64_t number)
{
	struct message m = { .request = request, .size = 8, .number = number };

	send_message(dev->fd, &m, NULL, 0);
}

static void send_state(struct vdev *dev, uint32_t request, const struct vhost_vring_state *s)
{
	struct message m = { .request = request, .size = sizeof(*s), .state = *s };

	send_message(dev->fd, &m, NULL, 0);
}

static void send_file(struct vdev *dev, uint32_t request, const struct vhost_vring_file *f)
{
	struct message m = { .request = request, .size = 8, .number = f->index };

	send_message(dev->fd, &m, &f->fd, 1);
}

static void send_address(struct vdev *dev, const struct vhost_vring_addr *a)
{
	struct message m = { .request = SET_VRING_ADDR, .size = sizeof(*a), .addr = *a };

	send_message(dev->fd, &m, NULL, 0);
}

static void get_features(struct vdev *dev, uint64_t *features)
{
	struct message m = { .request = GET_FEATURES };

	send_message(dev->fd, &m, NULL, 0);
	get_reply(dev->fd, &m, 8);
	*features = m.number;
}

static int request(struct vdev *dev, unsigned long request, void *arg)
{
	struct message owner = { .request = SET_OWNER };

	switch (request) {
	case VHOST_SET_OWNER:		send_message(dev->fd, &owner, NULL, 0); break;
	case VHOST_GET_FEATURES:	get_features(dev, arg); break;
	case VHOST_SET_FEATURES:	send_number(dev, SET_FEATURES, *(uint64_t *)arg); break;
	case VHOST_SET_MEM_TABLE:	set_memory(dev); break;
	case VHOST_SET_VRING_NUM:	send_state(dev, SET_VRING_NUM, arg); break;
	case VHOST_SET_VRING_BASE:	send_state(dev, SET_VRING_BASE, arg); break;
	case VHOST_SET_VRING_ADDR:	send_address(dev, arg); break;
	case VHOST_SET_VRING_KICK:	send_file(dev, SET_VRING_KICK, arg); break;
	case VHOST_SET_VRING_CALL:	send_file(dev, SET_VRING_CALL, arg); break;
	case VHOST_SET_VRING_ERR:	send_file(dev, SET_VRING_ERR, arg); break;
	default:
		errno = ENOTTY;
		return -1;
	}
	return 0;
}

/* The server has its backend. */
static int attach(struct vdev *dev)
{
	(void)dev;
	return 0;
}

static const struct vdev_ops user_ops = {
	.request = request,
	.attach = attach,
};

struct vdev *vhost_user_open(const char *path, uint64_t memory)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct vdev *dev = calloc(1, sizeof(*dev));

	check(strlen(path) < sizeof(address.sun_path), "'%s' is too long", path);
	strcpy(address.sun_path, path);
	dev->ops = &user_ops;
	dev->fd = check_ok(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	check(!connect(dev->fd, (struct sockaddr *)&address, sizeof(address)),
	      "connect %s: %m", path);
	vdev_own(dev, memory);
	return dev;
}
