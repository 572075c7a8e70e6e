# The front door. `make demo` and `make test` need nothing but a fresh Debian 12 or 13 with git and make.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
CMAKE := cmake -G Ninja --log-level=WARNING

.PHONY: all bootstrap program build demo test check-quick asan tsan fuzz-smoke fuzz soak lint format bench docs clean

all: program

# What the tests need, which is more than the program does.
bootstrap:
	@scripts/bootstrap test

program:
	@scripts/bootstrap build
	@$(CMAKE) -S . -B build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCHARTLINE_TESTS=OFF >/dev/null
	@ninja -C build -j $(JOBS) --quiet

build: bootstrap
	@$(CMAKE) -S . -B build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCHARTLINE_TESTS=ON >/dev/null
	@ninja -C build -j $(JOBS) --quiet

demo: program
	@scripts/demo

test: bootstrap
	@scripts/test

check-quick: build lint
	@ctest --test-dir build -L unit -j $(JOBS) --output-on-failure --no-tests=error -Q && echo "unit tests passed"

asan: bootstrap
	@$(CMAKE) -S . -B build-asan -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang -DCHARTLINE_WERROR=ON \
	  -DCHARTLINE_SANITIZE=address,undefined >/dev/null
	@ninja -C build-asan -j $(JOBS) --quiet
	@ctest --test-dir build-asan -L 'unit|fuzz' -j $(JOBS) --output-on-failure --no-tests=error
	@ctest --test-dir build-asan -R 'fault_(message|timeline|parts|request|config|commit|log)' -j $(JOBS) --output-on-failure --no-tests=error

tsan: bootstrap
	@$(CMAKE) -S . -B build-tsan -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang -DCHARTLINE_SANITIZE=thread >/dev/null
	@ninja -C build-tsan -j $(JOBS) --quiet
	@ctest --test-dir build-tsan -L 'unit|integration' --output-on-failure --no-tests=error
	@TSAN_OPTIONS="suppressions='$(CURDIR)/tests/tsan.supp'" CHARTLINE=$(CURDIR)/build-tsan/chartline \
	  python3 tests/e2e/reads_test.py two_hundred_readers_at_once_are_all_served a_stop_under_load_loses_nothing
	@TSAN_OPTIONS="suppressions='$(CURDIR)/tests/tsan.supp'" CHARTLINE=$(CURDIR)/build-tsan/chartline \
	  python3 tests/e2e/ops_test.py reloads_under_load_lose_nothing pausing_under_load_loses_nothing

# FUZZ_SECONDS a target; `make fuzz` is the long one.
FUZZ_SECONDS ?= 10
fuzz-smoke: bootstrap
	@$(CMAKE) -S . -B build-fuzz -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang -DCHARTLINE_FUZZ=ON \
	  -DCHARTLINE_SANITIZE=address,undefined >/dev/null
	@ninja -C build-fuzz -j $(JOBS) --quiet
	@scripts/fuzz build-fuzz $(FUZZ_SECONDS)

fuzz:
	@FUZZ_SEED=0 $(MAKE) --no-print-directory fuzz-smoke FUZZ_SECONDS=3600

# What `make test` does for minutes, for longer. CHARTLINE_SEED repeats a run.
soak: build
	@CHARTLINE_KILLS=$${CHARTLINE_KILLS:-1000} python3 tests/e2e/kill_test.py

lint: bootstrap
	@scripts/lint

format:
	@git ls-files '*.c' '*.h' | grep -v '\.def$$' | xargs clang-format -i

bench: bootstrap
	@scripts/bench

docs: build
	@scripts/docs

clean:
	@rm -rf build build-dev build-asan build-tsan build-fuzz build-clang
