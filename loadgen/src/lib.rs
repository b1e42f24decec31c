//! Measures stores of objects, and says how far its figures can be believed.
//!
//! `workload` says what is asked for, `driver` how it is said, `engine` when; `server` reads what it cost, `record` keeps
//! what was seen, `report` shows it.

pub mod driver;
pub mod echo;
pub mod engine;
pub mod record;
pub mod report;
pub mod server;
pub mod workload;
