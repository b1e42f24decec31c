//! The objects that are known: ids, and the keys of their contents. Kept in memory, and in files of `--ids`.

use crate::payload::Key;
use larder::base::ids::ObjectId;
use std::fmt::Write;
use std::path::Path;

/// An object, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    pub id: ObjectId,
    pub key: Key,
    pub bytes: usize,
}

/// Writes objects to a file, one a line: id, bytes, seed and number, with tabs between.
///
/// # Errors
/// A line that names the file.
pub fn write(path: &Path, objects: &[Object]) -> Result<(), String> {
    let mut text = String::new();
    for Object { id, key, bytes } in objects {
        writeln!(text, "{id}\t{bytes}\t{}\t{}", key.seed, key.number).expect("a string takes everything");
    }
    std::fs::write(path, text).map_err(|error| format!("{}: cannot write: {error}", path.display()))
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// A line that names the file and the line in it.
pub fn read(path: &Path) -> Result<Vec<Object>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: cannot read: {error}", path.display()))?;
    let objects: Option<Vec<Object>> = text.lines().map(parse).collect();
    match objects {
        Some(objects) if !objects.is_empty() => Ok(objects),
        Some(_) => Err(format!("{}: is empty; `loadgen put --ids` writes it", path.display())),
        None => {
            let line = 1 + text.lines().take_while(|line| parse(line).is_some()).count();
            Err(format!(
                "{}:{line}: want id, bytes, seed and number, as `loadgen put --ids` writes them",
                path.display()
            ))
        }
    }
}

fn parse(line: &str) -> Option<Object> {
    let mut fields = line.split('\t');
    let object = Object {
        id: fields.next()?.parse().ok()?,
        bytes: fields.next()?.parse().ok()?,
        key: Key { seed: fields.next()?.parse().ok()?, number: fields.next()?.parse().ok()? },
    };
    fields.next().is_none().then_some(object)
}

#[test]
fn lines_are_read_back() {
    let object =
        Object { id: "3-1f-00c0ffee00c0ffee".parse().unwrap(), key: Key { seed: u64::MAX, number: 0 }, bytes: 4096 };
    let line = format!("{}\t4096\t{}\t0", object.id, u64::MAX);
    assert_eq!(parse(&line), Some(object));
    assert_eq!(parse("3-1f-00c0ffee00c0ffee\t5\tpath"), None);
    assert_eq!(parse(&format!("{line}\tmore")), None);
    assert!(read(Path::new("/nowhere/ids")).unwrap_err().starts_with("/nowhere/ids: cannot read"));
}
