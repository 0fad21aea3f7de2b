# SPDX-License-Identifier: GPL-2.0
# The modules' own sources that compute and no more, in userspace.
CFLAGS_unit := -Iunit/include -I../drivers/vhost/blk -include kernel.h \
	-fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS_unit := -fsanitize=address,undefined
