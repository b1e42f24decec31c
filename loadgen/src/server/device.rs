//! The block device under a path.
//!
//! The thread that reports. Always: its figures are of all processes, so they are only the server's where nothing else reads.

use super::{Unreadable, files, text};
use crate::record::DeviceWork;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const DISKSTATS: &str = "/proc/diskstats";
const MOUNTINFO: &str = "/proc/self/mountinfo";

/// A block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    major: u32,
    minor: u32,
}

impl Device {
    /// That of the files under a path.
    ///
    /// # Errors
    /// The file that cannot be read; the path itself, where its files are on no block device.
    pub fn under(path: &Path) -> Result<Self, Unreadable> {
        let metadata = |path: &Path| std::fs::metadata(path).map_err(|error| Unreadable::new(path, error));
        let number = metadata(path)?.dev();
        let device = Self::numbered(number);
        let stats = text(Path::new(DISKSTATS))?;
        if device.is_in(&stats) {
            return Ok(device);
        }
        // Some filesystems have a number of their own; the mount names the device.
        let mounts = text(Path::new(MOUNTINFO))?;
        let source = files::mount_source(&mounts, device.major, device.minor).map(Path::new);
        if let Some(source) = source.filter(|source| source.is_absolute()) {
            let number = metadata(source)?.rdev();
            let device = Self::numbered(number);
            if device.is_in(&stats) {
                return Ok(device);
            }
        }
        Err(Unreadable::garbled(path, &format!("a path on a block device of {DISKSTATS}")))
    }

    /// The parts of a number as makedev(3) puts them together on Linux.
    fn numbered(number: u64) -> Self {
        let low = |number: u64| u32::try_from(number & u64::from(u32::MAX)).expect("the low half of 64 bits");
        Self {
            major: low(number >> 8) & 0xfff | low(number >> 32) & !0xfff,
            minor: low(number) & 0xff | low(number >> 12) & !0xff,
        }
    }

    /// What it has done.
    ///
    /// # Errors
    /// The file of devices cannot be read, or has it no longer.
    pub fn work(&self) -> Result<DeviceWork, Unreadable> {
        let path = Path::new(DISKSTATS);
        files::device_work(&text(path)?, self.major, self.minor)
            .ok_or_else(|| Unreadable::garbled(path, &format!("device {}:{}", self.major, self.minor)))
    }

    fn is_in(self, stats: &str) -> bool {
        files::device_work(stats, self.major, self.minor).is_some()
    }
}

#[test]
fn numbers_have_two_parts() {
    assert_eq!(Device::numbered(65024), Device { major: 254, minor: 0 });
    assert_eq!(Device::numbered(0x0001_2345_6789_abcd), Device { major: 0x1_29ab, minor: 0x3456_78cd });
}

#[test]
fn a_path_without_a_device_is_told() {
    let error = Device::under(Path::new("/proc")).unwrap_err().to_string();
    assert!(error.starts_with("/proc: cannot read: want a path on a block device"), "{error}");
    assert!(Device::under(Path::new("/nowhere")).unwrap_err().to_string().starts_with("/nowhere: cannot read"));
    let gone = Device { major: 4095, minor: 77 };
    assert!(gone.work().unwrap_err().to_string().ends_with("want device 4095:77"));
}
