// SPDX-License-Identifier: GPL-2.0
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "tap.h"

unsigned int guest_add_at(struct guest *g, uint64_t gpa, uint64_t size, void *hva)
{
	struct guest_region *r = &g->region[g->nregions];

	check(g->nregions < GUEST_REGIONS, "more than %d regions", GUEST_REGIONS);
	*r = (struct guest_region){ .gpa = gpa, .size = size, .hva = hva,
				     .fd = -1 };
	return g->nregions++;
}

unsigned int guest_add(struct guest *g, uint64_t gpa, uint64_t size)
{
	int fd = check_ok(memfd_create("guest", MFD_CLOEXEC));
	unsigned int n;
	void *hva;

	check_ok(ftruncate(fd, size));
	hva = check_ok(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	n = guest_add_at(g, gpa, size, hva);
	g->region[n].fd = fd;
	return n;
}

void *huge_memory(size_t size, unsigned char byte)
{
	char *p = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED, "mmap: %m");
	p += -(unsigned long)p % HUGE_PAGE;
	check(!madvise(p, size, MADV_HUGEPAGE), "madvise: %m");
	memset(p, byte, size);
	return p;
}

uint64_t guest_alloc_in(struct guest *g, unsigned int region, uint64_t size,
			uint64_t align, uint64_t offset)
{
	struct guest_region *r = &g->region[region];
	uint64_t addr = r->gpa + r->used;

	addr = (addr + align - 1) / align * align + offset;
	check(addr + size <= r->gpa + r->size, "guest memory is used up");
	r->used = addr + size - r->gpa;
	return addr;
}

uint64_t guest_alloc(struct guest *g, uint64_t size, uint64_t align)
{
	return guest_alloc_in(g, 0, size, align, 0);
}

uint64_t guest_mark(const struct guest *g)
{
	return g->region[0].used;
}

void guest_release(struct guest *g, uint64_t mark)
{
	g->region[0].used = mark;
}

void *guest_ptr(const struct guest *g, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < g->nregions; i++) {
		const struct guest_region *r = &g->region[i];

		if (gpa >= r->gpa && gpa - r->gpa <= r->size &&
		    len <= r->size - (gpa - r->gpa))
			return (char *)r->hva + (gpa - r->gpa);
	}
	fail("no guest memory at 0x%llx, %llu bytes", (unsigned long long)gpa,
	     (unsigned long long)len);
}
