//! The objects that are known, and the ledger of them.
