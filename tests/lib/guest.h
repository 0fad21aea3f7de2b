/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory of a guest that is not there: regions with guest physical
 * addresses, backed by memfds that lie elsewhere in this process.
 */
#ifndef TESTS_GUEST_H
#define TESTS_GUEST_H

#include <stddef.h>
#include <stdint.h>

#define GUEST_REGIONS 64
#define GUEST_PAGE 4096
#define HUGE_PAGE (2ul << 20)

/* Where the first region is put, unless a test says otherwise. */
#define GUEST_BASE 0x40000000ull

struct guest_region {
	uint64_t gpa;
	uint64_t size;
	void *hva;
	/* Of the memfd, or -1. */
	int fd;
	/* Bump allocator: what lies below is given out. */
	uint64_t used;
};

struct guest {
	struct guest_region region[GUEST_REGIONS];
	unsigned int nregions;
};

/* Adds a region, returns its index. */
unsigned int guest_add(struct guest *g, uint64_t gpa, uint64_t size);

/* Adds one that shows other pages, at hva, which may be another region's. */
unsigned int guest_add_at(struct guest *g, uint64_t gpa, uint64_t size, void *hva);

/*
 * Memory for guest_add_at(): private, in transparent huge pages, each byte of it this one. As
 * QEMU has a guest's it is when the caller has kept it from children, too (MADV_DONTFORK).
 */
void *huge_memory(size_t size, unsigned char byte);

/* Gives size bytes of the first region, at an address that is align * n. */
uint64_t guest_alloc(struct guest *g, uint64_t size, uint64_t align);

/* The same of a region, and offset bytes past an aligned address. */
uint64_t guest_alloc_in(struct guest *g, unsigned int region, uint64_t size,
			uint64_t align, uint64_t offset);

/* What was given out of the first region since the mark is free again. */
uint64_t guest_mark(const struct guest *g);
void guest_release(struct guest *g, uint64_t mark);

/* The bytes at a guest address; the test fails if they are not all there. */
void *guest_ptr(const struct guest *g, uint64_t gpa, uint64_t len);

#endif
