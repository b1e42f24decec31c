//! A JSON value for people: facts as lines, lists of alike things as tables.
//!
//! Any shape renders, so a node may tell more than this program knows. Always: numbers whose name ends in `_bytes` are
//! shown with a unit; a table that would be wider than a screen is turned on its side, without its lines of zeros.

use indicatif::BinaryBytes;
use serde_json::{Map, Value};

/// Columns of a table above which it is turned.
const COLUMNS_MAX: usize = 7;

/// Fields of a line above which those that are zero are left out.
const FIELDS_MAX: usize = 5;

/// What a thing is called comes first in its row.
const NAMES: [&str; 5] = ["name", "place", "file", "volume", "id"];

type Row = Vec<String>;

/// The lines of a value.
pub fn report(value: &Value) -> String {
    let mut report = Report::default();
    report.add("", value);
    let mut sections = Vec::new();
    if !report.facts.is_empty() {
        sections.push(aligned(&report.facts));
    }
    sections.extend(report.tables.iter().map(|(title, rows)| format!("{title}:\n{}", aligned(rows))));
    sections.join("\n")
}

#[derive(Default)]
struct Report {
    facts: Vec<Row>,
    tables: Vec<(String, Vec<Row>)>,
}

impl Report {
    fn add(&mut self, name: &str, value: &Value) {
        let title = || if name.is_empty() { "list".to_string() } else { name.to_string() };
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                let items: Vec<Vec<(String, &Value)>> = items.iter().map(|item| flatten("", item)).collect();
                self.tables.push((title(), table(&items)));
            }
            Value::Object(fields) if fields.len() > 1 && fields.values().all(is_flat_object) => {
                let names: Vec<Value> = fields.keys().map(|key| Value::String(key.clone())).collect();
                let items: Vec<Vec<(String, &Value)>> = names
                    .iter()
                    .zip(fields.values())
                    .map(|(name, item)| std::iter::once(("name".to_string(), name)).chain(flatten("", item)).collect())
                    .collect();
                self.tables.push((title(), table(&items)));
            }
            Value::Object(fields) if is_flat_object(value) && !name.is_empty() => {
                self.facts.push(vec![name.to_string(), one_line(fields)]);
            }
            Value::Object(fields) => {
                for (inner, value) in fields {
                    self.add(&dotted(name, inner), value);
                }
            }
            scalar if name.is_empty() => self.facts.push(vec![shown("", scalar)]),
            scalar => self.facts.push(vec![name.to_string(), shown(name, scalar)]),
        }
    }
}

fn is_flat_object(value: &Value) -> bool {
    let is_flat = |value: &Value| !value.is_object() && !value.is_array();
    value.as_object().is_some_and(|fields| !fields.is_empty() && fields.values().all(is_flat))
}

fn one_line(fields: &Map<String, Value>) -> String {
    let is_zero = |value: &Value| value.as_u64() == Some(0);
    let few = fields.len() <= FIELDS_MAX;
    let told: Vec<String> = fields
        .iter()
        .filter(|(_, value)| few || !is_zero(value))
        .map(|(name, value)| format!("{name} {}", shown(name, value)))
        .collect();
    if told.is_empty() { "all 0".to_string() } else { told.join(", ") }
}

fn dotted(outer: &str, inner: &str) -> String {
    if outer.is_empty() { inner.to_string() } else { format!("{outer}.{inner}") }
}

/// Fields of fields, as `outer.inner`.
fn flatten<'a>(name: &str, value: &'a Value) -> Vec<(String, &'a Value)> {
    match value {
        Value::Object(fields) => {
            fields.iter().flat_map(|(inner, value)| flatten(&dotted(name, inner), value)).collect()
        }
        value if name.is_empty() => vec![("value".to_string(), value)],
        value => vec![(name.to_string(), value)],
    }
}

/// A row of names, then a row for each thing; or the other way round.
fn table(items: &[Vec<(String, &Value)>]) -> Vec<Row> {
    let mut columns: Vec<String> = Vec::new();
    for (name, _) in items.iter().flatten() {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    columns.sort_by_key(|column| NAMES.iter().position(|name| name == column).unwrap_or(NAMES.len()));
    let cell = |item: &[(String, &Value)], column: &str| {
        item.iter().find(|(name, _)| name == column).map_or("-".to_string(), |(name, value)| shown(name, value))
    };
    let cells = items.iter().map(|item| columns.iter().map(|column| cell(item, column)).collect());
    let upright: Vec<Row> = std::iter::once(columns.clone()).chain(cells).collect();
    if columns.len() <= COLUMNS_MAX {
        return upright;
    }
    let turned = (0..columns.len()).map(|column| upright.iter().filter_map(|row| row.get(column).cloned()).collect());
    let tells = |row: &Row| row.iter().skip(1).any(|cell| !matches!(cell.as_str(), "0" | "0 B" | ""));
    turned.filter(tells).collect()
}

fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_string(),
        Value::String(text) => printable(text),
        Value::Number(number) => match number.as_u64().filter(|_| name == "bytes" || name.ends_with("_bytes")) {
            Some(bytes) => BinaryBytes(bytes).to_string(),
            None => number.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(name, item)).collect();
            if items.is_empty() { "none".to_string() } else { items.join(", ") }
        }
        Value::Object(_) => printable(&value.to_string()),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_string(),
    }
}

/// A text that came from elsewhere must not steer the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Rows whose columns stand below each other, two spaces apart; numbers to the right.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(column) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let mut lines = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // A column of a turned table holds numbers and texts: a cell is placed by what it is.
            let is_number = cell.bytes().all(|b| b.is_ascii_digit() || b == b'.') && !cell.is_empty();
            let padded = if is_number && row.len() > 2 { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            line.push_str(&padded);
            line.push_str("  ");
        }
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn facts_then_tables() {
        let status = json!({
            "node": "ab12",
            "uptime_ms": 1500,
            "answers": { "ok": 7, "busy": 0, "full": 0, "damaged": 0, "refused": 2, "internal": 0 },
            "memory": { "in": { "held_bytes": 1536, "ok": true }, "cache_bytes": 0 },
            "stages": { "parse": { "p50_us": 3, "max_us": 100 }, "send": { "p50_us": 12, "max_us": 7 } },
            "disks": [
                { "place": "/disk/a", "free_bytes": 1073741824, "state": null },
                { "place": "/b\u{1b}[2J", "errors": 12, "tags": ["x", "y"] },
            ],
            "empty": [],
        });
        let want = "\
answers             ok 7, refused 2
empty               none
memory.cache_bytes  0 B
memory.in           held_bytes 1.50 KiB, ok yes
node                ab12
uptime_ms           1500

disks:
place    free_bytes  state  errors  tags
/disk/a  1.00 GiB    -      -       -
/b?[2J   -           -          12  x, y

stages:
name   max_us  p50_us
parse     100       3
send        7      12
";
        assert_eq!(report(&status), want);
    }

    #[test]
    fn a_wide_table_is_turned() {
        let item = |n: u64| json!({ "a": n, "b": n, "c": n, "zero": 0, "none_bytes": 0, "d": n, "e": n, "f": n, "g": n, "name": "long" });
        let want = "\
list:
name  long  long
a        1    22
b        1    22
c        1    22
d        1    22
e        1    22
f        1    22
g        1    22
";
        assert_eq!(report(&json!([item(1), item(22)])), want);
    }

    #[test]
    fn any_value_renders() {
        let nested = json!({ "a": [[{ "b": 1 }]], "c": { "d": {}, "e": { "f": [] } } });
        for value in [json!(null), json!([]), json!({}), json!([1, [2], { "a": {} }]), nested, json!("x")] {
            let lines = report(&value);
            assert!(lines.is_empty() || lines.ends_with('\n'), "{value}: {lines:?}");
        }
    }
}
