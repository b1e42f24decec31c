//! Measures stores of objects, and says how far its figures can be believed.
//!
//! `workload` says what is asked for, `driver` how it is said, `engine` when; `server` reads what it cost, `session` goes
//! from a plan to a `record`, `report` shows it and `compare` sets two side by side. `cli` is what a user types.

pub mod cli;
pub mod compare;
pub mod driver;
pub mod echo;
pub mod engine;
pub mod floor;
pub mod record;
pub mod report;
pub mod scenario;
pub mod server;
pub mod session;
pub mod workload;
