//! RESP, as Redis speaks it.
