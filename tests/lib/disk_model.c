// SPDX-License-Identifier: GPL-2.0
/* What a disk may hold: see disk_model.h. */
#include <stdlib.h>
#include <string.h>

#include "disk_model.h"
#include "verdict.h"

#define NEVER UINT64_MAX

struct disk_version {
	struct disk_version *next;
	/* Who writes it, until it has. */
	const void *owner;
	uint64_t begun, ended;
	/* Reads that begin from then on must not see it. */
	uint64_t dead;
	enum disk_op op;
	/* Of a DISK_WRITE only. */
	unsigned char bytes[];
};

static const unsigned char zeroes[DISK_SECTOR];

void disk_init(struct disk_model *d, const void *initial, uint64_t sectors)
{
	*d = (struct disk_model){ .sectors = sectors, .initial = initial };
	d->versions = calloc(sectors, sizeof(*d->versions));
}

static void drop_all(struct disk_version **at)
{
	struct disk_version *v;

	while ((v = *at)) {
		*at = v->next;
		free(v);
	}
}

void disk_free(struct disk_model *d)
{
	for (uint64_t s = 0; s < d->sectors; s++)
		drop_all(&d->versions[s]);
	free(d->versions);
}

uint64_t disk_tick(struct disk_model *d)
{
	return ++d->clock;
}

void disk_idle(struct disk_model *d)
{
	d->floor = d->clock;
}

static bool is_version(const struct disk_version *v, const void *bytes)
{
	if (v->op == DISK_ANYTHING)
		return true;
	return !memcmp(bytes, v->op == DISK_WRITE ? v->bytes : zeroes, DISK_SECTOR);
}

static struct disk_version *add(struct disk_model *d, uint64_t sector, enum disk_op op,
				const void *bytes)
{
	size_t len = op == DISK_WRITE ? DISK_SECTOR : 0;
	struct disk_version *v = malloc(sizeof(*v) + len);

	v->owner = NULL;
	v->begun = v->ended = 0;
	v->dead = NEVER;
	v->op = op;
	if (len)
		memcpy(v->bytes, bytes, len);
	v->next = d->versions[sector];
	d->versions[sector] = v;
	return v;
}

/* Frees those that no read may see any more. */
static void prune(struct disk_model *d, uint64_t sector)
{
	struct disk_version **at = &d->versions[sector], *v;

	while ((v = *at)) {
		if (v->dead > d->floor) {
			at = &v->next;
			continue;
		}
		*at = v->next;
		free(v);
	}
}

void disk_begin(struct disk_model *d, const void *owner, enum disk_op op, uint64_t sector,
		const void *bytes)
{
	struct disk_version *v;

	if (!d->versions[sector])
		add(d, sector, DISK_WRITE, d->initial + sector * DISK_SECTOR);
	else
		prune(d, sector);
	v = add(d, sector, op, bytes);
	v->owner = owner;
	v->begun = d->clock;
	v->ended = NEVER;
}

static struct disk_version *version_of(const struct disk_model *d, const void *owner,
				       uint64_t sector)
{
	struct disk_version *v = d->versions[sector];

	while (v->owner != owner)
		v = v->next;
	return v;
}

void disk_end(struct disk_model *d, const void *owner, uint64_t sector, bool done)
{
	struct disk_version *v = version_of(d, owner, sector), *other;

	v->owner = NULL;
	v->ended = d->clock;
	if (!done || v->op == DISK_DISCARD)
		return;
	for (other = d->versions[sector]; other; other = other->next)
		if (other->ended <= v->begun && other->dead > d->clock)
			other->dead = d->clock;
	prune(d, sector);
}

void disk_forget(struct disk_model *d, const void *owner, uint64_t sector)
{
	version_of(d, owner, sector)->op = DISK_ANYTHING;
}

void disk_put(struct disk_model *d, uint64_t sector, const void *bytes)
{
	drop_all(&d->versions[sector]);
	add(d, sector, DISK_WRITE, bytes);
}

bool disk_may_read(const struct disk_model *d, uint64_t sector, const void *bytes,
		   uint64_t since)
{
	const struct disk_version *v = d->versions[sector];

	if (!v)
		return !memcmp(bytes, d->initial + sector * DISK_SECTOR, DISK_SECTOR);
	for (; v; v = v->next)
		if (v->dead > since && is_version(v, bytes))
			return true;
	return false;
}

/* Has any version of a sector these bytes? */
static bool has_version(const struct disk_model *d, uint64_t sector, const void *bytes)
{
	const struct disk_version *v = d->versions[sector];

	if (!v)
		return !memcmp(bytes, d->initial + sector * DISK_SECTOR, DISK_SECTOR);
	for (; v; v = v->next)
		if (v->op != DISK_ANYTHING && is_version(v, bytes))
			return true;
	return false;
}

/* The next one that has these bytes, or the number of all. */
static uint64_t nearest(const struct disk_model *d, uint64_t sector, const void *bytes)
{
	for (uint64_t i = 1; i < d->sectors; i++) {
		if (sector + i < d->sectors && has_version(d, sector + i, bytes))
			return sector + i;
		if (sector >= i && has_version(d, sector - i, bytes))
			return sector - i;
	}
	return d->sectors;
}

const char *disk_explain(const struct disk_model *d, uint64_t sector, const void *bytes)
{
	unsigned long long at = sector, other;

	if (has_version(d, sector, bytes))
		return wrong("sector %llu is as it was before a write that has ended", at);
	if (!memcmp(bytes, zeroes, DISK_SECTOR))
		return wrong("sector %llu is zeroes, and was never that", at);
	if (!memcmp(bytes, d->initial + sector * DISK_SECTOR, DISK_SECTOR))
		return wrong("sector %llu is as it was at first", at);
	other = nearest(d, sector, bytes);
	if (other < d->sectors)
		return wrong("sector %llu is what sector %llu may be, and was never that", at,
			     other);
	return wrong("sector %llu was never that", at);
}

/* Is there but one thing that it can be? */
static bool is_settled(const struct disk_model *d, uint64_t sector)
{
	const struct disk_version *v = d->versions[sector];

	return !v || (!v->next && v->op != DISK_ANYTHING);
}

const char *disk_read_back(struct disk_model *d, uint64_t sector, uint64_t n,
			   const unsigned char *bytes)
{
	for (uint64_t s = sector; s < sector + n; s++, bytes += DISK_SECTOR) {
		if (!disk_may_read(d, s, bytes, d->clock))
			return disk_explain(d, s, bytes);
		if (!is_settled(d, s))
			disk_put(d, s, bytes);
	}
	return NULL;
}
