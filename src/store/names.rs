//! Names of files in a data directory, made from integers only.

use crate::base::ids::{Sequence, VolumeId};

/// Held against other processes.
pub const LOCK: &str = "lock";
/// Who this disk is.
pub const SUPERBLOCK: &str = "superblock";
/// Which volumes and segments there are.
pub const MANIFEST: &str = "manifest";
/// How far the open segments were synced.
pub const MARK: &str = "mark";
/// How far the scrub is.
pub const SCRUB: &str = "scrub";
/// Room kept for deletes and compaction on a full disk.
pub const RESERVE: &str = "reserve";

const SEGMENT_SUFFIX: &str = ".segment";
const INDEX_SUFFIX: &str = ".index";

/// The file of the segment that begins with `base`.
#[must_use]
pub fn segment(volume: VolumeId, base: Sequence) -> String {
    format!("v{:08x}-{:016x}{SEGMENT_SUFFIX}", volume.0, base.0)
}

/// Volume and base of a segment's name; `None` for any other name, and for any but the canonical spelling.
#[must_use]
pub fn parse_segment(name: &str) -> Option<(VolumeId, Sequence)> {
    let (volume, base) = name.strip_prefix('v')?.strip_suffix(SEGMENT_SUFFIX)?.split_once('-')?;
    let id = (VolumeId(u32::from_str_radix(volume, 16).ok()?), Sequence(u64::from_str_radix(base, 16).ok()?));
    (segment(id.0, id.1) == name).then_some(id)
}

/// The file of a segment in one of its editions: 0 is as it was appended, each compaction makes the next one.
#[must_use]
pub fn edition(volume: VolumeId, base: Sequence, edition: u32) -> String {
    if edition == 0 {
        segment(volume, base)
    } else {
        format!("v{:08x}-{:016x}-{edition:08x}{SEGMENT_SUFFIX}", volume.0, base.0)
    }
}

/// Volume, base and edition of a segment's name; `None` for any other name, and for any but the canonical spelling.
#[must_use]
pub fn parse_edition(name: &str) -> Option<(VolumeId, Sequence, u32)> {
    if let Some((volume, base)) = parse_segment(name) {
        return Some((volume, base, 0));
    }
    let (front, number) = name.strip_suffix(SEGMENT_SUFFIX)?.rsplit_once('-')?;
    let (volume, base) = parse_segment(&format!("{front}{SEGMENT_SUFFIX}"))?;
    let number = u32::from_str_radix(number, 16).ok()?;
    (number > 0 && edition(volume, base, number) == name).then_some((volume, base, number))
}

/// The index file of a segment in one of its editions.
#[must_use]
pub fn index(volume: VolumeId, base: Sequence, number: u32) -> String {
    let segment = edition(volume, base, number);
    format!("{}{INDEX_SUFFIX}", segment.strip_suffix(SEGMENT_SUFFIX).unwrap_or(&segment))
}

/// Volume, base and edition of an index file's name; `None` for any other name.
#[must_use]
pub fn parse_index(name: &str) -> Option<(VolumeId, Sequence, u32)> {
    parse_edition(&format!("{}{SEGMENT_SUFFIX}", name.strip_suffix(INDEX_SUFFIX)?))
}

/// Where a segment that the manifest never named is moved to, and a damaged manifest is copied to.
#[must_use]
pub fn aside(name: &str, number: u32) -> String {
    if number == 0 { format!("{name}.aside") } else { format!("{name}-{number}.aside") }
}

/// Where a torn tail is copied to.
#[must_use]
pub fn torn(name: &str, number: u32) -> String {
    format!("{name}.torn-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_names_are_segments() {
        let name = segment(VolumeId(1), Sequence(0));
        assert_eq!(name, "v00000001-0000000000000000.segment");
        assert_eq!(parse_segment(&name), Some((VolumeId(1), Sequence(0))));
        for other in [
            "v1-0.segment",
            "v0000000A-0000000000000000.segment",
            "manifest",
            "v00000001-0000000000000000.segment.aside",
            "v00000001-0000000000000000-00000001.segment",
        ] {
            assert_eq!(parse_segment(other), None, "{other}");
        }
        let copy = edition(VolumeId(1), Sequence(0), 2);
        assert_eq!(copy, "v00000001-0000000000000000-00000002.segment");
        assert_eq!(parse_edition(&copy), Some((VolumeId(1), Sequence(0), 2)));
        assert_eq!(parse_edition(&name), Some((VolumeId(1), Sequence(0), 0)));
        assert_eq!(parse_edition("v00000001-0000000000000000-00000000.segment"), None);
        assert_eq!(parse_edition("v00000001-0000000000000000-2.segment"), None);
        for number in [0, 2] {
            let name = index(VolumeId(1), Sequence(10), number);
            assert_eq!(parse_index(&name), Some((VolumeId(1), Sequence(10), number)), "{name}");
        }
        assert_eq!(index(VolumeId(1), Sequence(0), 2), "v00000001-0000000000000000-00000002.index");
        assert_eq!(parse_index("v00000001-0000000000000000.segment"), None);
    }
}
