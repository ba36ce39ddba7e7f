# make lab   opens the course in JupyterLab        make test   runs every test        (the first time: sets up .venv)
# Any POSIX system with Python 3.11 to 3.14; works with GNU make 3.81 (macOS). Without make: see README.md.

PY      = .venv/bin/python
PYTHONS = $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11
PYTEST  = $(PY) -m pytest $(ARGS)
# Tests run on all CPUs, each file or notebook on one of them.  WORKERS=0: one after the other
WORKERS = auto
SHARED  = -n $(WORKERS) --dist loadfile
NBVAL   = --nbval --nbval-current-env --nbval-cell-timeout=300 --nbval-kernel-startup-timeout=120 \
          --nbval-sanitize-with tests/nbval.cfg -p no:cacheprovider

.PHONY: help lab test test-units test-without-numba test-without-qemu test-notebooks notebooks bench peers soak soak-tests soak-machine \
        lint lock setup clean distclean

help:
	@echo 'make lab        open the course in JupyterLab'
	@echo 'make test       every test (ARGS="..." is passed on to pytest)'
	@echo 'make notebooks  execute all notebooks in place; running it twice gives the same bytes'
	@echo 'make bench      time what must be fast          make soak       the long tests'
	@echo 'make peers      what bench and tests compare with (needs a C compiler and the headers of Python)'
	@echo 'make lint       ruff, mypy, import arrows       make lock       pin versions anew (UPGRADE=1: to the newest)'
	@echo 'make clean      remove caches                   make distclean  remove .venv as well'

lab: setup
	@$(PY) -m virtlab.cli lab

.NOTPARALLEL:
test: test-units test-without-numba test-notebooks

# Coverage counts the unit tests, with and without numba (a compiled line is not seen); its gate is in pyproject.toml.
test-units: setup
	$(PYTEST) $(SHARED) --durations=10 --cov --cov-report= --cov-fail-under=0 tests

test-without-numba: setup
	VIRTLAB_NO_NUMBA=1 $(PYTEST) $(SHARED) -m kernels --cov --cov-append tests

test-notebooks: setup
	$(PYTEST) $(SHARED) --durations=10 $(NBVAL) notebooks

# As on a computer with nothing but Python: what needs QEMU, a compiler or a guest kernel skips, and notebooks show what
# was recorded. None of it may fail.
test-without-qemu: setup
	mkdir -p .venv/home
	env VIRTLAB_REQUIRE= PATH="$(CURDIR)/.venv/bin" HOME="$(CURDIR)/.venv/home" $(PYTEST) $(SHARED) tests/machine
	env VIRTLAB_REQUIRE= PATH="$(CURDIR)/.venv/bin" HOME="$(CURDIR)/.venv/home" $(PYTEST) $(SHARED) $(NBVAL) notebooks

notebooks: setup
	$(PY) tools/notebooks.py
	$(PY) tools/picture.py

bench: setup
	$(PY) bench/run.py $(ARGS)

# Not in the lock, since they must be compiled; without them their tests skip and bench says so.
peers: setup
	$(PY) -m pip install --quiet --require-hashes --no-deps -r bench/peers.txt

soak: soak-tests soak-machine

# What is marked soak, and every property test once more, with many examples that differ from night to night.
soak-tests: setup
	$(PYTEST) -m "soak or hypothesis" --hypothesis-profile=soak tests

# What drives QEMU, KVM or another process, twenty times: one failure in twenty is one too many.
soak-machine: setup
	for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do \
	  echo "machine tests, round $$n of 20"; $(PYTEST) -q -m machine tests/machine tests/virtio || exit 1; done

lint: setup
	$(PY) -m ruff check
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache

# The one set-up step. It costs a fraction of a second when nothing changed.
setup:
	@without=''; \
	for python in $(PYTHONS); do \
	  $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null || continue; \
	  if test -x $(PY) || $$python -c 'import ensurepip, venv' 2>/dev/null; then exec $$python tools/bootstrap.py; fi; \
	  without=$$python; \
	done; \
	if test -n "$$without"; then exec $$without tools/bootstrap.py; fi; \
	echo 'Python 3.11, 3.12, 3.13 or 3.14 is needed; none of these is one: $(strip $(PYTHONS))' >&2; \
	echo 'Install one, or name it: make $(firstword $(MAKECMDGOALS) lab) PYTHON=/path/to/python3' >&2; exit 1

# The only step that writes binder/requirements.txt, the pins of make, CI and Binder. Needs the network.
# uv does the work, as it can pin for Linux, macOS and Windows at once; where it is missing, pip fetches it for this.
define HEADER
make lock
#
# The one lock: make, CI and Binder all install exactly this file (Linux, macOS, Windows; Python 3.11 to 3.14).
# Do not edit it: change the ranges in pyproject.toml and run the command above (UPGRADE=1 for the newest versions).
endef
export HEADER

lock:
	@uv=uv; if ! command -v uv >/dev/null; then \
	  rm -rf .venv-lock && python3 -m venv .venv-lock && .venv-lock/bin/python -m pip install -q uv && uv=.venv-lock/bin/uv; fi && \
	$$uv pip compile pyproject.toml --extra fast --extra lab --extra cluster --extra test --extra build \
	  --universal --python-version 3.11 --generate-hashes --no-annotate --no-strip-extras --custom-compile-command "$$HEADER" \
	  $(if $(UPGRADE),--upgrade) --quiet -o binder/requirements.txt; \
	status=$$?; rm -rf .venv-lock; exit $$status

clean:
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache .coverage .coverage.* build dist .venv-lock
	find . -name .venv -prune -o -name .git -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv
