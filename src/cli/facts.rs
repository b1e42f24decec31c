//! What is told of a name and of attributes, as JSON.

use crate::base::path::NamePath;
use crate::base::utc::utc;
use crate::request::{Attributes, NameFacts, NameKind};
use serde_json::{Map, Value, json};

/// The facts of a name.
pub fn name_facts(path: &NamePath, facts: &NameFacts) -> Value {
    let mut told = json!({
        "path": path.as_str(),
        "kind": kind(facts.kind),
        "version": facts.version,
        "created": utc(facts.created_ms),
        "modified": utc(facts.modified_ms),
    });
    if facts.kind == NameKind::File {
        told["size_bytes"] = facts.size.into();
        told["hash"] = facts.hash.to_string().into();
        told["chunks"] = facts.chunks.into();
    }
    told
}

fn kind(kind: NameKind) -> &'static str {
    match kind {
        NameKind::File => "file",
        NameKind::Directory => "directory",
    }
}

/// Attributes by their names.
pub fn attributes(attributes: &Attributes) -> Map<String, Value> {
    attributes
        .iter()
        .map(|(tag, value)| (attribute_name(tag), String::from_utf8_lossy(value).into_owned().into()))
        .collect()
}

fn attribute_name(tag: u8) -> String {
    match tag {
        Attributes::CONTENT_TYPE => "content_type".to_string(),
        Attributes::CACHE_CONTROL => "cache_control".to_string(),
        Attributes::CONTENT_DISPOSITION => "content_disposition".to_string(),
        Attributes::FILE_NAME => "file_name".to_string(),
        Attributes::METADATA => "metadata".to_string(),
        other => format!("tag_{other}"),
    }
}
