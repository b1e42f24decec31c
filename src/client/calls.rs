//! What a client can do.

use super::content::{self, Object};
use super::pool::Pool;
use super::waiting::Waiting;
use super::{ClientBuilder, ClientError, Ticket};
use crate::base::checksum::content_hash;
use crate::base::ids::{ObjectId, Origin};
use crate::request::{Attributes, ByteRange, Durability, Meta, Stored};
use crate::wire::{Received, Request};
use bytes::Bytes;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// A client of one node. Clones are cheap, and share connections and the budget of retries.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) pool: Arc<Pool>,
    pub(super) deadline: Duration,
}

/// How an object is stored.
#[derive(Debug, Clone, Default)]
pub struct PutOptions {
    /// What must have happened before the answer.
    pub durability: Durability,
    /// Content type and the like.
    pub attributes: Attributes,
    /// The upload that it belongs to; zero for an object put by id.
    pub origin: Origin,
}

impl Client {
    /// Connects to a node at `host:port`, with default options.
    ///
    /// # Errors
    /// [`ClientError`], if no connection can be made.
    pub fn connect(address: impl Into<String>) -> Result<Self, ClientError> {
        Self::builder().connect(address)
    }

    /// Options, and then [`connect`](ClientBuilder::connect).
    ///
    /// ```no_run
    /// use larder::client::Client;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), larder::client::ClientError> {
    /// let client = Client::builder()
    ///     .connections(4)
    ///     .deadline(Duration::from_secs(2))
    ///     .connect("127.0.0.1:7400")?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(super) fn over(pool: Arc<Pool>, deadline: Duration) -> Self {
        Self { pool, deadline }
    }

    /// The same client with another deadline for its calls.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { pool: Arc::clone(&self.pool), deadline }
    }

    /// Sends at most 4 KiB there and back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ping(&self, bytes: impl Into<Bytes>) -> Result<(), ClientError> {
        self.send(Request::Ping(bytes.into()), read_pong).wait()
    }

    /// Stores an object of at most 8 MiB; returns its id, its hash (which is checked) and the durability reached.
    ///
    /// # Errors
    /// [`ClientError`]. Of class [`Unknown`](crate::request::Class::Unknown): the object may be stored under an id that
    /// nobody knows.
    pub fn put(&self, content: impl Into<Bytes>, options: PutOptions) -> Result<Stored, ClientError> {
        self.submit_put(content, options).wait()
    }

    /// Sends an object to be stored, without waiting. It waits only while the connection is full.
    ///
    /// ```no_run
    /// # use larder::client::{Client, ClientError, PutOptions};
    /// # fn main() -> Result<(), ClientError> {
    /// # let client = Client::connect("127.0.0.1:7400")?;
    /// let tickets = ["a", "b", "c"].map(|content| client.submit_put(content, PutOptions::default()));
    /// for ticket in tickets {
    ///     println!("{}", ticket.wait()?.id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit_put(&self, content: impl Into<Bytes>, options: PutOptions) -> Ticket<Stored> {
        let request = Request::Put {
            durability: options.durability,
            origin: options.origin,
            attributes: options.attributes,
            payload: content.into(),
        };
        self.send(request, read_stored)
    }

    /// Reads a whole object and checks its hash.
    ///
    /// # Errors
    /// [`ClientError`]; status NOT_FOUND if there is none.
    pub fn get(&self, id: ObjectId) -> Result<Object, ClientError> {
        self.submit_get(id, None).wait()
    }

    /// Reads `length` bytes of an object from `start`, or as many as there are.
    ///
    /// # Errors
    /// [`ClientError`]; status RANGE_NOT_SATISFIABLE if the object has none of them.
    pub fn get_range(&self, id: ObjectId, start: u64, length: u64) -> Result<Object, ClientError> {
        self.submit_get(id, Some(ByteRange { start, length })).wait()
    }

    /// Asks for an object or a part of it, without waiting. The answer is kept in memory until the ticket is waited for.
    pub fn submit_get(&self, id: ObjectId, range: Option<ByteRange>) -> Ticket<Object> {
        self.send(Request::Get { id, range }, |_, waiting| content::collect(waiting))
    }

    /// Writes a whole object to `output` piece by piece, each checked before it is written; the hash is checked at the end.
    ///
    /// ```no_run
    /// # use larder::client::{Client, ClientError};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::connect("127.0.0.1:7400")?;
    /// let mut file = std::fs::File::create("picture.jpg")?;
    /// let meta = client.get_to("3-1f-00c0ffee00c0ffee".parse()?, &mut file)?;
    /// println!("{} bytes", meta.size);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClientError`]; [`BrokeOff`](ClientError::BrokeOff) says how much was written before.
    pub fn get_to(&self, id: ObjectId, output: &mut impl Write) -> Result<Meta, ClientError> {
        let ticket = self.submit_get(id, None);
        ticket.wait_with(|_, waiting| {
            let mut written = 0;
            let outcome = content::read(waiting, |piece| {
                output.write_all(&piece).map_err(ClientError::Output)?;
                written += piece.len() as u64;
                Ok(())
            });
            match outcome {
                Ok(head) => Ok(head.meta),
                // What was written cannot be unwritten, so this must not be tried again.
                Err(error) if written > 0 => Err(ClientError::BrokeOff { written, source: Box::new(error) }),
                Err(error) => Err(error),
            }
        })
    }

    /// What is known about an object.
    ///
    /// # Errors
    /// [`ClientError`]; status NOT_FOUND if there is none.
    pub fn stat(&self, id: ObjectId) -> Result<Meta, ClientError> {
        self.submit_stat(id).wait()
    }

    /// Asks what is known about an object, without waiting.
    pub fn submit_stat(&self, id: ObjectId) -> Ticket<Meta> {
        self.send(Request::Stat(id), read_meta)
    }

    /// Deletes an object; a repeat succeeds.
    ///
    /// # Errors
    /// [`ClientError`]; status NOT_FOUND if there never was one.
    pub fn delete(&self, id: ObjectId) -> Result<Durability, ClientError> {
        self.submit_delete(id).wait()
    }

    /// Asks for an object to be deleted, without waiting.
    pub fn submit_delete(&self, id: ObjectId) -> Ticket<Durability> {
        self.send(Request::Delete(id), read_deleted)
    }

    /// The node, as JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn status(&self) -> Result<serde_json::Value, ClientError> {
        self.send(Request::Status, read_status).wait()
    }

    /// The scrub of each disk, as JSON; `now` starts a pass at full speed first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn scrub(&self, now: bool) -> Result<serde_json::Value, ClientError> {
        self.send(Request::Scrub { now }, read_status).wait()
    }

    pub(super) fn send<T>(
        &self,
        request: Request,
        read: fn(&Request, &mut Waiting) -> Result<T, ClientError>,
    ) -> Ticket<T> {
        Ticket::send(&self.pool, request, self.deadline, read)
    }
}

fn read_pong(request: &Request, waiting: &mut Waiting) -> Result<(), ClientError> {
    match (waiting.only()?, request) {
        (Received::Pong(back), Request::Ping(sent)) if back == sent => Ok(()),
        (Received::Pong(_), _) => Err(waiting.corrupt("the echo of a ping is another")),
        _ => Err(waiting.unexpected()),
    }
}

fn read_stored(request: &Request, waiting: &mut Waiting) -> Result<Stored, ClientError> {
    let stored = match waiting.only()? {
        Received::Stored(stored) => stored,
        _ => return Err(waiting.unexpected()),
    };
    match request {
        Request::Put { payload, .. } if content_hash(payload) == stored.hash => Ok(stored),
        _ => Err(waiting.corrupt(format!("what was stored as {} has another hash", stored.id))),
    }
}

fn read_meta(_: &Request, waiting: &mut Waiting) -> Result<Meta, ClientError> {
    match waiting.only()? {
        Received::Stat(meta) => Ok(meta),
        _ => Err(waiting.unexpected()),
    }
}

fn read_deleted(_: &Request, waiting: &mut Waiting) -> Result<Durability, ClientError> {
    match waiting.only()? {
        Received::Deleted(durability) => Ok(durability),
        _ => Err(waiting.unexpected()),
    }
}

fn read_status(_: &Request, waiting: &mut Waiting) -> Result<serde_json::Value, ClientError> {
    match waiting.only()? {
        Received::Status(text) => serde_json::from_slice(&text).map_err(|error| waiting.protocol_error(error)),
        _ => Err(waiting.unexpected()),
    }
}
