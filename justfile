# Every task of a contributor to this project. `just` is optional: a recipe only calls cargo or a script.

# List the recipes
default:
    @just --list

# Run every check, and install what they need (--full also publishes large third-party programs)
test *ARGS:
    scripts/test {{ ARGS }}

# Type-check everything, the quickest feedback
check:
    cargo check --all-targets

# Run the unit tests and the tests that need no Docker
test-quick *FILTER:
    cargo test -- --test-threads=6 {{ FILTER }}

# Run the tests whose name contains FILTER, such as `just test-one plan::`
test-one FILTER *ARGS:
    cargo test --test it -- {{ FILTER }} {{ ARGS }}

# Run the tests that compile for real, or those whose name contains FILTER, such as `just test-compiles compiles::bundles`
test-compiles FILTER='compiles::' *ARGS:
    cargo test --test it -- --ignored --test-threads=6 {{ FILTER }} {{ ARGS }}

# Run tests with a real Docker daemon, registries and QEMU, such as `just test-services services::examples::hello`
test-services FILTER *ARGS:
    scripts/with-services docker,classic-docker,registry,auth-registry,qemu -- cargo test --test it -- --ignored --test-threads=1 {{ FILTER }} {{ ARGS }}

# Compile C crates with every linker, and compare the result with docs/toolchains.md
test-toolchains *CRATES:
    scripts/toolchain-matrix --check {{ CRATES }}

# Format the code
fmt:
    cargo fmt

# Run the linters: rustfmt, clippy and shellcheck
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    shellcheck scripts/* .ci/run examples/workspace/docker/entrypoint.sh

# Build the API documentation
docs *ARGS:
    cargo doc --no-deps --document-private-items {{ ARGS }}

# Run the tool, such as `just run plan -v --manifest-path examples/hello/Cargo.toml`
run *ARGS:
    cargo run -- multiarch {{ ARGS }}

# Publish an example to a registry on loopback and run it on three architectures (--engine buildx, --quick)
demo *ARGS:
    scripts/demo {{ ARGS }}

# Run a benchmark: engine, verify or emulation (--quick only checks that it works)
bench BENCHMARK *ARGS:
    scripts/bench {{ BENCHMARK }} {{ ARGS }}

# Install what tests need, such as `just setup docker registry` (`scripts/setup --help` lists the items)
setup *ITEMS:
    scripts/setup {{ ITEMS }}

# Run a command with services, such as `just with docker,registry env`
with SERVICES *COMMAND:
    scripts/with-services {{ SERVICES }} -- {{ COMMAND }}

# Update everything that is generated from the code
update: update-schemas update-readme update-snapshots

# Update the JSON schemas in docs/
update-schemas:
    UPDATE_SCHEMAS=1 cargo test --lib schema

# Update README's table of keys and docs/graph.svg
update-readme:
    UPDATE_README=1 UPDATE_GRAPH=1 cargo test --test it readme

# Update the snapshots of what users read (review them with `git diff`)
update-snapshots *FILTER:
    INSTA_UPDATE=always cargo test -- {{ FILTER }}

# Record cargo's output for builds that fail, in tests/fixtures/failures
update-build-failures *NAMES:
    scripts/record-build-failures {{ NAMES }}

# Print the table of docs/toolchains.md, from real builds that run under QEMU (takes an hour or two)
update-toolchains:
    scripts/toolchain-matrix

# Keep screenshots of rendered graphs and timings in DIR
screenshots DIR:
    scripts/setup browser
    PICTURES={{ DIR }} cargo test --lib browser_tests -- --ignored
