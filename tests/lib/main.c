// SPDX-License-Identifier: GPL-2.0
/* In a file of its own, so that it is only linked where there is no other. */
#include "tap.h"

int main(int argc, char **argv)
{
	return tap_main(argc, argv);
}
