//! The node: builds everything bottom-up, stops it top-down.

mod assembly;
pub mod configuration;
mod error;
mod logging;
mod run;
mod signals;
mod status;

pub use assembly::Node;
pub use configuration::Configuration;
pub use error::NodeError;
pub use run::run;
