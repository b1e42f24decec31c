//! Larder: a storage node for very many small files.
pub mod base;
pub mod disk;
pub mod journal;
pub mod metrics;
pub mod request;
pub mod store;
