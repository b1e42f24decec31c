//! The header fields that mean something to the origin, found by name.
//!
//! Runs on the processor's thread; pure. Length first: most names of a head are none of these, and few share a length.

/// A known field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    CacheControl,
    Connection,
    ContentDigest,
    ContentDisposition,
    ContentEncoding,
    ContentLength,
    ContentMd5,
    ContentRange,
    ContentType,
    Expect,
    Host,
    IfMatch,
    IfModifiedSince,
    IfNoneMatch,
    IfRange,
    IfUnmodifiedSince,
    Range,
    Referer,
    TransferEncoding,
    UserAgent,
}

impl Field {
    /// The field of a name, whatever the case of its letters (RFC 9110, 5.1).
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        let first_of = |fields: &[(&str, Self)]| fields.iter().find(|(wanted, _)| is(wanted)).map(|(_, field)| *field);
        match name.len() {
            4 => first_of(&[("host", Self::Host)]),
            5 => first_of(&[("range", Self::Range)]),
            6 => first_of(&[("expect", Self::Expect)]),
            7 => first_of(&[("referer", Self::Referer)]),
            8 => first_of(&[("if-match", Self::IfMatch), ("if-range", Self::IfRange)]),
            10 => first_of(&[("connection", Self::Connection), ("user-agent", Self::UserAgent)]),
            11 => first_of(&[("content-md5", Self::ContentMd5)]),
            12 => first_of(&[("content-type", Self::ContentType)]),
            13 => first_of(&[
                ("if-none-match", Self::IfNoneMatch),
                ("cache-control", Self::CacheControl),
                ("content-range", Self::ContentRange),
            ]),
            14 => first_of(&[("content-length", Self::ContentLength), ("content-digest", Self::ContentDigest)]),
            16 => first_of(&[("content-encoding", Self::ContentEncoding)]),
            17 => {
                first_of(&[("if-modified-since", Self::IfModifiedSince), ("transfer-encoding", Self::TransferEncoding)])
            }
            19 => first_of(&[
                ("if-unmodified-since", Self::IfUnmodifiedSince),
                ("content-disposition", Self::ContentDisposition),
            ]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_field_in_any_case() {
        for (name, field) in [
            ("Cache-Control", Field::CacheControl),
            ("Connection", Field::Connection),
            ("Content-Digest", Field::ContentDigest),
            ("Content-Disposition", Field::ContentDisposition),
            ("Content-Encoding", Field::ContentEncoding),
            ("Content-Length", Field::ContentLength),
            ("Content-MD5", Field::ContentMd5),
            ("Content-Range", Field::ContentRange),
            ("Content-Type", Field::ContentType),
            ("Expect", Field::Expect),
            ("Host", Field::Host),
            ("If-Match", Field::IfMatch),
            ("If-Modified-Since", Field::IfModifiedSince),
            ("If-None-Match", Field::IfNoneMatch),
            ("If-Range", Field::IfRange),
            ("If-Unmodified-Since", Field::IfUnmodifiedSince),
            ("Range", Field::Range),
            ("Referer", Field::Referer),
            ("Transfer-Encoding", Field::TransferEncoding),
            ("User-Agent", Field::UserAgent),
        ] {
            assert_eq!(Field::of(name.as_bytes()), Some(field));
            assert_eq!(Field::of(name.to_ascii_uppercase().as_bytes()), Some(field));
            assert_eq!(Field::of(name.to_ascii_lowercase().as_bytes()), Some(field));
            assert_eq!(Field::of(format!("{name}s").as_bytes()), None);
        }
        assert_eq!(Field::of(b""), None);
    }
}
