//! A node: its configuration, and how its parts are built bottom-up and stopped top-down.

mod configuration;

pub use configuration::{Configuration, ConfigurationError};
