// SPDX-License-Identifier: GPL-2.0
/* Requests in flight: see load.h. */
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"
#include "tap.h"

const char *slow_disk_over(const char *lower, unsigned int ms)
{
	char table[200];

	run_command("modprobe dm_delay");
	snprintf(table, sizeof(table), "0 %llu delay %s 0 %u\\n",
		 (unsigned long long)device_sectors(lower), lower, ms);
	return dm_new(table);
}

const char *slow_disk(unsigned int mb, unsigned int ms)
{
	return slow_disk_over(nullb_new(&(struct nullb){ .mb = mb }), ms);
}

struct blk load_start(const char *path, unsigned int queues)
{
	return blk_start(&(struct blk_setup){ .path = path, .queues = queues });
}

static void put_blk(const struct load *l, const struct load_slot *s, void *header)
{
	struct virtio_blk_outhdr h = {
		.type = htole32(s->write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN),
		.sector = htole64(s->sector),
	};

	(void)l;
	memcpy(header, &h, sizeof(h));
}

static uint8_t status_of_blk(const void *answer)
{
	return *(const uint8_t *)answer;
}

const struct load_kind blk_load = {
	.header = BLK_HEADER, .answer = 1, .put = put_blk, .status = status_of_blk,
};

struct load load_new_of(const struct load_kind *kind, struct vq *vq, unsigned int n,
			uint32_t bytes, unsigned int region, unsigned int offset)
{
	struct load l = { .kind = kind, .vq = vq, .n = n, .bytes = bytes, .region = region,
			  .indirect = bytes > LOAD_SEGMENT };

	l.slots = calloc(n, sizeof(*l.slots));
	for (unsigned int i = 0; i < n; i++) {
		struct load_slot *s = &l.slots[i];

		s->gpa = guest_alloc_in(&vq->dev->mem, region, bytes, GUEST_PAGE, offset);
		s->meta = guest_alloc(&vq->dev->mem, kind->header + kind->answer, 16);
		s->sector = ((uint64_t)vq->index * n + i) * (bytes / SECTOR);
	}
	return l;
}

struct load load_new_at(struct vq *vq, unsigned int n, uint32_t bytes,
			unsigned int region, unsigned int offset)
{
	return load_new_of(&blk_load, vq, n, bytes, region, offset);
}

struct load load_new(struct vq *vq, unsigned int n)
{
	return load_new_at(vq, n, LOAD_BYTES, 0, 0);
}

void *load_data(const struct load *l, const struct load_slot *s)
{
	return guest_ptr(&l->vq->dev->mem, s->gpa, l->bytes);
}

uint8_t *load_status(const struct load *l, const struct load_slot *s)
{
	return guest_ptr(&l->vq->dev->mem, s->meta + l->kind->header, l->kind->answer);
}

/* Into descriptors of no more than a segment each. */
static unsigned int put_data(const struct load *l, const struct load_slot *s, struct seg *segs)
{
	unsigned int n = 0;
	uint32_t at, part;

	for (at = 0; at < l->bytes; at += part) {
		part = l->bytes - at < LOAD_SEGMENT ? l->bytes - at : LOAD_SEGMENT;
		segs[n++] = (struct seg){ s->gpa + at, part, !s->write };
	}
	return n;
}

void load_put(struct load *l, unsigned int i, bool write, uint64_t seed)
{
	const struct load_kind *kind = l->kind;
	struct load_slot *s = &l->slots[i];
	struct seg answer = { s->meta + kind->header, kind->answer, true };
	static struct seg segs[LOAD_SEGMENTS];
	unsigned int n = 0;

	check(!s->busy, "the test uses a place twice");
	s->write = write;
	s->busy = true;
	kind->put(l, s, guest_ptr(&l->vq->dev->mem, s->meta, kind->header));
	memset(load_status(l, s), BLK_NO_STATUS, kind->answer);
	segs[n++] = (struct seg){ s->meta, kind->header, false };
	if (kind->answer_first && !write)
		segs[n++] = answer;
	n += put_data(l, s, segs + n);
	if (!kind->answer_first || write)
		segs[n++] = answer;
	if (write) {
		fill(load_data(l, s), l->bytes, seed);
		s->on_disk = seed;
	} else {
		memset(load_data(l, s), BLK_UNTOUCHED, l->bytes);
	}
	l->of_head[vq_add(l->vq, segs, n, l->indirect ? 0 : VQ_DIRECT)] = i;
	l->sent++;
}

void load_send(struct load *l)
{
	vq_publish(l->vq);
	vq_kick(l->vq);
}

void load_put_all(struct load *l, bool write, uint64_t seed)
{
	for (unsigned int i = 0; i < l->n; i++)
		load_put(l, i, write, seed + i);
	load_send(l);
}

void load_check_data(const struct load *l, const struct load_slot *s)
{
	unsigned char *want = malloc(l->bytes);

	fill(want, l->bytes, s->on_disk);
	check_same(load_data(l, s), want, l->bytes, "a read");
	free(want);
}

void load_take(struct load *l, struct used u, int status)
{
	struct load_slot *s = &l->slots[l->of_head[u.head]];
	uint8_t got = l->kind->status(load_status(l, s));

	check(s->busy, "queue %u: a request came back twice", l->vq->index);
	s->busy = false;
	l->done++;
	if (status < 0) {
		check(got != BLK_NO_STATUS, "no status byte was written");
		return;
	}
	check(got == status, "queue %u, sector %llu: status %u, expected %d", l->vq->index,
	      (unsigned long long)s->sector, got, status);
	if (!s->write && got == VIRTIO_BLK_S_OK)
		load_check_data(l, s);
}

unsigned int load_collect(struct load *l, int status)
{
	unsigned int n = 0;
	struct used u;

	for (; vq_pop(l->vq, &u); n++)
		load_take(l, u, status);
	return n;
}

void load_finish_as(struct load *l, int status)
{
	while (l->done < l->sent)
		load_take(l, vq_get(l->vq), status);
	check(vq_used_idx(l->vq) == l->vq->last_used, "queue %u: used entries too many",
	      l->vq->index);
}

void load_finish(struct load *l)
{
	load_finish_as(l, VIRTIO_BLK_S_OK);
}

void load_wait_taken(const struct load *l)
{
	uint64_t end = now_ms() + VQ_WAIT_MS;

	while ((uint16_t)vq_get_base(l->vq) != l->vq->published_idx) {
		check(now_ms() < end, "queue %u: requests stay in the ring", l->vq->index);
		sleep_ms(1);
	}
}

unsigned int load_in_flight(const struct load *l)
{
	uint16_t taken = vq_get_base(l->vq);

	return (uint16_t)(taken - vq_used_idx(l->vq));
}

void loads_put_all(struct load *l, unsigned int n, bool write, uint64_t seed)
{
	for (unsigned int i = 0; i < n; i++)
		load_put_all(&l[i], write, seed + 1000 * i);
	for (unsigned int i = 0; i < n; i++)
		load_wait_taken(&l[i]);
}

unsigned int loads_in_flight(const struct load *l, unsigned int n)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += load_in_flight(&l[i]);
	return sum;
}

void loads_finish(struct load *l, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		load_finish(&l[i]);
}

void loads_check_drained(const struct load *l, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		check(!load_in_flight(&l[i]), "queue %u: %u requests were taken and not answered",
		      l[i].vq->index, load_in_flight(&l[i]));
}

void load_check_disk(const struct load *l, const char *path)
{
	unsigned char *got = malloc(l->bytes), *want = malloc(l->bytes);

	for (unsigned int i = 0; i < l->n; i++) {
		fill(want, l->bytes, l->slots[i].on_disk);
		device_read(path, l->slots[i].sector * SECTOR, got, l->bytes);
		check_same(got, want, l->bytes, "the disk");
	}
	free(got);
	free(want);
}

void load_prefill(struct load *l, const char *path, uint64_t seed)
{
	unsigned char *data = malloc(l->bytes);

	for (unsigned int i = 0; i < l->n; i++) {
		l->slots[i].on_disk = seed + i;
		fill(data, l->bytes, seed + i);
		device_write(path, l->slots[i].sector * SECTOR, data, l->bytes);
	}
	free(data);
}

const struct load_way load_ways[6] = {
	{ "one_queue_direct_large", 1, false, 160 << 10, 0 },
	{ "one_queue_direct_bounced", 1, false, 16 << 10, 1 },
	{ "one_queue_indirect_small", 1, true, 4096, 0 },
	{ "four_queues_direct_small", 4, false, 4096, 0 },
	{ "four_queues_indirect_large", 4, true, 160 << 10, 0 },
	{ "four_queues_indirect_bounced", 4, true, 16 << 10, 1 },
};

static void random_round(struct load *l, unsigned int n, uint64_t *random)
{
	for (unsigned int q = 0; q < n; q++) {
		for (unsigned int i = 0; i < l[q].n; i++)
			if (!l[q].slots[i].busy && prng(random) % 2)
				load_put(&l[q], i, prng(random) % 2, prng(random));
		load_send(&l[q]);
	}
	/* Half of the stops come before all has been taken. */
	if (prng(random) % 2)
		usleep(prng(random) % 8000);
}

/* What was taken and answered, and nothing else; returns how many are left in the rings. */
static unsigned int look_at_stopped(struct load *l, unsigned int n)
{
	const struct guest *g = &l->vq->dev->mem;
	struct snapshot s = snapshot_take(g->region[0].hva, g->region[0].used);
	unsigned int left = 0;

	for (unsigned int q = 0; q < n; q++) {
		load_collect(&l[q], VIRTIO_BLK_S_OK);
		check_eq((uint16_t)vq_get_base(l[q].vq), (uint16_t)l[q].done);
		left += l[q].sent - l[q].done;
	}
	snapshot_check(&s, 0, "the guest's memory after the stop");
	return left;
}

void loads_stop_at_random(struct load *l, const struct load_way *way, const char *path)
{
	const char *text = getenv("STOPS");
	unsigned long left = 0, stops = 0, wanted = text && *text ? strtoul(text, NULL, 10) : 0;
	struct vdev *dev = l->vq->dev;
	uint64_t end = now_ms() + stress_ms(3000), random = 42;

	while (wanted ? stops < wanted : stops < 30 && now_ms() < end) {
		random_round(l, way->queues, &random);
		vdev_stop(dev);
		left += look_at_stopped(l, way->queues);
		check(!dev->ops->attach(dev), "attach: %m");
		stops++;
	}
	loads_finish(l, way->queues);
	for (unsigned int q = 0; q < way->queues; q++)
		load_check_disk(&l[q], path);
	diag("%lu stops, %lu requests found in the ring", stops, left);
}

struct snapshot snapshot_take(const void *at, size_t len)
{
	struct snapshot s = { at, malloc(len), len };

	memcpy(s.copy, at, len);
	return s;
}

void snapshot_check(const struct snapshot *s, unsigned int ms, const char *what)
{
	sleep_ms(ms);
	check_same(s->at, s->copy, s->len, what);
	free(s->copy);
}

long pages_pinned(void)
{
	long sum = 0, value;
	char name[64];
	FILE *f = fopen("/proc/sys/vm/stat_refresh", "w");

	if (f) {
		fputs("1", f);
		fclose(f);
	}
	f = fopen("/proc/vmstat", "r");
	check(f, "/proc/vmstat: %m");
	while (fscanf(f, "%63s %ld", name, &value) == 2) {
		if (!strcmp(name, "nr_foll_pin_acquired"))
			sum += value;
		if (!strcmp(name, "nr_foll_pin_released"))
			sum -= value;
	}
	fclose(f);
	return sum;
}

int module_users(void)
{
	FILE *f = fopen("/sys/module/vhost_blk/refcnt", "r");
	int users = -1;

	check(f && fscanf(f, "%d", &users) == 1, "no reference count of vhost_blk: %m");
	fclose(f);
	return users;
}

void check_released(long pins, unsigned int ms)
{
	uint64_t end = now_ms() + patience(ms);

	while (module_users() || pages_pinned() != pins) {
		check(now_ms() < end, "after %u ms the module has %d users, %ld pages stay pinned",
		      ms, module_users(), pages_pinned() - pins);
		sleep_ms(20);
	}
}

void check_unpinned(long pins, unsigned int ms)
{
	uint64_t end = now_ms() + patience(ms);

	while (pages_pinned() != pins) {
		check(now_ms() < end, "after %u ms %ld pages stay pinned", ms,
		      pages_pinned() - pins);
		sleep_ms(20);
	}
}

const char *dm_name_of(const char *path)
{
	static char name[64];
	char attribute[96];

	snprintf(attribute, sizeof(attribute), "/sys/block/%s/dm/name", strrchr(path, '/') + 1);
	check(first_line(attribute, name, sizeof(name)), "%s: %m", attribute);
	return name;
}

void disk_suspend(const char *path)
{
	run_command("dmsetup --noudevsync suspend %s", dm_name_of(path));
}

void disk_resume(const char *path)
{
	run_command("dmsetup --noudevsync resume %s", dm_name_of(path));
}

void disk_resume_soon(const char *path)
{
	run_command("(sleep 0.5; dmsetup --noudevsync resume %s) &", dm_name_of(path));
}

void check_dm_is_free(const char *path)
{
	run_command("dmsetup --noudevsync remove %s", dm_name_of(path));
}

unsigned long pinned_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long kib = 0;
	char line[256];

	check(f, "/proc/self/status: %m");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPin: %lu", &kib) == 1)
			break;
	fclose(f);
	return kib;
}
