//! Without a command: the service itself.

use std::process::ExitCode;

use tracing::{error, info, warn};

use super::{exit, logging};
use crate::bus::link::LinkFailure;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::service::{self, ServiceError};
use crate::settings::Source;

/// One thread works, the other answers for it.
const WORKER_THREADS: usize = 2;

/// Runs the service to its end.
pub fn run(source: Source) -> ExitCode {
    let clock = Clock::start();
    let Loaded { config, warnings, .. } = &source.loaded;
    let _summaries = logging::start(config);
    info!(version = env!("CARGO_PKG_VERSION"), service = %config.service.service_name, "starting");
    for warning in warnings {
        warn!("{warning}");
    }
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build()
        {
            Ok(runtime) => runtime,
            Err(error) => {
                error!(%error, "the runtime can't be started");
                return exit::code(exit::UNEXPECTED);
            }
        };
    let code = match runtime.block_on(service::run(source, clock)) {
        Ok(ended) if ended.abandoned => exit::ABANDONED,
        Ok(_) => exit::OK,
        Err(error) => {
            error!("{error}");
            match error {
                ServiceError::Http { .. } | ServiceError::Link(LinkFailure::Unavailable(..)) => {
                    exit::UNAVAILABLE
                }
                ServiceError::Link(LinkFailure::Refused(_)) => exit::REFUSED,
                ServiceError::Link(LinkFailure::Settings(_)) => exit::CONFIG,
                ServiceError::Signals(_) | ServiceError::Panicked(_) => exit::UNEXPECTED,
            }
        }
    };
    // A task that is stuck in a system call must not hold up the end.
    runtime.shutdown_background();
    exit::code(code)
}
