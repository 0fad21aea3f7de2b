// SPDX-License-Identifier: GPL-2.0
/* A guest's memory as it must be: see memory_model.h. */
#include <stdlib.h>
#include <string.h>

#include "memory_model.h"
#include "verdict.h"

#define STRETCH_SHIFT 16

void memory_init(struct memory_model *m, const struct guest *guest)
{
	*m = (struct memory_model){ .guest = guest };
}

void memory_free(struct memory_model *m)
{
	for (unsigned int i = 0; i < GUEST_REGIONS; i++)
		free(m->was[i]);
}

void memory_track(struct memory_model *m, unsigned int region)
{
	m->was[region] = malloc(m->guest->region[region].size);
	memory_accept_region(m, region);
}

static bool region_has(const struct guest_region *r, uint64_t gpa)
{
	return gpa >= r->gpa && gpa - r->gpa < r->size;
}

/* GUEST_REGIONS: there is none. */
static unsigned int find_region(struct memory_model *m, uint64_t gpa)
{
	const struct guest *g = m->guest;
	uint8_t *hint = &m->hint[(gpa >> STRETCH_SHIFT) % 64];

	if (region_has(&g->region[*hint], gpa))
		return *hint;
	for (unsigned int i = 0; i < g->nregions; i++) {
		if (region_has(&g->region[i], gpa)) {
			*hint = i;
			return i;
		}
	}
	return GUEST_REGIONS;
}

int memory_map(struct memory_model *m, uint64_t gpa, uint32_t len, struct memory_piece *to,
	       unsigned int max)
{
	const struct guest_region *r;
	unsigned int n, region;
	uint64_t at, part;

	for (n = 0; len; n++, gpa += part, len -= part) {
		region = find_region(m, gpa);
		if (n == max || region == GUEST_REGIONS)
			return -1;
		r = &m->guest->region[region];
		at = gpa - r->gpa;
		part = r->size - at < len ? r->size - at : len;
		to[n].now = (unsigned char *)r->hva + at;
		to[n].was = m->was[region] ? m->was[region] + at : NULL;
		to[n].len = part;
	}
	return n;
}

bool memory_read(struct memory_model *m, uint64_t gpa, void *to, uint32_t len)
{
	struct memory_piece piece[2];
	unsigned char *p = to;
	int n = memory_map(m, gpa, len, piece, 2);

	for (int i = 0; i < n; p += piece[i].len, i++)
		memcpy(p, piece[i].now, piece[i].len);
	return n >= 0;
}

uint64_t memory_stretches(uint64_t gpa, uint32_t len)
{
	uint64_t mask = 0, first = gpa >> STRETCH_SHIFT, last;

	if (!len)
		return 0;
	last = (gpa + len - 1) >> STRETCH_SHIFT;
	if (last - first >= 63)
		return UINT64_MAX;
	for (; first <= last; first++)
		mask |= 1ull << first % 64;
	return mask;
}

static const char *check_region(const struct guest_region *r, const unsigned char *was)
{
	const unsigned char *now = r->hva;
	uint64_t i;

	if (!memcmp(now, was, r->size))
		return NULL;
	for (i = 0; now[i] == was[i]; i++)
		;
	return wrong("memory at 0x%llx, not offered for writing, is %02x and was %02x",
		     (unsigned long long)(r->gpa + i), now[i], was[i]);
}

const char *memory_check(const struct memory_model *m)
{
	const char *w;

	for (unsigned int i = 0; i < m->guest->nregions; i++) {
		w = m->was[i] ? check_region(&m->guest->region[i], m->was[i]) : NULL;
		if (w)
			return w;
	}
	return NULL;
}

void memory_accept(const struct memory_piece *piece)
{
	if (piece->was)
		memcpy(piece->was, piece->now, piece->len);
}

void memory_accept_range(struct memory_model *m, uint64_t gpa, uint32_t len)
{
	struct memory_piece piece;

	if (memory_map(m, gpa, len, &piece, 1) > 0)
		memory_accept(&piece);
}

void memory_accept_region(struct memory_model *m, unsigned int region)
{
	const struct guest_region *r = &m->guest->region[region];

	memcpy(m->was[region], r->hva, r->size);
}
