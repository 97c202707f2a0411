//! The binary `elevon`.

use std::process::ExitCode;

fn main() -> ExitCode {
    elevon::cli::run()
}
