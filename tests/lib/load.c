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

struct load load_new_at(struct vq *vq, unsigned int n, uint32_t bytes,
			unsigned int region, unsigned int offset)
{
	struct load l = { .vq = vq, .n = n, .bytes = bytes, .region = region,
			  .indirect = bytes > LOAD_SEGMENT };

	l.slots = calloc(n, sizeof(*l.slots));
	for (unsigned int i = 0; i < n; i++) {
		struct load_slot *s = &l.slots[i];

		s->gpa = guest_alloc_in(&vq->dev->mem, region, bytes, GUEST_PAGE, offset);
		s->meta = guest_alloc(&vq->dev->mem, BLK_HEADER + 1, 16);
		s->sector = ((uint64_t)vq->index * n + i) * (bytes / SECTOR);
	}
	return l;
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
	return guest_ptr(&l->vq->dev->mem, s->meta + BLK_HEADER, 1);
}

void load_put(struct load *l, unsigned int i, bool write, uint64_t seed)
{
	struct load_slot *s = &l->slots[i];
	struct virtio_blk_outhdr h = {
		.type = htole32(write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN),
		.sector = htole64(s->sector),
	};
	static struct seg segs[LOAD_SEGMENTS];
	unsigned int n = 0;
	uint32_t at, part;

	check(!s->busy, "the test uses a place twice");
	memcpy(guest_ptr(&l->vq->dev->mem, s->meta, BLK_HEADER), &h, BLK_HEADER);
	*load_status(l, s) = BLK_NO_STATUS;
	segs[n++] = (struct seg){ s->meta, BLK_HEADER, false };
	for (at = 0; at < l->bytes; at += part) {
		part = l->bytes - at < LOAD_SEGMENT ? l->bytes - at : LOAD_SEGMENT;
		segs[n++] = (struct seg){ s->gpa + at, part, !write };
	}
	segs[n++] = (struct seg){ s->meta + BLK_HEADER, 1, true };
	if (write) {
		fill(load_data(l, s), l->bytes, seed);
		s->on_disk = seed;
	} else {
		memset(load_data(l, s), BLK_UNTOUCHED, l->bytes);
	}
	s->write = write;
	s->busy = true;
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
	uint8_t got = *load_status(l, s);

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
