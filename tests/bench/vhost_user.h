/* SPDX-License-Identifier: GPL-2.0 */
/* vhost's ioctls as messages to a server of vhost-user, whose backend is its own. */
#ifndef VHOST_USER_H
#define VHOST_USER_H

#include "vring.h"

struct vdev *vhost_user_open(const char *socket, uint64_t memory);

#endif
