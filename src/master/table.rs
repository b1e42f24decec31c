//! The state as the namespace sees it: one ordered table of bytes.
//!
//! Pure; what lies behind it is an overlay in memory over an embedded store, or a plain map in tests.

use super::StateError;
use bytes::Bytes;
use std::ops::ControlFlow;

/// Is shown keys in ascending order with their values, until it breaks.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Reads of a table.
pub trait Table {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StateError`].
    fn value(&self, key: &[u8]) -> Result<Option<Bytes>, StateError>;

    /// Shows all keys in `from..to`, in ascending order, with their values.
    ///
    /// # Errors
    /// [`StateError`].
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StateError>;
}

/// A table that takes changes; they are seen by its own reads at once.
pub trait TableMut: Table {
    /// Sets a value.
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>);

    /// Removes a key, if it is there.
    fn remove(&mut self, key: Vec<u8>);
}

/// An embedded store that the state is written to now and then: one atomic, durable batch at a time.
///
/// One thread commits, any thread that may wait reads. Always: a batch is there as a whole or not at all, also after a
/// power cut; a commit that returned is durable; what does not verify is an error, never a wrong value.
pub trait StateStore: Send + Sync + std::fmt::Debug {
    /// The last commit as it is now; later commits do not change it.
    ///
    /// # Errors
    /// [`StateError`].
    fn view(&self) -> Result<Box<dyn StateView>, StateError>;

    /// Makes these changes, which come in ascending order of their keys (`None` removes), as one durable batch.
    ///
    /// # Errors
    /// [`StateError::Full`] changed nothing and may be tried again; after any other the store refuses for good.
    fn commit(&self, changes: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>)>) -> Result<(), StateError>;

    /// Bytes that it takes on the disk.
    fn bytes(&self) -> u64;
}

/// A view of a store.
pub trait StateView: Table + Send + Sync {}
