//! The text protocol of memcached.
