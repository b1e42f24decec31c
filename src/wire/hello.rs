//! HELLO: the first frame of a connection, both ways.
//!
//! ```text
//! request   0 version_lowest u8 | 1 version_highest u8 | 2 name_bytes u16 | 4 name
//! reply     0 version u8 | 1 zero [3] | 4 body_bytes_max u32 | 8 chunk_bytes_max u32 | 12 in_flight_max u32
//!           16 deadline_default_ms u32 | 20 deadline_max_ms u32 | 24 cluster [16] | 40 node [16]
//! ```
//!
//! Any thread. Always: bytes behind the fields that this version knows are ignored, both ways, so that a newer peer may
//! say more. HELLO itself is a frame of version 1 in every version.

use super::VERSION;
use super::fields::{BadBody, Fields};
use crate::base::ids::{ClusterId, NodeId};
use crate::request::{Limits, Refusal, Status};

/// What a client says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The lowest version that it speaks.
    pub version_lowest: u8,
    /// The highest version that it speaks.
    pub version_highest: u8,
    /// What it calls itself, for the node's log: at most 255 bytes, no control characters.
    pub name: String,
}

const NAME_BYTES_MAX: usize = 255;

impl Hello {
    /// The hello of a client that speaks this version alone. A name that is too long is cut.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let mut name: String = name.chars().filter(|c| !c.is_control()).collect();
        name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
        Self { version_lowest: VERSION, version_highest: VERSION, name }
    }

    /// The hello in a body.
    ///
    /// # Errors
    /// [`BadBody`].
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let mut fields = Fields::new("HELLO", body);
        let version_lowest = fields.u8("version_lowest")?;
        let version_highest = fields.u8("version_highest")?;
        if version_lowest == 0 || version_lowest > version_highest {
            return Err(fields.bad("version_lowest", version_lowest.into(), "1 to version_highest"));
        }
        let name_bytes = usize::from(fields.u16("name_bytes")?);
        if name_bytes > NAME_BYTES_MAX {
            return Err(fields.bad("name_bytes", name_bytes as u64, "0 to 255"));
        }
        let name = fields.run(name_bytes, "name")?;
        let name = fields.text(name, "name")?;
        // The name goes to logs, where a control character could write a line of its own.
        if let Some(control) = name.chars().find(|c| c.is_control()) {
            return Err(fields.bad("a character of the name", u64::from(u32::from(control)), "no control"));
        }
        Ok(Self { version_lowest, version_highest, name })
    }

    /// The body of this hello.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.name.len() <= NAME_BYTES_MAX, "a name is cut before it is sent");
        let name_bytes = u16::try_from(self.name.len()).expect("at most 255");
        let mut body = vec![self.version_lowest, self.version_highest];
        body.extend(name_bytes.to_le_bytes());
        body.extend(self.name.as_bytes());
        body
    }

    /// The version to go on with: the highest that both speak.
    ///
    /// # Errors
    /// The refusal to answer with, if there is none.
    pub fn version(&self) -> Result<u8, Refusal> {
        if (self.version_lowest..=self.version_highest).contains(&VERSION) {
            return Ok(VERSION);
        }
        Err(Refusal::new(
            Status::UnsupportedVersion,
            format!(
                "client speaks versions {} to {}, this node speaks {VERSION}",
                self.version_lowest, self.version_highest
            ),
        ))
    }
}

/// What a node answers to a hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// The version of every further frame.
    pub version: u8,
    /// The limits and identity of the node.
    pub limits: Limits,
}

impl Welcome {
    /// Bytes of its body.
    pub const BYTES: usize = 56;

    /// The answer in a body.
    ///
    /// # Errors
    /// [`BadBody`].
    pub fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let mut fields = Fields::new("reply to HELLO", body);
        let version = fields.u8("version")?;
        fields.skip::<3>()?;
        let body_bytes_max = fields.u32("body_bytes_max")?;
        let chunk_bytes_max = fields.u32("chunk_bytes_max")?;
        let in_flight_max = fields.u32("in_flight_max")?;
        if in_flight_max == 0 {
            return Err(fields.bad("in_flight_max", 0, "at least 1"));
        }
        Ok(Self {
            version,
            limits: Limits {
                body_bytes_max,
                chunk_bytes_max,
                in_flight_max,
                deadline_default_ms: fields.u32("deadline_default_ms")?,
                deadline_max_ms: fields.u32("deadline_max_ms")?,
                cluster: ClusterId(fields.wide("cluster")?),
                node: NodeId(fields.wide("node")?),
            },
        })
    }

    /// The body of this answer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let limits = &self.limits;
        let mut body = Vec::with_capacity(Self::BYTES);
        body.extend([self.version, 0, 0, 0]);
        for number in [
            limits.body_bytes_max,
            limits.chunk_bytes_max,
            limits.in_flight_max,
            limits.deadline_default_ms,
            limits.deadline_max_ms,
        ] {
            body.extend(number.to_le_bytes());
        }
        body.extend(limits.cluster.0.to_be_bytes());
        body.extend(limits.node.0.to_be_bytes());
        debug_assert_eq!(body.len(), Self::BYTES);
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_and_newer_peers_may_say_more() {
        let hello = Hello::of("a test\n");
        assert_eq!(hello.name, "a test");
        let mut body = hello.encode();
        assert_eq!(Hello::parse(&body).as_ref(), Ok(&hello));
        body.extend(b"from the future");
        assert_eq!(Hello::parse(&body), Ok(hello));
        assert!(Hello::of(&"\u{20ac}".repeat(100)).name.len() <= 255);

        let limits = Limits {
            cluster: ClusterId(1),
            node: NodeId(2),
            body_bytes_max: 3,
            chunk_bytes_max: 4,
            in_flight_max: 5,
            deadline_default_ms: 6,
            deadline_max_ms: 7,
        };
        let welcome = Welcome { version: 1, limits };
        let mut body = welcome.encode();
        assert_eq!(Welcome::parse(&body), Ok(welcome));
        body.push(9);
        assert_eq!(Welcome::parse(&body), Ok(welcome));
    }

    #[test]
    fn versions_meet_or_are_refused() {
        let of = |lowest, highest| Hello::parse(&[lowest, highest, 0, 0]);
        assert_eq!(of(1, 1).unwrap().version(), Ok(1));
        assert_eq!(of(1, 9).unwrap().version(), Ok(1));
        assert_eq!(of(2, 9).unwrap().version().unwrap_err().status, Status::UnsupportedVersion);
        assert!(of(2, 1).is_err());
        assert!(of(0, 1).is_err());
        assert!(Hello::parse(&[1, 1, 3, 0, b'a', b'\n', b'b']).is_err());
        assert!(Hello::parse(&[1, 1, 1, 0, 0xff]).is_err());
        assert!(Hello::parse(&[1, 1, 1, 0]).is_err());
    }
}
