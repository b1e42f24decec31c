//! A connection to the HTTP origin that sends any bytes, and reads answers strictly: what RFC 9112 does not allow of a
//! server fails the test.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;

pub struct Http {
    pub socket: TcpStream,
    /// Bytes that were read behind an answer.
    pending: Vec<u8>,
}

/// An answer, and what its body was.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Bytes that were announced and did not come.
    pub missing: u64,
}

impl Answer {
    /// The value of the only field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} twice: {self:?}");
        value
    }

    /// The same, of a field that must be there.
    pub fn must(&self, name: &str) -> &str {
        self.field(name).unwrap_or_else(|| panic!("no {name} in {} {:?}", self.status, self.fields))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of an error, which is told as RFC and house want it.
    pub fn code(&self) -> String {
        assert!(self.status >= 400, "{self:?}");
        assert_eq!((self.must("Content-Type"), self.must("Cache-Control")), ("application/json", "no-store"));
        self.json()["code"].as_str().unwrap().to_owned()
    }

    /// Whether the connection goes on, as the answer says.
    pub fn keeps_alive(&self) -> bool {
        self.field("Connection") != Some("close")
    }
}

impl Http {
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the node listens");
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { socket, pending: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("the node reads");
    }

    /// Nothing more will be sent.
    pub fn half_close(&mut self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    /// A request with these fields besides Host, and a body if the method has one.
    pub fn ask(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut all = head(method, target, fields).into_bytes();
        if matches!(method, "PUT" | "POST") {
            all.truncate(all.len() - 2);
            all.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            all.extend_from_slice(body);
        }
        self.send(all);
        self.answer(method)
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.ask("GET", target, &[], b"")
    }

    pub fn get_with(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask("GET", target, fields, b"")
    }

    pub fn put(&mut self, target: &str, body: &[u8]) -> Answer {
        self.ask("PUT", target, &[], body)
    }

    /// The answer to a request of this method, whole.
    pub fn answer(&mut self, method: &str) -> Answer {
        let answer = self.cut_answer(method).expect("the node answers");
        assert_eq!(answer.missing, 0, "the answer is whole: {} {:?}", answer.status, answer.fields);
        answer
    }

    /// An answer that may end before its end; `None` when the connection ended before its first byte.
    pub fn cut_answer(&mut self, method: &str) -> Option<Answer> {
        let (status, fields) = self.head()?;
        let answer = Answer { status, fields, body: Vec::new(), missing: 0 };
        assert!(answer.field("Transfer-Encoding").is_none(), "{answer:?}");
        // RFC 9110, 6.6.1 and 10.2.4.
        let date = answer.must("Date");
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
        assert_eq!(answer.must("Server"), "larder");
        let length = answer.field("Content-Length").map(|digits| {
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0')));
            digits.parse::<u64>().unwrap()
        });
        // RFC 9112, 6.3: these have no body; RFC 9110, 8.6: a 204 has no Content-Length.
        let has_none = method == "HEAD" || matches!(status, 204 | 304);
        assert!(status != 204 || length.is_none(), "{answer:?}");
        assert!(has_none || length.is_some(), "only a length says where it ends: {answer:?}");
        let announced = if has_none { 0 } else { length.unwrap_or(0) };
        let body = self.body(usize::try_from(announced).unwrap());
        Some(Answer { missing: announced - body.len() as u64, body, ..answer })
    }

    /// The next head, which is that of 100 Continue.
    pub fn must_continue(&mut self) {
        let (status, fields) = self.head().expect("the node goes on");
        assert_eq!((status, fields.len()), (100, 0), "{fields:?}");
    }

    /// Whether the peer has ended the connection, with nothing more said.
    pub fn has_ended(&mut self) -> bool {
        self.pending.is_empty() && matches!(self.read(), Ok(0))
    }

    /// The same, and a reset is an end too: what was sent is lost either way.
    pub fn has_gone(&mut self) -> bool {
        self.pending.is_empty()
            && match self.read() {
                Ok(read) => read == 0,
                Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
            }
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut block = vec![0; 64 << 10];
        let read = self.socket.read(&mut block)?;
        self.pending.extend_from_slice(&block[..read]);
        Ok(read)
    }

    fn head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        let end = loop {
            if let Some(end) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            assert!(self.pending.len() < HEAD_BYTES_MAX, "a head without an end");
            if self.read().expect("the node answers") == 0 {
                assert!(self.pending.is_empty(), "half a head: {:?}", String::from_utf8_lossy(&self.pending));
                return None;
            }
        };
        let rest = self.pending.split_off(end + 4);
        let head = String::from_utf8(std::mem::replace(&mut self.pending, rest)).expect("heads of ours are text");
        let mut lines = head[..end].split("\r\n");
        let status = status_of(lines.next().unwrap());
        Some((status, lines.map(field_of).collect()))
    }

    fn body(&mut self, bytes: usize) -> Vec<u8> {
        while self.pending.len() < bytes {
            match self.read() {
                Ok(0) => return std::mem::take(&mut self.pending),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return std::mem::take(&mut self.pending),
                Err(error) => panic!("{error}"),
            }
        }
        let rest = self.pending.split_off(bytes);
        std::mem::replace(&mut self.pending, rest)
    }
}

/// The head of a request.
pub fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: larder\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

/// A body in chunks of these sizes, over and over.
pub fn chunked(body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut all, mut rest) = (Vec::new(), body);
    for size in sizes.iter().cycle() {
        let (chunk, behind) = rest.split_at(rest.len().min(*size));
        all.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        all.extend_from_slice(chunk);
        all.extend_from_slice(b"\r\n");
        rest = behind;
        if chunk.is_empty() {
            return all;
        }
    }
    all
}

/// RFC 9112, 4: `HTTP-version SP status-code SP [ reason-phrase ]`.
fn status_of(line: &str) -> u16 {
    let rest = line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("{line:?}"));
    let (code, phrase) = rest.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
    assert!(
        code.len() == 3 && !phrase.is_empty() && phrase.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
    );
    code.parse().unwrap()
}

/// RFC 9112, 5: `field-name ":" OWS field-value OWS`.
fn field_of(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?}"));
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(!name.is_empty() && name.bytes().all(is_token), "{line:?}");
    assert!(!value.bytes().any(|byte| byte.is_ascii_control()), "{line:?}");
    (name.to_owned(), value.trim_matches(' ').to_owned())
}
