//! Measures stores of objects, and says how far its figures can be believed.
//!
//! `workload` says what is asked for, `driver` how it is said, `engine` when; `server` reads what it cost, `record` keeps
//! what was seen, `compare` tells two of them apart, `report` shows it.

pub mod compare;
pub mod driver;
pub mod echo;
pub mod engine;
pub mod record;
pub mod report;
pub mod server;
pub mod workload;
