// SPDX-License-Identifier: GPL-2.0
#include <stdarg.h>
#include <stdio.h>

#include "verdict.h"

const char *wrong(const char *fmt, ...)
{
	static char text[2][256];
	static unsigned int last;
	va_list args;

	/* One may be a part of the next. */
	last = !last;
	va_start(args, fmt);
	vsnprintf(text[last], sizeof(text[last]), fmt, args);
	va_end(args);
	return text[last];
}
