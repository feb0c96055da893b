# The recipes; every one of them is a command that also works without `just`.

# Lists the recipes.
default:
    @just --list

# Shows it alive: a server, a receiver and some forty calls on a throw-away folder.
demo:
    cargo run --release -- demo

# Runs the server on ./callhook-data.
run *FLAGS:
    cargo run --release -- serve {{FLAGS}}

# Installs what the tests need and passes them all: what continuous integration runs.
check:
    scripts/test

# Runs the crates' tests whose names match.
test *FILTER:
    cargo nextest run --workspace {{FILTER}}

# Runs many more worlds of the schedule's simulation than the tests do.
simulate SEEDS='100000':
    CALLHOOK_SIM_SEEDS={{SEEDS}} cargo test --release -p delivery --test simulation

# Measures callhook against the bare pipeline; nothing else should run meanwhile.
bench *SCENARIOS:
    scripts/bench {{SCENARIOS}}

# Writes the golden files anew (OpenAPI, payload schema, help); look at the difference before you commit it.
bless:
    CALLHOOK_BLESS=1 cargo nextest run --workspace golden
