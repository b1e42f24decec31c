//! What one processor counts of HTTP.
//!
//! Written by that processor's thread, read by any. Always: each finished request is counted once, under one method and one
//! status.

use super::{Counter, Histogram};

/// The statuses that the origin uses; the rest share a counter.
const STATUSES: [u16; 29] = [
    100, 200, 201, 204, 206, 301, 304, 400, 404, 405, 408, 409, 411, 412, 413, 414, 415, 416, 417, 422, 429, 431, 499,
    500, 501, 503, 504, 505, 507,
];

/// The place of all statuses that are not in [`STATUSES`].
const OTHER: usize = STATUSES.len();

/// The method of a request, as far as it is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    /// Reads content.
    Get,
    /// Reads what is known of content.
    Head,
    /// Stores a file.
    Put,
    /// Removes a file.
    Delete,
    /// Stores an object.
    Post,
    /// Any other; also a head that could not be read.
    Other,
}

impl HttpMethod {
    /// All.
    pub const ALL: [Self; 6] = [Self::Get, Self::Head, Self::Put, Self::Delete, Self::Post, Self::Other];

    /// Its label in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Post => "POST",
            Self::Other => "other",
        }
    }

    /// What it does to what is stored. An unknown method does nothing, and is refused at once.
    #[must_use]
    pub fn work(self) -> HttpWork {
        match self {
            Self::Get | Self::Head | Self::Other => HttpWork::Read,
            Self::Put | Self::Delete | Self::Post => HttpWork::Write,
        }
    }
}

/// Methods by what a request of them has to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpWork {
    /// A read, at most.
    Read,
    /// The sync of a disk.
    Write,
}

impl HttpWork {
    /// All.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// Its label in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Counts of the origin.
#[derive(Debug, Default)]
pub struct HttpMetrics {
    methods: [OfMethod; HttpMethod::ALL.len()],
    read: Histogram,
    write: Histogram,
}

#[derive(Debug, Default)]
struct OfMethod {
    statuses: [Counter; STATUSES.len() + 1],
    received_bytes: Counter,
    sent_bytes: Counter,
}

impl HttpMetrics {
    /// Counts a request that has ended with this status; 499 when its peer went away before.
    pub fn request(&self, method: HttpMethod, status: u16) {
        let place = STATUSES.binary_search(&status).unwrap_or(OTHER);
        self.of(method).statuses[place].increment();
    }

    /// Counts bytes of a request's body, without its framing.
    pub fn received(&self, method: HttpMethod, bytes: u64) {
        self.of(method).received_bytes.add(bytes);
    }

    /// Counts bytes of an answer's body.
    pub fn sent(&self, method: HttpMethod, bytes: u64) {
        self.of(method).sent_bytes.add(bytes);
    }

    /// From the whole head to the answer's last byte in the socket.
    #[must_use]
    pub fn whole(&self, work: HttpWork) -> &Histogram {
        match work {
            HttpWork::Read => &self.read,
            HttpWork::Write => &self.write,
        }
    }

    /// Requests of a method by status; `None` stands for all others.
    pub fn requests(&self, method: HttpMethod) -> impl Iterator<Item = (Option<u16>, u64)> {
        let statuses = STATUSES.into_iter().map(Some).chain([None]);
        statuses.zip(&self.of(method).statuses).map(|(status, count)| (status, count.value()))
    }

    /// Bytes of bodies received.
    #[must_use]
    pub fn received_bytes(&self, method: HttpMethod) -> u64 {
        self.of(method).received_bytes.value()
    }

    /// Bytes of bodies sent.
    #[must_use]
    pub fn sent_bytes(&self, method: HttpMethod) -> u64 {
        self.of(method).sent_bytes.value()
    }

    fn of(&self, method: HttpMethod) -> &OfMethod {
        &self.methods[method as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_and_status_has_a_counter() {
        assert!(STATUSES.is_sorted(), "they are searched");
        let metrics = HttpMetrics::default();
        for (place, method) in HttpMethod::ALL.into_iter().enumerate() {
            for _ in 0..=place {
                STATUSES.into_iter().chain([0, 418, 65_535]).for_each(|status| metrics.request(method, status));
            }
            metrics.received(method, 5);
            metrics.sent(method, place as u64);
        }
        for (place, method) in HttpMethod::ALL.into_iter().enumerate() {
            let times = place as u64 + 1;
            let counts: Vec<_> = metrics.requests(method).collect();
            assert_eq!(counts.len(), STATUSES.len() + 1);
            for (status, count) in counts {
                assert_eq!(count, if status.is_some() { times } else { 3 * times }, "{method:?} {status:?}");
            }
            assert_eq!((metrics.received_bytes(method), metrics.sent_bytes(method)), (5, place as u64));
        }
    }
}
