//! A node: its configuration, and how its parts are built bottom-up and stopped top-down.

mod access_log;
mod assembly;
mod configuration;
mod error;
mod exposition;
mod logging;
mod names;
mod readiness;
mod run;
mod signals;
mod status;

pub use assembly::{MetaDirectory, Node};
pub use configuration::{Configuration, ConfigurationError};
pub use error::NodeError;
pub use run::run;
