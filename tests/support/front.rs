//! Servers of others that run beside the node or in front of it, when they are installed.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server that listens. It is killed when this is dropped.
pub struct Front {
    child: Child,
    /// Where it listens, in the order of its configuration.
    pub addresses: Vec<SocketAddr>,
}

/// What HAProxy writes to its output, in its directory.
pub const HAPROXY_LOG: &str = "haproxy.log";

/// Times that a start is tried: a port that was free may be taken by somebody else meanwhile.
const STARTS_MAX: usize = 5;

impl Front {
    /// nginx, in one process that writes only below `directory`. `http` makes the block of that name from as many
    /// addresses as it shall listen on. `None`, and a line that says so, where it is not installed.
    pub fn nginx(directory: &Path, listens: usize, http: impl Fn(&[SocketAddr]) -> String) -> Option<Self> {
        if !is_installed("nginx", "-v") {
            eprintln!("skipped: nginx is not installed");
            return None;
        }
        let path = directory.join("nginx.conf");
        let start = |addresses: &[SocketAddr]| {
            let text = format!(
                "daemon off; master_process off; pid nginx.pid; error_log error.log;\nevents {{ worker_connections 512; }}\n\
                 http {{ client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; \
                 scgi_temp_path s;\n{}\n}}\n",
                http(addresses)
            );
            std::fs::write(&path, text).unwrap();
            let mut command = Command::new("nginx");
            command.arg("-p").arg(directory).arg("-c").arg(&path).arg("-e").arg("error.log").stdout(Stdio::null());
            command
        };
        Some(Self::start(listens, start))
    }

    /// HAProxy with this configuration, in the same way.
    pub fn haproxy(directory: &Path, configuration: impl Fn(SocketAddr) -> String) -> Option<Self> {
        if !is_installed("haproxy", "-v") {
            eprintln!("skipped: haproxy is not installed");
            return None;
        }
        let path = directory.join("haproxy.cfg");
        let start = |addresses: &[SocketAddr]| {
            std::fs::write(&path, configuration(addresses[0])).unwrap();
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(&path).stdout(File::create(directory.join(HAPROXY_LOG)).unwrap());
            command
        };
        Some(Self::start(1, start))
    }

    fn start(listens: usize, command: impl Fn(&[SocketAddr]) -> Command) -> Self {
        for _ in 0..STARTS_MAX {
            let addresses = free(listens);
            let mut command = command(&addresses);
            command.stdin(Stdio::null()).stderr(Stdio::null());
            let mut front = Self { child: command.spawn().expect("it starts"), addresses };
            if front.listens() {
                return front;
            }
        }
        panic!("it never listened; see the log beside its configuration");
    }

    fn listens(&mut self) -> bool {
        let mut ended = false;
        super::eventually("the server listens, or has ended", || {
            ended = self.child.try_wait().unwrap().is_some();
            ended || self.addresses.iter().all(|address| TcpStream::connect(address).is_ok())
        });
        !ended
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn free(count: usize) -> Vec<SocketAddr> {
    let all: Vec<_> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
    all.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

fn is_installed(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
