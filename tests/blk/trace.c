// SPDX-License-Identifier: GPL-2.0
/* The tracepoints: one at each stage of a request's way, in its order. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blk.h"
#include "tap.h"

/* A buffer and events of our own; while they are on the modules are in use. */
#define INSTANCE "/sys/kernel/tracing/instances/vst"

static bool remove_instance(void)
{
	return rmdir_soon(INSTANCE);
}

__attribute__((constructor)) static void remove_after(void)
{
	tap_after(remove_instance);
}

static void trace_start(void)
{
	check_ok(mkdir(INSTANCE, 0700));
	put_attribute(INSTANCE, "events/vhost_blk/enable", "1");
	put_attribute(INSTANCE, "events/vhost_storage/enable", "1");
}

/* What was traced; events that follow one another in time do so here. */
static const char *trace_read(void)
{
	static char text[1 << 16];
	FILE *f = fopen(INSTANCE "/trace", "r");

	check(f, "trace: %m");
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	return text;
}

/* The line of an event with these words, which must come after @at. */
static const char *must_follow(const char *at, const char *event, const char *words)
{
	const char *line = strstr(at, event), *end;
	char want[200];

	check(line, "no %s in what follows: %s", event, at);
	end = strchr(line, '\n');
	snprintf(want, sizeof(want), "%s", words);
	check(memmem(line, end - line, want, strlen(want)), "%s without '%s': %s", event, want,
	      line);
	return end;
}

TEST(read_is_traced_from_ring_to_ring)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	unsigned char data[4096];
	const char *at;

	trace_start();
	blk_read(blk.vq, 8, data, sizeof(data));
	vq_settle(blk.vq);
	at = trace_read();
	at = must_follow(at, "vhost_blk_intake:", "vq=0 head=0 read sector=8 bytes=4096 status=0");
	at = must_follow(at, "vhost_blk_submit:", "vq=0 head=0 bios=1 bounced=0");
	at = must_follow(at, "vhost_blk_complete:", "vq=0 head=0 status=0 error=0");
	must_follow(at, "vstor_signal:", "vq=0 entries=1 signalled=1");
}

/* It ends at intake, and nothing is submitted. */
TEST(refused_request_is_traced)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	const char *at;

	trace_start();
	blk_expect(blk.vq, &(struct blk_io){ .in_len = 512, .sector = 1ull << 40 },
		   VIRTIO_BLK_S_IOERR);
	at = trace_read();
	check(!strstr(at, "vhost_blk_submit:"), "it was submitted: %s", at);
	at = must_follow(at, "vhost_blk_intake:", "status=1");
	must_follow(at, "vhost_blk_complete:", "status=1 error=0");
}

TEST(bounced_request_is_traced)
{
	struct blk blk = blk_start(&(struct blk_setup){});
	const struct blk_layout odd = { .out = { 16 }, .in = { 511 }, .direct = VQ_DIRECT,
					.offset = 1 };

	trace_start();
	blk_expect(blk.vq, &(struct blk_io){ .in_len = 512, .layout = &odd }, VIRTIO_BLK_S_OK);
	must_follow(trace_read(), "vhost_blk_submit:", "bounced=1");
}
