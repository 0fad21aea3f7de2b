# SPDX-License-Identifier: GPL-2.0
# vhost-storage: in-kernel virtio-blk and virtio-scsi backends. `make help`.

KDIR ?= /lib/modules/$(shell uname -r)/build
KERNEL ?= 6.12
TIME ?= 600
release = $(shell sed -n 's/^.define UTS_RELEASE "\(.*\)"/\1/p' \
	$(KDIR)/include/generated/utsrelease.h 2>/dev/null)

# The kernel's build writes beside the sources: it is given a tree of links.
# With COVERAGE=1 they count which of their lines are reached, for scripts/coverage.
out = $(CURDIR)/build/modules/$(release)$(if $(COVERAGE),-coverage)
gcov = $(if $(COVERAGE),GCOV_PROFILE=y CFLAGS_GCOV="-fprofile-arcs -ftest-coverage \
	-fno-tree-loop-im -fprofile-update=atomic")
tree = $(out)/tree
private = $(out)/private

Q = $(if $(V),,@)

.DEFAULT_GOAL := modules
.PHONY: help modules modules_install install demo check coverage mutate fuzz bench style clean

help: ## show this
	@sed -n 's/^\([a-z_]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 30
	@echo
	@echo '  KDIR=DIR    kernel headers to build for (default: the running kernel)'
	@echo '  KSRC=DIR    kernel source that has drivers/vhost/vhost.h (default: linux-source)'
	@echo '  DESTDIR=DIR with modules_install and install: a root other than /'
	@echo '  T=GROUP[/TEST]  with check: one group or one test'
	@echo '  KERNEL=V    with check: the kernel of the testbed (default: 6.12)'
	@echo '  DEBUG=1     with check and fuzz: the debug kernel (KASAN, lockdep, fault injection)'
	@echo '  FULL=1      with check: what a default run leaves out, too'
	@echo '  FIRST=1     with check: of tests that differ by a value only the first one'
	@echo '  STOP=1      with check: end at the first failure'
	@echo '  M=NAME      with mutate: one mutant'
	@echo '  TIME=S SEED=N   with fuzz: for how long (default: $(TIME)), and which requests'
	@echo '  QUICK=1     with bench: a few figures, in minutes'
	@echo '  V=1         show the commands'

modules: ## build vhost_storage.ko, vhost_blk.ko and vhost_scsi.ko for KDIR
	$(Q)scripts/private-vhost-h $(KDIR) $(private)
	$(Q)scripts/check-vhost-abi $(KDIR) $(private)
	$(Q)mkdir -p $(tree)
	$(Q)cp -rsf $(CURDIR)/Kbuild $(CURDIR)/drivers $(CURDIR)/include $(tree)
	$(Q)find $(tree) -xtype l -delete
	$(Q)$(MAKE) $(if $(V),,-s) -C $(KDIR) M=$(tree) VHOST_PRIVATE=$(private) W=1 $(gcov) modules
	$(Q)cp $(tree)/drivers/vhost/*/vhost_*.ko $(out)/

modules_install: modules ## install the modules under updates/ of KDIR's kernel
	$(Q)$(MAKE) -s -C $(KDIR) M=$(tree) VHOST_PRIVATE=$(private) INSTALL_MOD_DIR=updates \
		INSTALL_MOD_PATH=$(DESTDIR) modules_install

install: modules_install ## that, and what lets libvirt use vhost_blk: a udev rule, an AppArmor rule
	$(Q)install -Dm644 scripts/install.d/60-vhost-blk.rules \
		$(DESTDIR)/usr/lib/udev/rules.d/60-vhost-blk.rules
	$(Q)install -Dm644 scripts/install.d/apparmor-vhost-blk \
		$(DESTDIR)/etc/apparmor.d/abstractions/libvirt-qemu.d/vhost-blk

demo: ## set everything up, then show a guest using vhost_blk
	$(Q)scripts/demo

check: ## set everything up, then run the default tests; FULL=1: all there are
	$(Q)scripts/check --kernel $(KERNEL) $(if $(DEBUG),--debug) $(if $(FIRST),--first) \
		$(if $(FULL),--full) $(if $(STOP),--stop-at-first-failure) $(T)

coverage: ## which lines of the modules the tests reach, on the debug kernel: a table
	$(Q)scripts/coverage $(if $(FIRST),--first) $(T)

mutate: ## do the tests find bugs? Each mutant of tests/mutants, and the score
	$(Q)scripts/mutate $(M)

fuzz: ## give a device in the testbed random requests for TIME seconds
	$(Q)scripts/testbed run --kernel $(KERNEL) $(if $(DEBUG),--debug) --timeout $$(($(TIME) + 300)) -- \
		env FUZZ_TIME=$(TIME) FUZZ_SEED=$(SEED) TESTS_LIMIT=$$(($(TIME) + 120)) \
		/project/tests/run hostile/fuzz/longer

bench: ## measure vhost_blk beside its peers: table, plots, build/bench/latest.json
	$(Q)scripts/bench $(if $(QUICK),--quick)

clean: ## remove build/ (scripts/testbed clean: the cache too)
	$(Q)rm -rf build
