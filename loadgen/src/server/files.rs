//! What the files of `/proc` say. Pure functions of their texts; `None`: the text is not of that kind.

use super::reading::Times;
use crate::record::DeviceWork;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket that listens, of `/proc/net/tcp` or `tcp6`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) inode: u64,
}

/// Sockets that listen.
pub(super) fn listeners(text: &str) -> Option<Vec<Listener>> {
    const LISTENS: &str = "0A";
    let mut found = Vec::new();
    for line in text.lines().skip(1) {
        let mut fields = line.split_whitespace();
        let address = fields.nth(1)?;
        if fields.nth(1)? == LISTENS {
            found.push(Listener { address: socket_address(address)?, inode: fields.nth(5)?.parse().ok()? });
        }
    }
    Some(found)
}

/// Words of the address as this processor stores them, and the port.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.as_flattened().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The inode of `socket:[1234]`.
pub(super) fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) has_ended: bool,
    pub(super) parent: u32,
    /// CPU time of all threads, those that ended too, in hundredths of a second.
    pub(super) ticks: u64,
}

pub(super) fn stat(text: &str) -> Option<Stat> {
    // The name may have anything in it, brackets and blanks too.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        has_ended: matches!(*fields.first()?, "Z" | "X" | "x"),
        parent: u32::try_from(number(1)?).ok()?,
        ticks: number(11)?.checked_add(number(12)?)?,
    })
}

/// Of `/proc/PID/task/TID/schedstat`: time on a processor, ready without one, and how often it was given one.
pub(super) fn schedstat(text: &str) -> Option<Times> {
    let mut fields = text.split_whitespace().map(|field| field.parse().ok());
    Some(Times { cpu_ns: fields.next()??, wait_ns: fields.next()??, switches: fields.next()?? })
}

/// Of `/proc/PID/status`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// Zero for what has no memory of its own any more.
    pub(super) resident_bytes: u64,
    pub(super) resident_bytes_max: u64,
    /// As taskset writes them.
    pub(super) processors: String,
}

pub(super) fn status(text: &str) -> Option<Status> {
    let field = |name: &str| value(text, name);
    let bytes = |name: &str| field(name).map_or(Some(0), kibibytes);
    Some(Status {
        resident_bytes: bytes("VmRSS")?,
        resident_bytes_max: bytes("VmHWM")?,
        processors: field("Cpus_allowed_list")?.to_string(),
    })
}

/// Of `/proc/PID/io`: bytes that came from devices, and bytes that were made to be written to them.
pub(super) fn io(text: &str) -> Option<(u64, u64)> {
    Some((value(text, "read_bytes")?.parse().ok()?, value(text, "write_bytes")?.parse().ok()?))
}

/// Of `/proc/diskstats`: what a device has done. Its sectors are of 512 bytes, whatever those of the device are.
pub(super) fn device_work(text: &str, major: u32, minor: u32) -> Option<DeviceWork> {
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        if (number(0)?, number(1)?) != (major.into(), minor.into()) {
            return None;
        }
        Some(DeviceWork {
            reads: number(3)?,
            read_bytes: number(5)?.saturating_mul(SECTOR_BYTES),
            writes: number(7)?,
            written_bytes: number(9)?.saturating_mul(SECTOR_BYTES),
        })
    })
}

const SECTOR_BYTES: u64 = 512;

/// Of `/proc/self/mountinfo`: what is mounted where files have this device number.
pub(super) fn mount_source(text: &str, major: u32, minor: u32) -> Option<&str> {
    let device = format!("{major}:{minor}");
    text.lines().find_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        if mount.split(' ').nth(2)? == device { source.split(' ').nth(1) } else { None }
    })
}

/// Of `/proc/cpuinfo`: the model, as far as it says so, and whether a hypervisor is below.
pub(super) fn processor(text: &str) -> (String, bool) {
    let model = value(text, "model name").or_else(|| value(text, "Model")).unwrap_or("unknown");
    let is_virtual = value(text, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    (model.to_string(), is_virtual)
}

/// Of `/proc/meminfo`: memory in bytes.
pub(super) fn memory_bytes(text: &str) -> Option<u64> {
    kibibytes(value(text, "MemTotal")?)
}

/// How many processors a list such as `0-3,8` has.
pub(super) fn processor_count(list: &str) -> Option<u32> {
    list.split(',').try_fold(0u32, |count, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// What stands behind `name:`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim_end() == name).then_some(value.trim())
    })
}

fn kibibytes(value: &str) -> Option<u64> {
    value.strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn sockets_that_listen_are_found() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let rest = "00000000:00000000 00:00000000 00000000     0        0";
        let text = format!(
            "{head}   0: 0100007F:1CE8 00000000:0000 0A {rest} 1060 1 00000000b6bc57ad 100 0 0 10 0\n   \
             1: 0100007F:1CE8 0100007F:9C40 01 {rest} 1061 1 0 20 4 30 10 -1\n   \
             2: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A {rest} 77 1 0 100\n   \
             3: 0000000000000000FFFF00000100007F:FFFF 00000000000000000000000000000000:0000 0A {rest} 78 1 0 100\n"
        );
        let found: Vec<(String, u64)> =
            listeners(&text).unwrap().iter().map(|listener| (listener.address.to_string(), listener.inode)).collect();
        let want = [("127.0.0.1:7400", 1060), ("[::1]:80", 77), ("[::ffff:127.0.0.1]:65535", 78)];
        assert_eq!(found, want.map(|(address, inode)| (address.to_string(), inode)));
        assert_eq!(listeners(head), Some(Vec::new()));
        for bad in ["0: 0100007F 0:0 0A 0 0 0 0 0 1", "0: 0100007Z:1 0:0 0A 0 0 0 0 0 1", "0: 0100007F:1 0:0 0A 0", "x"]
        {
            assert_eq!(listeners(&format!("{head}{bad}")), None, "{bad}");
        }
    }

    #[test]
    fn links_to_sockets_are_told_from_others() {
        assert_eq!(socket_inode("socket:[123]"), Some(123));
        for other in ["/dev/null", "pipe:[123]", "socket:[]", "socket:[1", "anon_inode:[eventpoll]"] {
            assert_eq!(socket_inode(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_cannot_shift_the_fields_of_stat() {
        let text = "7 (a) Z (b) S 3 7 7 0 -1 4194560 20 66 0 12 2384 13203 420 57 20 0 13 0 21 4574 38";
        assert_eq!(stat(text), Some(Stat { has_ended: false, parent: 3, ticks: 2384 + 13203 }));
        let text = "7 (sh) Z 3 7 7 0 -1 4194560 20 66 0 12 1 2 420";
        assert_eq!(stat(text), Some(Stat { has_ended: true, parent: 3, ticks: 3 }));
        for bad in ["", "7 (sh", "7 (sh) S 3 7 7", "7 (sh) S x 7 7 0 -1 4194560 20 66 0 12 1 2 420"] {
            assert_eq!(stat(bad), None, "{bad}");
        }
    }

    #[test]
    fn figures_of_threads_and_processes() {
        assert_eq!(schedstat("593847 12 1\n"), Some(Times { cpu_ns: 593_847, wait_ns: 12, switches: 1 }));
        assert_eq!([schedstat(""), schedstat("5 6"), schedstat("-5 1 1")], [None; 3]);

        let text = "Name:\tselector 1\nState:\tR (running)\nVmHWM:\t    1696 kB\nVmRSS:\t    1024 kB\n\
                    Cpus_allowed:\t3\nCpus_allowed_list:\t0-1\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t2\n";
        let want = Status { resident_bytes: 1 << 20, resident_bytes_max: 1696 << 10, processors: "0-1".to_string() };
        assert_eq!(status(text), Some(want));
        let without_memory: String =
            text.lines().filter(|line| !line.starts_with("Vm")).map(|line| format!("{line}\n")).collect();
        assert_eq!(status(&without_memory).map(|status| status.resident_bytes), Some(0));
        assert_eq!(status(&text.replace("1024 kB", "1024 MB")), None);
        assert_eq!(status("Name:\tx\n"), None);

        let text = "rchar: 6987\nwchar: 11\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 1\n";
        assert_eq!(io(text), Some((4096, 8192)));
        assert_eq!(io("rchar: 5\n"), None);
    }

    #[test]
    fn devices_and_mounts() {
        let text = "   7       0 loop0 347184 5761 1164 308988 1 2 3 4\n 254       0 vda 44 8 10 81 70 5 20 9 0\n";
        let work = DeviceWork { reads: 44, read_bytes: 5_120, writes: 70, written_bytes: 10_240 };
        assert_eq!(device_work(text, 254, 0), Some(work));
        assert_eq!(device_work(text, 7, 0).map(|work| work.reads), Some(347_184));
        assert_eq!([device_work(text, 254, 1), device_work("", 254, 0)], [None; 2]);
        let text =
            "22 27 0:21 / /proc rw,relatime - proc proc rw\n29 1 0:35 /sub /data rw shared:1 - btrfs /dev/vdb rw,x=1\n";
        assert_eq!(mount_source(text, 0, 35), Some("/dev/vdb"));
        assert_eq!(mount_source(text, 0, 3), None);
    }

    #[test]
    fn figures_of_the_machine() {
        let text =
            "processor\t: 0\nmodel\t\t: 207\nmodel name\t: Intel(R) Xeon(R)\nflags\t\t: fpu hypervisor lahf_lm\n";
        assert_eq!(processor(text), ("Intel(R) Xeon(R)".to_string(), true));
        assert!(!processor(&text.replace("hypervisor", "hypervisors")).1);
        assert_eq!(processor("processor\t: 0\n"), ("unknown".to_string(), false));
        assert_eq!(memory_bytes("MemTotal:       24664988 kB\nMemFree: 1 kB\n"), Some(24_664_988 << 10));
        assert_eq!(memory_bytes("MemFree: 1 kB\n"), None);
        for (list, count) in
            [("0", Some(1)), ("0-1", Some(2)), ("0-3,8,10-11", Some(7)), ("", None), ("3-1", None), ("a", None)]
        {
            assert_eq!(processor_count(list), count, "{list}");
        }
    }
}
