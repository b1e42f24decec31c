//! Event loops: connections, requests under way, times.
