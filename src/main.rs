//! The binary `elevon`.

use std::process::ExitCode;

/// Chosen by measurement (docs/performance.md): a check makes and drops some dozens of small things.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    elevon::cli::run()
}
