# The recipes that developers and CI share. `just` lists them.

python := env("PYTHON", "python")
workers := env("SFAL_TEST_WORKERS", "auto")

_list:
    @just --list --unsorted

# Build the extension into the current environment, for development
develop:
    maturin develop --release

# All tests: Rust, Python, and the type stub against the built module
test: test-rust test-python stubs

test-rust:
    cargo test --quiet

# In as many processes as there are cores; `just test-python -n 0 tests/io` or SFAL_TEST_WORKERS=0: in one
test-python *args:
    {{python}} -m pytest -q -n {{workers}} {{args}}

# Python tests with the share of lines that they reach; tests that kill leave no record
coverage *args:
    {{python}} -m pytest -q -n {{workers}} --cov --cov-report=term {{args}}

# Workers that are killed, nodes that are lost: the tests that take minutes; KILLS of worker processes
test-workers kills="20":
    SFAL_WORKER_KILLS={{kills}} {{python}} -m pytest -q --heavy -m heavy --timeout 3600

# Check the hand-written stub against the compiled module
stubs:
    {{python}} -m mypy.stubtest sfal._core

# Formatting, lints, types, import layers
lint:
    cargo fmt --check
    cargo clippy --quiet --all-targets -- -D warnings
    cargo clippy --quiet --all-targets --features python -- -D warnings
    {{python}} -m ruff format --check .
    {{python}} -m ruff check .
    {{python}} -m mypy
    lint-imports
    typos

# Build the documentation into site/; a warning is an error
docs *args:
    NO_MKDOCS_2_WARNING=1 {{python}} -m mkdocs build --quiet --strict {{args}}

# Damaged files for every reader, as long as SECONDS each; the usual test gives each a few hundred
fuzz seconds="60":
    SFAL_FUZZ_SECONDS={{seconds}} {{python}} -m pytest -q tests/fuzz --timeout 7200

# Fuzz the Rust core with cargo-fuzz on a nightly compiler; targets: windows, counts
fuzz-core target="windows" seconds="240":
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}} -max_len=4096

# Run the Rust tests under AddressSanitizer, on a nightly compiler for Linux
sanitize:
    RUSTFLAGS=-Zsanitizer=address cargo +nightly test --target x86_64-unknown-linux-gnu --target-dir target/sanitized --lib --tests

# Rewrite sources the way `lint` wants them
fix:
    cargo fmt
    {{python}} -m ruff format .
    {{python}} -m ruff check --fix .

# Run the kernel benchmarks; benches/README.md lists the Python ones
bench *args:
    cargo bench {{args}}

# Wheels for Linux and the source distribution in dist/, built with zig, audited, and used without Rust
wheels out="dist":
    .ci/wheels {{out}}
