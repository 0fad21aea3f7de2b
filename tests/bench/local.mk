# SPDX-License-Identifier: GPL-2.0
# One program of several sources; not a test: the parts of make bench run it.
programs := $(filter-out $(out)/bench/%,$(programs)) $(out)/bench/vring-bench
$(out)/bench/vring-bench: $(patsubst %.c,$(out)/%.o,$(wildcard bench/*.c))
LDFLAGS_bench := -static -luring
