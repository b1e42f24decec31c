//! Servers for drivers, each on a port of loopback.

use larder::disk::MemoryDisk;
use larder::io::Directory;
use larder::node::{Configuration, MetaDirectory, Node};
use loadgen::driver::target::Target;
use loadgen::echo;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Far more than any server needs to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs.
pub struct Server {
    pub target: Target,
    /// Ended when this is dropped.
    _child: Option<Running>,
}

struct Running {
    child: Child,
    _place: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("a server of the test does not end: {error}");
        }
    }
}

pub fn target(text: &str) -> Target {
    text.parse().unwrap()
}

/// A node with names, its binary protocol and its HTTP.
pub fn node() -> (Node, Server, Server) {
    let configuration = Configuration {
        listen: "127.0.0.1:0".parse().unwrap(),
        http: "127.0.0.1:0".parse().unwrap(),
        processors: 1,
        segment_bytes: Some(64 << 20),
        reserve_bytes: Some(1 << 20),
        budget_in_bytes: 256 << 20,
        budget_out_bytes: 256 << 20,
        ..Configuration::default()
    };
    let names: MetaDirectory = Box::new(|| Ok(Arc::new(MemoryDisk::new())));
    let disk = Directory::of(Arc::new(MemoryDisk::new()));
    let node = Node::start_in(&configuration, vec![disk], Some(names), Arc::default()).unwrap();
    let binary = target(&node.address().to_string());
    let http = target(&format!("http://{}/load", node.http_address().unwrap()));
    let of = |target| Server { target, _child: None };
    (node, of(binary), of(http))
}

/// The thread of an echo server.
pub struct Echo(echo::Stopper, JoinHandle<io::Result<()>>);

impl Echo {
    pub fn end(self) {
        self.0.stop().unwrap();
        self.1.join().unwrap().unwrap();
    }
}

pub fn echo() -> (Server, Echo) {
    let server = echo::Server::new(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    let target = target(&format!("echo://{}", server.address().unwrap()));
    let stopper = server.stopper();
    (Server { target, _child: None }, Echo(stopper, std::thread::spawn(move || server.run())))
}

pub fn redis() -> Option<Server> {
    start("redis-server", "redis", "", |command, port, _| {
        command.args(["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    })
}

pub fn memcached() -> Option<Server> {
    start("memcached", "memcached", "", |command, port, _| {
        command.args(["-l", "127.0.0.1", "-p", port, "-U", "0", "-I", "8m", "-m", "512", "-u", "root"]);
    })
}

pub fn nginx() -> Option<Server> {
    start("nginx", "http", "/load", |command, port, place| {
        let here = place.path().display();
        let text = format!(
            "daemon off; master_process off; pid {here}/pid; error_log {here}/errors;
            events {{ }}
            http {{
                access_log off; client_max_body_size 0; client_body_temp_path {here}/bodies;
                proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi;
                uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
                server {{
                    listen 127.0.0.1:{port}; root {here}/files;
                    dav_methods PUT DELETE; create_full_put_path on;
                }}
            }}"
        );
        fs::write(place.path().join("configuration"), text).unwrap();
        command.arg("-p").arg(place.path()).arg("-e").arg(place.path().join("errors"));
        command.arg("-c").arg(place.path().join("configuration"));
    })
}

/// Starts a program, and waits until it listens; `None` if there is no such program.
fn start(program: &str, scheme: &str, path: &str, arguments: impl Fn(&mut Command, &str, &TempDir)) -> Option<Server> {
    let ends = Instant::now() + PATIENCE;
    loop {
        // Between here and its start another may take the port; then it ends, and there is another try.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let place = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        arguments(&mut command, &port.to_string(), &place);
        command.current_dir(place.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                eprintln!("skipped: {program} is not installed");
                return None;
            }
            Err(error) => panic!("{program}: {error}"),
        };
        let mut running = Running { child, _place: place };
        let target = target(&format!("{scheme}://127.0.0.1:{port}{path}"));
        while running.child.try_wait().unwrap().is_none() {
            if TcpStream::connect(target.address).is_ok() {
                return Some(Server { target, _child: Some(running) });
            }
            assert!(Instant::now() < ends, "{program} does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(Instant::now() < ends, "{program} does not start");
    }
}
