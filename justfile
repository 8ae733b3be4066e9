# Common tasks for contributors. `just` is optional: the recipes only call cargo and scripts.

# List the recipes
default:
    @just --list

# Install everything the checks need, then run them all (--full also publishes large third-party programs)
test *ARGS:
    scripts/test {{ ARGS }}

# Type-check everything for quick feedback
check:
    cargo check --all-targets

# Run the unit tests and the tests that do not need Docker
test-quick *FILTER:
    cargo test -- --test-threads=6 {{ FILTER }}

# Run the tests whose names contain FILTER: `just test-one plan::`
test-one FILTER *ARGS:
    cargo test --test it -- {{ FILTER }} {{ ARGS }}

# Run the tests that compile programs, or only those whose names contain FILTER: `just test-compiles compiles::bundles`
test-compiles FILTER='compiles::' *ARGS:
    cargo test --test it -- --ignored --test-threads=6 {{ FILTER }} {{ ARGS }}

# Run tests that need a Docker daemon, registries or QEMU: `just test-services services::examples::hello`
test-services FILTER *ARGS:
    scripts/with-services docker,classic-docker,registry,auth-registry,qemu -- cargo test --test it -- --ignored --test-threads=1 {{ FILTER }} {{ ARGS }}

# Test every linker with crates that contain C code, and compare the results with docs/c-dependencies.md
test-toolchains *CRATES:
    scripts/toolchain-matrix --check {{ CRATES }}

# Format the code
fmt:
    cargo fmt

# Run the linters: rustfmt, clippy, shellcheck, spelling and dependencies
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    scripts/lint

# Check licenses, sources and advisories of the dependencies (needs cargo-deny)
deny:
    cargo deny --locked check

# Write release archives to target/release-artifacts: `just release-artifacts x86_64-unknown-linux-musl`
release-artifacts *TRIPLES:
    scripts/release-artifacts {{ TRIPLES }}

# Run clippy for every supported host, or only for TRIPLES
check-hosts *TRIPLES:
    scripts/check-hosts {{ TRIPLES }}

# Compile with the oldest supported Rust version
check-msrv:
    scripts/check-msrv

# Build the API documentation
docs *ARGS:
    cargo doc --no-deps --document-private-items {{ ARGS }}

# Render the book to target/book and check its links
book:
    scripts/docs

# Run the tool: `just run plan -v --manifest-path examples/hello/Cargo.toml`
run *ARGS:
    cargo run -- multiarch {{ ARGS }}

# Publish an example to a local registry and run it on three architectures (--engine buildx, --quick)
demo *ARGS:
    scripts/demo {{ ARGS }}

# Run a benchmark: engine, verify or emulation (--quick only checks that the benchmark works)
bench BENCHMARK *ARGS:
    scripts/bench {{ BENCHMARK }} {{ ARGS }}

# Install what the tests need: `just setup docker registry` (`scripts/setup --help` lists the items)
setup *ITEMS:
    scripts/setup {{ ITEMS }}

# Run a command while services are up: `just with docker,registry env`
with SERVICES *COMMAND:
    scripts/with-services {{ SERVICES }} -- {{ COMMAND }}

# Update all generated files
update: update-schemas update-snapshots update-docs

# Update the JSON schemas in docs/
update-schemas:
    UPDATE_SCHEMAS=1 cargo test --lib schema

# Update the generated parts of README.md and the book: command output, configuration keys, docs/graph.svg
update-docs:
    UPDATE_DOCS=1 cargo test --test it docs::
    UPDATE_DOCS=1 scripts/with-services docker,registry,qemu -- cargo test --test it -- --ignored services::docs::output

# Update the picture in README.md
update-picture:
    scripts/picture

# Update the test snapshots (review them with `git diff`)
update-snapshots *FILTER:
    INSTA_UPDATE=always cargo test -- {{ FILTER }}

# Record cargo's output for failing builds in tests/fixtures/failures
update-build-failures *NAMES:
    scripts/record-build-failures {{ NAMES }}

# Test every linker with crates that contain C code, and print the table for docs/c-dependencies.md (takes an hour or two)
update-toolchains:
    scripts/toolchain-matrix

# Save screenshots of rendered graphs and timings pages in DIR
screenshots DIR:
    scripts/setup browser
    PICTURES={{ DIR }} cargo test --lib browser_tests -- --ignored
