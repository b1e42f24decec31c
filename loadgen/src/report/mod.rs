//! Records as people read them.
//!
//! Any thread; pure functions from records to text. Always: text out of a record may come from a stranger's server, so it
//! never reaches a terminal or a page as it is; no figure is shown as a number if it is none.

pub mod comparison;
pub mod html;
pub mod line;
pub mod text;
pub mod units;
