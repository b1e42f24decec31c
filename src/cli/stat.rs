//! `larder stat`: what is known about a name or an object.

use super::facts::{attributes, name_facts};
use super::failure::Failure;
use super::server::Server;
use super::thing::Thing;
use super::{output, report};
use crate::base::ids::ObjectId;
use crate::base::utc::utc;
use crate::request::{Meta, NameKind};
use serde_json::{Value, json};

/// Shows what is known about a name or an object
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  larder stat /pictures/cat.jpg
  larder stat 3-1f-00c0ffee00c0ffee --json")]
pub struct Stat {
    /// The name, which begins with /, or the ID of an object, as `larder put --id` printed it
    #[arg(value_name = "PATH|ID")]
    thing: Thing,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: Server,
}

impl Stat {
    pub fn run(self) -> Result<(), Failure> {
        let thing = self.thing.to_string();
        let client = self.server.connect(&thing)?;
        let failed = |error| Failure::of_client(&thing, &error);
        let facts = match &self.thing {
            Thing::Object(id) => facts(*id, &client.stat(*id).map_err(failed)?),
            Thing::Name(path) => {
                let entry = client.stat_name(path).map_err(failed)?;
                let mut facts = name_facts(path, &entry.facts);
                if entry.facts.kind == NameKind::File {
                    facts["attributes"] = attributes(&entry.attributes).into();
                }
                facts
            }
        };
        if self.json { output::json(&facts) } else { output::print(report::report(&facts).as_bytes()) }
    }
}

fn facts(id: ObjectId, meta: &Meta) -> Value {
    json!({
        "id": id.to_string(),
        "size_bytes": meta.size,
        "hash": meta.hash.to_string(),
        "stored": utc(meta.stored_ms),
        "attributes": attributes(&meta.attributes),
    })
}

#[test]
fn facts_of_an_object() {
    let meta = Meta {
        size: 2048,
        hash: crate::base::checksum::content_hash(b""),
        stored_ms: 0,
        attributes: crate::request::Attributes::of(&[(4, b"a.jpg"), (200, b"\xff")]).unwrap(),
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
