//! `larder stat`: what is known about an object.

use super::failure::Failure;
use super::server::Server;
use super::utc::utc;
use super::{output, report};
use crate::base::ids::ObjectId;
use crate::request::{Attributes, Meta};
use serde_json::{Map, Value, json};

/// Shows what is known about an object
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  larder stat 3-1f-00c0ffee00c0ffee --json")]
pub struct Stat {
    /// The object, as `larder put` printed it
    #[arg(value_name = "ID")]
    id: ObjectId,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: Server,
}

impl Stat {
    pub fn run(self) -> Result<(), Failure> {
        let thing = self.id.to_string();
        let meta = self.server.connect(&thing)?.stat(self.id).map_err(|error| Failure::of_client(&thing, &error))?;
        let facts = facts(self.id, &meta);
        if self.json { output::json(&facts) } else { output::print(report::report(&facts).as_bytes()) }
    }
}

fn facts(id: ObjectId, meta: &Meta) -> Value {
    let attributes: Map<String, Value> = meta
        .attributes
        .iter()
        .map(|(tag, value)| (attribute_name(tag), String::from_utf8_lossy(value).into_owned().into()))
        .collect();
    json!({
        "id": id.to_string(),
        "size_bytes": meta.size,
        "hash": meta.hash.to_string(),
        "stored": utc(meta.stored_ms),
        "attributes": attributes,
    })
}

fn attribute_name(tag: u8) -> String {
    match tag {
        Attributes::CONTENT_TYPE => "content_type".to_string(),
        Attributes::CACHE_CONTROL => "cache_control".to_string(),
        Attributes::CONTENT_DISPOSITION => "content_disposition".to_string(),
        Attributes::FILE_NAME => "file_name".to_string(),
        other => format!("tag_{other}"),
    }
}

#[test]
fn facts_of_an_object() {
    let meta = Meta {
        size: 2048,
        hash: crate::base::checksum::content_hash(b""),
        stored_ms: 0,
        attributes: Attributes::of(&[(4, b"a.jpg"), (200, b"\xff")]).unwrap(),
    };
    let id = "3-1f-00c0ffee00c0ffee".parse().unwrap();
    assert_eq!(
        report::report(&facts(id, &meta)),
        "\
attributes  file_name a.jpg, tag_200 \u{fffd}
hash        99aa06d3014798d86001c324468d497f
id          3-1f-00c0ffee00c0ffee
size_bytes  2.00 KiB
stored      1970-01-01T00:00:00.000Z
"
    );
}
