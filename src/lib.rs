//! Larder: a storage node for very many small files.
pub mod base;
pub mod binary;
pub mod cli;
pub mod client;
pub mod disk;
pub mod handler;
pub mod http;
pub mod io;
pub mod journal;
pub mod master;
pub mod metrics;
pub mod net;
pub mod node;
pub mod request;
pub mod store;
pub mod wire;
