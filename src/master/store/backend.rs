//! The block file as redb asks for its storage. On the threads that call redb.
//!
//! No locks: the master holds its whole directory.

use super::blocks::Blocks;
use std::io;
use std::sync::Arc;

/// What redb reads and writes through.
#[derive(Debug)]
pub struct Backend(pub Arc<Blocks>);

impl redb::StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.length()?)
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        Ok(self.0.read(into, offset)?)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Ok(self.0.set_length(length)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(self.0.sync()?)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        Ok(self.0.write(bytes, offset)?)
    }
}
