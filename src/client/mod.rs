//! The client library: names, files of any size, and objects by id, over a pool of connections.
//!
//! Blocking; any thread may use a [`Client`], and clones share its connections. Each connection carries many requests
//! at once, so one thread can keep a node busy with [`Ticket`]s. Always: a call ends by its deadline; content that is
//! handed out was checked frame by frame, and a whole object against its hash; a request is repeated by itself only
//! when the first one cannot have been carried out, or when a repeat changes nothing.
//!
//! ```no_run
//! use larder::client::{Client, PutOptions};
//!
//! # fn main() -> Result<(), larder::client::ClientError> {
//! let client = Client::connect("127.0.0.1:7400")?;
//! let stored = client.put("hello", PutOptions::default())?;
//! let object = client.get(stored.id)?;
//! assert_eq!(&object.content[..], b"hello");
//! client.delete(stored.id)?;
//! # Ok(())
//! # }
//! ```

mod builder;
mod calls;
mod connection;
mod content;
mod download;
mod error;
mod file_hash;
mod names;
mod patience;
mod pool;
mod retry;
mod room;
mod session;
mod ticket;
mod upload;
mod waiting;

#[cfg(test)]
mod fake;
#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod names_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transfer_tests;

pub use builder::ClientBuilder;
pub use calls::{Client, PutOptions};
pub use content::Object;
pub use download::DownloadOptions;
pub use error::ClientError;
pub use file_hash::{FileHash, file_hash};
pub use names::Entries;
pub use session::NameSession;
pub use ticket::Ticket;
pub use upload::UploadOptions;
