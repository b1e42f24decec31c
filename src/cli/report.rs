//! A JSON value for people: facts as lines, lists of alike things as tables.
//!
//! Any shape renders, so a node may tell more than this program knows. Always: numbers whose name ends in `_bytes` are
//! shown with a unit; a table that would be wider than a screen is turned on its side.

use indicatif::BinaryBytes;
use serde_json::{Map, Value};

/// Columns of a table above which it is turned.
const COLUMNS_MAX: usize = 7;

/// The lines of a value.
pub fn report(value: &Value) -> String {
    let mut lines = String::new();
    section(&mut lines, "", value);
    lines
}

fn section(lines: &mut String, title: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            let flat: Vec<(String, &Value)> = fields.iter().flat_map(|(name, value)| flatten(name, value)).collect();
            let facts = flat.iter().filter(|(_, value)| !is_table(value)).map(|(name, value)| {
                vec![name.clone(), shown(name, value)]
            });
            heading(lines, title, &facts.clone().collect::<Vec<_>>());
            lines.push_str(&aligned(&facts.collect::<Vec<_>>()));
            for (name, value) in flat.iter().filter(|(_, value)| is_table(value)) {
                section(lines, name, value);
            }
        }
        Value::Array(items) => {
            let rows = table(items);
            heading(lines, title, &rows);
            lines.push_str(&aligned(&rows));
        }
        scalar => lines.push_str(&format!("{}\n", shown(title, scalar))),
    }
}

fn heading(lines: &mut String, title: &str, rows: &[Vec<String>]) {
    if !lines.is_empty() && !rows.is_empty() {
        lines.push('\n');
    }
    if !title.is_empty() && !rows.is_empty() {
        lines.push_str(&format!("{title}:\n"));
    }
}

/// Fields of fields, as `outer.inner`.
fn flatten<'a>(name: &str, value: &'a Value) -> Vec<(String, &'a Value)> {
    match value {
        Value::Object(fields) => {
            fields.iter().flat_map(|(inner, value)| flatten(&format!("{name}.{inner}"), value)).collect()
        }
        value => vec![(name.to_string(), value)],
    }
}

fn is_table(value: &Value) -> bool {
    matches!(value, Value::Array(items) if items.iter().any(Value::is_object))
}

/// A row of names, then a row for each thing; or the other way round.
fn table(items: &[Value]) -> Vec<Vec<String>> {
    let rows: Vec<Vec<(String, &Value)>> = items
        .iter()
        .map(|item| match item {
            Value::Object(fields) => fields.iter().flat_map(|(name, value)| flatten(name, value)).collect(),
            other => vec![("value".to_string(), other)],
        })
        .collect();
    let mut columns: Vec<String> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    let cell = |row: &[(String, &Value)], column: &str| {
        row.iter().find(|(name, _)| name == column).map_or("-".to_string(), |(name, value)| shown(name, value))
    };
    let cells = rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect());
    let upright: Vec<Vec<String>> = std::iter::once(columns.clone()).chain(cells).collect();
    if columns.len() <= COLUMNS_MAX {
        return upright;
    }
    (0..columns.len()).map(|column| upright.iter().filter_map(|row| row.get(column).cloned()).collect()).collect()
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
        Value::Object(fields) => {
            let fields = Value::Object(Map::from_iter(fields.clone()));
            printable(&fields.to_string())
        }
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
            "memory": { "held_bytes": 1536, "ok": true },
            "disks": [
                { "place": "/disk/a", "free_bytes": 1073741824, "state": null },
                { "place": "/b\u{1b}[2J", "errors": 12, "tags": ["x", "y"] },
            ],
            "empty": [],
        });
        let want = "\
disks:
";
        let lines = report(&status);
        let want_facts = [
            "empty              none",
            "memory.held_bytes  1.50 KiB",
            "memory.ok          yes",
            "node               ab12",
            "uptime_ms          1500",
            "",
            want.trim_end(),
        ];
        for (line, want) in lines.lines().zip(want_facts) {
            assert_eq!(line, want, "{lines}");
        }
        let want_table = [
            "free_bytes  place     state  errors  tags",
            "1.00 GiB    /disk/a   -      -       -",
            "-           /b?[2J    -          12  x, y",
        ];
        for (line, want) in lines.lines().skip(7).zip(want_table) {
            assert_eq!(line, want, "{lines}");
        }
        assert_eq!(lines.lines().count(), 10, "{lines}");
    }

    #[test]
    fn a_wide_table_is_turned() {
        let item = |n: u64| json!({ "a": n, "b": n, "c": n, "d": n, "e": n, "f": n, "g": n, "name": "long" });
        let lines = report(&json!({ "list": [item(1), item(22)] }));
        assert!(lines.starts_with("list:\na        1      22\n"), "{lines}");
        assert!(lines.ends_with("name  long    long\n") || lines.ends_with("name  long  long\n"), "{lines}");
    }

    #[test]
    fn any_value_renders() {
        for value in [json!(null), json!([]), json!({}), json!([1, [2], {"a": {}}]), json!({"a": [[{"b": 1}]]}), json!("x")] {
            let lines = report(&value);
            assert!(lines.is_empty() || lines.ends_with('\n'), "{value}: {lines:?}");
        }
    }
}
