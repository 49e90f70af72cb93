//! The `acsscan` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    acsscan::cli::main()
}
