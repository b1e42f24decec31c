//! How many connections there may be, in all and from one address.
//!
//! Asked by the acceptor, given back by processors. Always: the counts are those of the admissions alive. The lock
//! is held over a map lookup only.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The counts.
#[derive(Debug)]
pub struct Quota {
    total_max: usize,
    address_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OverQuota {
    Total,
    Address,
}

impl Quota {
    /// At most `total_max` connections, and `address_max` from one address.
    #[must_use]
    pub fn new(total_max: usize, address_max: usize) -> Arc<Self> {
        Arc::new(Self { total_max, address_max, counts: Mutex::default() })
    }

    /// Connections alive.
    #[must_use]
    pub fn total(&self) -> usize {
        self.counts.lock().total
    }

    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admission, OverQuota> {
        let mut counts = self.counts.lock();
        if counts.total >= self.total_max {
            return Err(OverQuota::Total);
        }
        let from_here = counts.by_address.entry(address).or_default();
        if *from_here >= self.address_max {
            return Err(OverQuota::Address);
        }
        *from_here += 1;
        counts.total += 1;
        Ok(Admission { quota: Arc::clone(self), address })
    }
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Admission {
    quota: Arc<Quota>,
    address: IpAddr,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.quota.counts.lock();
        counts.total -= 1;
        if let Some(from_here) = counts.by_address.get_mut(&self.address) {
            *from_here -= 1;
            if *from_here == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_quotas_hold_and_come_back() {
        let quota = Quota::new(3, 2);
        let (a, b) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = quota.admit(a).unwrap();
        let _second = quota.admit(a).unwrap();
        assert_eq!(quota.admit(a).unwrap_err(), OverQuota::Address);
        let _third = quota.admit(b).unwrap();
        assert_eq!(quota.admit(b).unwrap_err(), OverQuota::Total);
        drop(first);
        assert!(quota.admit(a).is_ok());
        assert_eq!(quota.total(), 2);
    }
}
