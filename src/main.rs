//! kryten-llm: see the library's documentation; everything is there.

use std::process::ExitCode;

fn main() -> ExitCode {
    kryten_llm::cli::main()
}
