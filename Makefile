# Builds fleetlab and its guest programs below build/, out of the tree. See 'make help'.
#   SANITIZE=1  address and undefined-behaviour sanitizers (its own directory below build/)

ifeq ($(MAKELEVEL),0)
MAKEFLAGS += --jobs=$(shell nproc)
endif

VERSION  := 0.1.0
COMMIT   := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
PREFIX   ?= /usr/local
DESTDIR  ?=
UNITDIR  ?= $(PREFIX)/lib/systemd/system
SANITIZE ?= 0
B        := build/$(if $(filter 1,$(SANITIZE)),sanitize,release)

PACKAGES := libvirt libvirt-qemu jansson hwloc gsl libxxhash glib-2.0 sqlite3 libarchive libmicrohttpd zlib
ifneq ($(MAKECMDGOALS),help)
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES))
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES))
endif

# Commands are shown short; V=1 shows them whole.
Q     := $(if $(filter 1,$(V)),,@)
brief  = $(if $(filter 1,$(V)),,@printf '  %-5s %s\n' '$(1)' '$(2)')

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
# Sanitizers find at -O1 what they find at -O2, and compile in half the time.
CFLAGS   ?= $(if $(filter 1,$(SANITIZE)),-O1,-O2) -g
CPPFLAGS += -I. -D_GNU_SOURCE -MMD -MP
ALL_CFLAGS = -std=gnu17 $(WARNINGS) $(CFLAGS) $(if $(filter 1,$(SANITIZE)),$(SAN_FLAGS)) $(PKG_CFLAGS)
SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LIBS      = $(PKG_LIBS) -lpthread -lm
# A hundred test programs are linked in half the time by gold, where there is one.
TEST_LDFLAGS := $(if $(shell command -v ld.gold),-fuse-ld=gold)

SOURCES  := $(filter-out harness/main.c,$(shell find harness mechanisms workloads/host dashboard/server -name '*.c' -not -path '*/test/*' 2>/dev/null | sort))
OBJECTS  := $(SOURCES:%.c=$(B)/%.o) $(B)/harness/base/embedded_files.o
# Without sanitizers: L1 guests lack their libraries, and their allocator can hang in a process that was
# forked from one with threads, as movers are (glibc's does not).
RELEASE_TESTS := harness/fleet/test/test_nested_kills.c harness/fleet/test/test_peer_moves.c
TESTS    := $(filter-out $(if $(filter 1,$(SANITIZE)),$(RELEASE_TESTS)),$(shell \
		find harness mechanisms workloads dashboard/server -path '*/test/test_*.c' | sort))
TESTBINS := $(TESTS:%.c=$(B)/%)
UNITS    := $(wildcard ci/systemd/*.service ci/systemd/*.timer)
PAPERS   := $(wildcard results/papers/*.json)

# The guest program runs inside guests: static, and built without sanitizers and without the harness.
GUEST_SOURCES := $(shell find workloads/guest workloads/shm -name '*.c' -not -path '*/test/*' | sort)
GUEST_CFLAGS  := -std=gnu17 $(WARNINGS) -Os -g0 -ffunction-sections -fdata-sections \
		 -DGUEST_VERSION='"$(VERSION)"'
GUEST         := build/guest/fleetlab-guest

.PHONY: all reproduce test unit-test release-test bench lint install clean help
all: $(B)/fleetlab

$(B)/fleetlab: $(B)/harness/main.o $(B)/libfleetlab.a
	$(call brief,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/libfleetlab.a: $(OBJECTS)
	@rm -f $@
	$(call brief,AR,$@)
	$(Q)$(AR) rcs $@ $^

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call brief,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# The dashboard's pages: bundled by esbuild from pinned npm packages (dashboard/web), embedded below.
WEB         := build/web/files.S
WEB_MODULES := dashboard/web/node_modules/.package-lock.json
.PHONY: web
web: $(WEB)
$(WEB): $(shell find dashboard/web/src -type f 2>/dev/null) dashboard/web/build.js $(WEB_MODULES)
	$(call brief,WEB,build/web)
	$(Q)node dashboard/web/build.js build/web

$(WEB_MODULES): dashboard/web/package-lock.json
	@command -v npm >/dev/null || { echo 'npm is missing, which builds the pages. Try: ci/with-deps make' >&2; exit 1; }
	$(call brief,NPM,$(@D))
	$(Q)npm ci --prefix dashboard/web --prefer-offline --no-progress --loglevel=error >/dev/null
	@touch $@

# What is compiled into the binary: the guest program, the papers' published values, the pages.
$(B)/harness/base/embedded_files.o: harness/base/embedded.S $(GUEST) $(PAPERS) $(WEB) $(wildcard workloads/tiny-init/* results/schema/* harness/report/*.html)
	@mkdir -p $(@D)
	$(call brief,AS,$<)
	$(Q)$(CC) -I. -c -o $@ $<

$(B)/harness/base/version.o: CPPFLAGS += -DFLEETLAB_VERSION='"$(VERSION)"' -DFLEETLAB_COMMIT='"$(COMMIT)"'
$(B)/harness/base/version.o: $(B)/commit
$(B)/commit: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION) $(COMMIT)' | cmp -s - $@ || echo '$(VERSION) $(COMMIT)' >$@
.PHONY: FORCE
FORCE:

$(GUEST): $(GUEST_SOURCES:%.c=build/guest/%.o)
	$(call brief,LD,$@)
	$(Q)$(CC) -static -Wl,--gc-sections -s -o $@ $^ -lpthread -lm

build/guest/%.o: %.c
	@mkdir -p $(@D)
	$(call brief,CC,$<)
	$(Q)$(CC) -I. -D_GNU_SOURCE -MMD -MP $(GUEST_CFLAGS) -c -o $@ $<

$(B)/%: %.c $(B)/libfleetlab.a
	@mkdir -p $(@D)
	$(call brief,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) $(TEST_LDFLAGS) -o $@ $< $(B)/libfleetlab.a $(LIBS) -lcmocka

# The guest library's tests need nothing of the harness; some run the guest program as processes.
SHM_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard workloads/shm/*.c))
$(filter-out $(B)/workloads/host/%,$(filter $(B)/workloads/%,$(TESTBINS))): $(B)/%: %.c $(SHM_OBJECTS) $(GUEST)
	@mkdir -p $(@D)
	$(call brief,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) -DGUEST='"$(abspath $(GUEST))"' $(ALL_CFLAGS) $(LDFLAGS) $(TEST_LDFLAGS) -o $@ $< $(SHM_OBJECTS) -lpthread -lcmocka

# In L1 guests the tests' own program would lack libraries.
$(B)/harness/fleet/test/test_nested_kills: $(B)/fleetlab
$(B)/harness/fleet/test/% $(B)/mechanisms/zerocopy/test/test_live_peer: CPPFLAGS += -DFLEETLAB='"$(abspath $(B)/fleetlab)"'
$(B)/mechanisms/zerocopy/test/test_live_peer: $(B)/fleetlab

# Clients of guests are tested with the guest program as a process.
$(B)/workloads/host/test/%: CPPFLAGS += -DGUEST='"$(abspath $(GUEST))"'

reproduce: all
	ci/reproduce $(B)/fleetlab

unit-test: $(TESTBINS)
	+ci/run-unit-tests $(TESTBINS)

release-test: $(RELEASE_TESTS:%.c=$(B)/%)
	+ci/run-unit-tests $^

test: all
	+ci/run-tests $(if $(filter 1,$(SANITIZE)),--unit-only)

bench: all
	ci/bench $(B)/fleetlab

lint:
	ci/lint

install: all
	install -D -m 755 $(B)/fleetlab $(DESTDIR)$(PREFIX)/bin/fleetlab
	install -D -m 644 man/fleetlab.1 $(DESTDIR)$(PREFIX)/share/man/man1/fleetlab.1
	install -D -m 644 ci/fleetlab.bash-completion $(DESTDIR)$(PREFIX)/share/bash-completion/completions/fleetlab
	install -d $(DESTDIR)$(UNITDIR)
	for unit in $(notdir $(UNITS)); do \
		sed 's|@PREFIX@|$(PREFIX)|' ci/systemd/$$unit >$(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
	done

clean:
	rm -rf build

help:
	@echo 'make            build $(B)/fleetlab'
	@echo 'make reproduce  build, make the guest images, run the quick profile, print the tables'
	@echo 'make test       all tests, on real guests (SANITIZE=1: the unit tests under ASan and UBSan)'
	@echo 'make bench      time to ready, memory per clone, and what else is measured about fleetlab itself'
	@echo 'make lint       formatting and static analysis'
	@echo 'make install    PREFIX=$(PREFIX), DESTDIR=, UNITDIR=$(UNITDIR)'
	@echo 'make clean      remove build/'

-include $(shell find build -name '*.d' 2>/dev/null)
