//! How large objects are.
