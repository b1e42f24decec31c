//! Ids of things that outlive a process: objects, volumes, sequences, disks.
//!
//! Any thread. An [`ObjectId`] has exactly one text form; every other spelling is refused, so that
//! two spellings can never be two entries of a cache.

use std::fmt;
use std::str::FromStr;

/// The number of a volume, unique in a cluster and never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeId(pub u32);

/// The place of a needle in its volume's logical log: dense when appended, with gaps after compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The sequence `count` places further on. Sequences are 64 bits: at a billion a second they last 584 years.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0.checked_add(count).expect("a 64-bit sequence outlives its disk"))
    }
}

/// The number of a leadership of a volume; it grows at each leader change and after each unclean stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u32);

/// A random number in each object id, so that ids cannot be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cookie(pub u64);

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A cookie is a capability: logs show that there is one, never which.
        f.write_str("Cookie(..)")
    }
}

/// The name of one stored object: `<volume>-<sequence>-<cookie>` in lower-case hexadecimal digits.
///
/// Volume and sequence carry no leading zeros; the cookie always has its 16 digits.
///
/// ```
/// use larder::base::ids::ObjectId;
/// let id: ObjectId = "3-1f-00c0ffee00c0ffee".parse().unwrap();
/// assert_eq!(id.to_string(), "3-1f-00c0ffee00c0ffee");
/// assert!("03-1f-00c0ffee00c0ffee".parse::<ObjectId>().is_err());
/// assert!("3-1F-00c0ffee00c0ffee".parse::<ObjectId>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId {
    /// The volume that holds it.
    pub volume: VolumeId,
    /// Its place in the volume.
    pub sequence: Sequence,
    /// Its unguessable part.
    pub cookie: Cookie,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:016x}", self.volume.0, self.sequence.0, self.cookie.0)
    }
}

/// Why a text is not an object id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an object id: want <volume>-<sequence>-<cookie> in lower-case hex, no leading zeros, 16 digits of cookie")]
pub struct BadObjectId;

impl FromStr for ObjectId {
    type Err = BadObjectId;

    fn from_str(text: &str) -> Result<Self, BadObjectId> {
        let mut parts = text.split('-');
        let (Some(volume), Some(sequence), Some(cookie), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadObjectId);
        };
        if cookie.len() != 16 {
            return Err(BadObjectId);
        }
        Ok(Self {
            volume: VolumeId(u32::try_from(hex(volume, 8)?).map_err(|_| BadObjectId)?),
            sequence: Sequence(hex(sequence, 16)?),
            cookie: Cookie(hex_digits(cookie)?),
        })
    }
}

fn hex(text: &str, digits_max: usize) -> Result<u64, BadObjectId> {
    let canonical = text == "0" || !text.starts_with('0');
    if text.is_empty() || text.len() > digits_max || !canonical {
        return Err(BadObjectId);
    }
    hex_digits(text)
}

fn hex_digits(text: &str) -> Result<u64, BadObjectId> {
    // from_str_radix alone would take a sign and capitals.
    if !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(BadObjectId);
    }
    u64::from_str_radix(text, 16).map_err(|_| BadObjectId)
}

macro_rules! wide_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:032x})", stringify!($name), self.0)
            }
        }
    };
}

wide_id!(
    /// The identity of a cluster, made at random with its first disk.
    ClusterId
);
wide_id!(
    /// The identity of a node, made at random with its first disk.
    NodeId
);
wide_id!(
    /// The identity of one data directory, made at random when it is formatted.
    DiskId
);
wide_id!(
    /// XXH3-128 of an object's payload; shown as 32 hex digits, most significant first.
    ContentHash
);

/// The request that made a needle: upload session and its number in the session; zero for objects put by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Origin {
    /// The session that the master gave, or zero.
    pub session: u64,
    /// The number of the request in its session, or zero.
    pub number: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_canonical_text_is_an_id() {
        for bad in [
            "",
            "-",
            "--",
            "1-2",
            "1-2-3",
            "1-2-0000000000000003-4",
            "01-2-0000000000000003",
            "1-02-0000000000000003",
            "1-2-000000000000003",
            "1-2-00000000000000003",
            "+1-2-0000000000000003",
            "1-2-000000000000000G",
            "100000000-2-0000000000000003",
            "1-10000000000000000-0000000000000003",
            "1-2-000000000000000A",
            " 1-2-0000000000000003",
        ] {
            assert!(bad.parse::<ObjectId>().is_err(), "{bad:?} was taken");
        }
        assert!("0-0-0000000000000000".parse::<ObjectId>().is_ok());
    }

    proptest! {
        #[test]
        fn text_and_id_are_one_to_one(volume: u32, sequence: u64, cookie: u64) {
            let id = ObjectId { volume: VolumeId(volume), sequence: Sequence(sequence), cookie: Cookie(cookie) };
            prop_assert_eq!(id.to_string().parse::<ObjectId>().unwrap(), id);
        }

        #[test]
        fn what_parses_prints_as_itself(text in "[0-9a-fA-F-]{0,40}") {
            if let Ok(id) = text.parse::<ObjectId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
