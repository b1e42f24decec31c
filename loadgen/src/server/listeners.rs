//! Which processes listen on an address of this machine.
//!
//! The thread that reports, once. Always: all processes that hold the socket are found, as a master and its workers that
//! inherited it; or an error says which could not be looked into.

use super::{Pid, Unreadable, files, numbers_in, text};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The processes that listen on an address; none if nothing on this machine does.
///
/// # Errors
/// The file that cannot be read; the open files of a process of another user that has the socket, or may.
pub fn processes_listening_on(address: SocketAddr) -> Result<Vec<Pid>, Unreadable> {
    let mut listeners = Vec::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let path = Path::new(file);
        match text(path) {
            Ok(text) => listeners
                .extend(files::listeners(&text).ok_or_else(|| Unreadable::garbled(path, "a table of sockets"))?),
            // A kernel without IPv6.
            Err(error) if error.is_gone() && file.ends_with('6') => {}
            Err(error) => return Err(error),
        }
    }
    let inodes = inodes_for(address, &listeners);
    if inodes.is_empty() { Ok(Vec::new()) } else { holders(&inodes) }
}

/// Those of the listeners that connections to this address come to.
fn inodes_for(address: SocketAddr, listeners: &[files::Listener]) -> BTreeSet<u64> {
    let nearness = |listener: &files::Listener| {
        let (ip, own) = (address.ip().to_canonical(), listener.address.ip().to_canonical());
        match own {
            _ if listener.address.port() != address.port() => 0,
            own if own == ip || ip.is_unspecified() => 3,
            own if own.is_unspecified() && own.is_ipv4() == ip.is_ipv4() => 2,
            // It takes connections of the older kind too, unless it was told not to; then nothing does.
            own if own == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => 1,
            _ => 0,
        }
    };
    let nearest = listeners.iter().map(nearness).max().unwrap_or(0).max(1);
    listeners.iter().filter(|listener| nearness(listener) == nearest).map(|listener| listener.inode).collect()
}

/// The processes that have one of these sockets open.
fn holders(inodes: &BTreeSet<u64>) -> Result<Vec<Pid>, Unreadable> {
    let (mut found, mut closed) = (Vec::new(), Vec::new());
    for pid in numbers_in(Path::new("/proc"))?.into_iter().map(Pid) {
        match holds(pid, inodes) {
            Ok(true) => found.push(pid),
            Ok(false) => {}
            Err(error) if error.is_gone() => {}
            Err(error) if error.error.kind() == io::ErrorKind::PermissionDenied => closed.push((pid, error)),
            Err(error) => return Err(error),
        }
    }
    // Workers of another user would be missing from the costs. Others that cannot be looked into are not the server's: a
    // parent among them is often the first process of the machine.
    for (pid, error) in closed {
        if found.is_empty() || found.iter().any(|other| parent(pid) == Some(*other)) {
            return Err(error);
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn holds(pid: Pid, inodes: &BTreeSet<u64>) -> Result<bool, Unreadable> {
    let directory = pid.file("fd");
    for descriptor in numbers_in(&directory)? {
        let path = directory.join(descriptor.to_string());
        match std::fs::read_link(&path) {
            Ok(link) => {
                if link.to_str().and_then(files::socket_inode).is_some_and(|inode| inodes.contains(&inode)) {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Unreadable::new(&path, error)),
        }
    }
    Ok(false)
}

/// The parent, unless the process has ended meanwhile: then it is nobody's relative.
fn parent(pid: Pid) -> Option<Pid> {
    let stat = text(&pid.file("stat")).ok()?;
    files::stat(&stat).map(|stat| Pid(stat.parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::process::Command;

    #[test]
    fn the_nearest_listener_is_meant() {
        let listeners: Vec<files::Listener> = [
            "127.0.0.1:80",
            "0.0.0.0:80",
            "[::]:80",
            "0.0.0.0:81",
            "[::]:81",
            "[::]:82",
            "[::1]:83",
            "127.0.0.2:84",
            "127.0.0.2:84",
        ]
        .iter()
        .zip(1..)
        .map(|(address, inode)| files::Listener { address: address.parse().unwrap(), inode })
        .collect();
        for (address, inodes) in [
            ("127.0.0.1:80", vec![1]),
            ("127.0.0.2:80", vec![2]),
            ("[::1]:80", vec![3]),
            ("127.0.0.1:81", vec![4]),
            ("127.0.0.1:82", vec![6]),
            ("[::ffff:127.0.0.1]:80", vec![1]),
            ("127.0.0.1:83", vec![]),
            ("127.0.0.2:84", vec![8, 9]),
            ("127.0.0.1:85", vec![]),
        ] {
            assert_eq!(inodes_for(address.parse().unwrap(), &listeners), inodes.into_iter().collect(), "{address}");
        }
    }

    #[test]
    fn a_child_that_inherited_the_socket_is_found() {
        for address in ["127.0.0.1:0", "0.0.0.0:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let found = || processes_listening_on(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
            // Children of other tests have it too, until they begin their program; so it is never the whole list.
            assert!(found().contains(&Pid::own()));
            rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
            let mut child = Command::new("sleep").arg("600").spawn().unwrap();
            let both = found();
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(both.contains(&Pid::own()) && both.contains(&Pid(child.id())), "{both:?}");
            drop(listener);
            assert!(!found().contains(&Pid::own()));
        }
    }
}
