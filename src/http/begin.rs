//! From a head to what it asks for: the method, the place and the fields together.
//!
//! Processor thread; pure. Always: what is refused here was not begun; a head that is refused while its body is still to
//! come ends the connection.

use super::Origin;
use super::conditions::{ConditionLines, Conditions};
use super::digest::Expected;
use super::exchange::Act;
use super::field_value::is_field_value;
use super::framing::Framing;
use super::head::{Head, Method};
use super::listing::Listed;
use super::metadata;
use super::probe::Probe;
use super::range::Ranges;
use super::read::{self, Read};
use super::refused::{Failure, METHODS, METHODS_IDS, METHODS_OBJECT, METHODS_READ};
use super::remove::{self, Removal};
use super::target::{Place, Target, route};
use super::upload::{For, Upload, too_large};
use crate::base::path::NamePath;
use crate::request::Attributes;

/// What a head asks for.
pub(super) fn act(head: &Head<'_>, origin: &Origin) -> Result<Act, Failure> {
    // Before the target, whose other forms belong to these methods.
    if head.method == Method::Other {
        return Err(Failure::method(if origin.read_only { METHODS_READ } else { METHODS }));
    }
    // RFC 9110, 9.3.1, 9.3.2, 9.3.5: content has no meaning in these, and is a way to smuggle a request.
    if matches!(head.method, Method::Get | Method::Head | Method::Delete) && has_body(head) {
        return Err(Failure::new(400, "BAD_REQUEST", "a request of this method has no body"));
    }
    let target = route(head.target)?;
    match head.method {
        Method::Get | Method::Head => read_act(head, target),
        _ if origin.read_only => Err(Failure::method(METHODS_READ)),
        Method::Put => put(head, target, origin),
        Method::Post => post(head, target),
        Method::Delete => delete(head, target),
        Method::Other => Err(Failure::internal()),
    }
}

fn has_body(head: &Head<'_>) -> bool {
    !matches!(head.framing, Framing::None | Framing::Length(0))
}

fn conditions(head: &Head<'_>) -> Conditions {
    Conditions::of(ConditionLines {
        if_match: head.if_match.iter(),
        if_none_match: head.if_none_match.iter(),
        if_modified_since: head.if_modified_since,
        if_unmodified_since: head.if_unmodified_since,
        if_range: head.if_range,
    })
}

fn read_act(head: &Head<'_>, target: Target) -> Result<Act, Failure> {
    let what = match target.place {
        Place::Name(path) => read::What::Name(path),
        Place::Id(id) => read::What::Id(id),
        Place::Directory(path) => {
            let limit = target.query.limit.unwrap_or(0);
            return Ok(Act::List(Listed::new(path, target.query.cursor.as_deref(), limit)?));
        }
        Place::Ready => return Ok(Act::Probe(Probe::Ready)),
        Place::Metrics => return Ok(Act::Probe(Probe::Metrics)),
        Place::Live => return Ok(Act::Probe(Probe::Live)),
        Place::Ids => return Err(Failure::method(METHODS_IDS)),
        Place::Nothing => return Err(Failure::not_found()),
    };
    let is_head = head.method == Method::Head;
    // RFC 9110, 14.2: a range is defined for GET only.
    let ranges = head.range.filter(|_| !is_head).and_then(Ranges::parse);
    Ok(Act::Read(Read::new(what, conditions(head), ranges, target.query, is_head)))
}

fn put(head: &Head<'_>, target: Target, origin: &Origin) -> Result<Act, Failure> {
    let path = match target.place {
        Place::Name(path) => path,
        Place::Directory(_) => return Err(Failure::new(409, "IS_A_DIRECTORY", "it is a directory")),
        place => return Err(elsewhere(&place)),
    };
    // RFC 9110, 14.5: a part of a representation must not be taken for the whole.
    if head.content_range.is_some() {
        return Err(Failure::new(400, "BAD_REQUEST", "a part of the content cannot be put"));
    }
    let session = origin.uploads.current().ok_or(Failure::no_session())?;
    let what = For::Name { path, session, conditions: conditions(head) };
    upload(head, what)
}

fn post(head: &Head<'_>, target: Target) -> Result<Act, Failure> {
    match target.place {
        Place::Ids => upload(head, For::Id),
        place => Err(elsewhere(&place)),
    }
}

fn delete(head: &Head<'_>, target: Target) -> Result<Act, Failure> {
    let directory = |path: NamePath, is_directory| remove::What::Name { path, is_directory };
    let what = match target.place {
        Place::Name(path) => directory(path, false),
        Place::Directory(path) => directory(path, true),
        Place::Id(id) => remove::What::Id(id),
        place => return Err(elsewhere(&place)),
    };
    Ok(Act::Remove(Removal::new(what, conditions(head))))
}

/// A method that is not offered at a place.
fn elsewhere(place: &Place) -> Failure {
    match place {
        Place::Nothing => Failure::not_found(),
        Place::Ids => Failure::method(METHODS_IDS),
        Place::Id(_) => Failure::method(METHODS_OBJECT),
        Place::Live | Place::Ready | Place::Metrics => Failure::method(METHODS_READ),
        Place::Name(_) | Place::Directory(_) => Failure::method(METHODS),
    }
}

fn upload(head: &Head<'_>, what: For) -> Result<Act, Failure> {
    // RFC 9110, 8.4: what is stored is sent as it is, so a coding would be lost.
    if head.content_encoding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Failure::new(415, "UNSUPPORTED_CODING", "content is stored without a content coding"));
    }
    let length = match head.framing {
        Framing::None => return Err(Failure::new(411, "LENGTH_REQUIRED", "say how long the content is")),
        Framing::Length(bytes) => Some(bytes),
        Framing::Chunked => None,
    };
    let digests = Expected::parse(head.content_md5, head.content_digest.iter())?.map(Expected::begin);
    let mut upload = Upload::new(what, attributes(head)?, length, digests);
    if length.is_some_and(|bytes| bytes > upload.bytes_max()) {
        return Err(too_large());
    }
    if head.expects_continue {
        upload.expects_continue();
    }
    Ok(Act::Upload(Box::new(upload)))
}

fn attributes(head: &Head<'_>) -> Result<Attributes, Failure> {
    const TOO_LARGE: Failure = Failure::new(431, "ATTRIBUTES_TOO_LARGE", "what is stored of the head is over 4 KiB");
    let metadata = metadata::encode(head.meta()).map_err(|bad| match bad {
        metadata::BadMetadata::TooLong => TOO_LARGE,
        metadata::BadMetadata::BadName => Failure::new(400, "BAD_REQUEST", "the name of an X-Larder-Meta line"),
        metadata::BadMetadata::BadValue => Failure::new(400, "BAD_REQUEST", "the value of an X-Larder-Meta line"),
    })?;
    let cache_control: Vec<u8> = head.cache_control.iter().collect::<Vec<_>>().join(&b", "[..]);
    let list = [
        (Attributes::CONTENT_TYPE, head.content_type.unwrap_or_default()),
        (Attributes::CACHE_CONTROL, &cache_control[..]),
        (Attributes::CONTENT_DISPOSITION, head.content_disposition.unwrap_or_default()),
        (Attributes::METADATA, &metadata[..]),
    ];
    let there: Vec<_> = list.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    if there.iter().any(|(tag, value)| *tag != Attributes::METADATA && !is_field_value(value)) {
        return Err(Failure::new(400, "BAD_REQUEST", "the value of a field that is stored"));
    }
    Attributes::of(&there).map_err(|_| TOO_LARGE)
}
