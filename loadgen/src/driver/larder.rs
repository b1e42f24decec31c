//! Larder's binary protocol.
