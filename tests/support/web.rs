//! A client of HTTP that sends exact bytes, also wrong ones, and reads what comes back without mending it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Names in small letters, and values, in order.
pub type Fields = Vec<(String, String)>;

/// A final answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAnswer {
    pub status: u16,
    pub fields: Fields,
    pub body: Vec<u8>,
    /// Statuses of the answers before it, such as 100.
    pub interim: Vec<u16>,
}

impl WebAnswer {
    /// The value of a field that is there once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let value = found.next();
        assert!(found.next().is_none(), "{name} is repeated: {:?}", self.fields);
        value
    }

    pub fn says_close(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// A connection.
pub struct Web {
    socket: TcpStream,
    /// What came and was not read.
    ahead: Vec<u8>,
}

impl Web {
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("it listens");
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { socket, ahead: Vec::new() }
    }

    /// Sends bytes. Whoever ends the connection meanwhile may have answered before.
    pub fn send(&mut self, bytes: &[u8]) {
        match self.socket.write_all(bytes) {
            Err(error) if is_end(&error) => {}
            other => other.expect("the other side reads"),
        }
    }

    /// No more will be sent.
    pub fn send_end(&mut self) {
        // It may have ended.
        let _ended = self.socket.shutdown(std::net::Shutdown::Write);
    }

    /// How long to wait for bytes.
    pub fn wait_at_most(&mut self, time: Duration) {
        self.socket.set_read_timeout(Some(time)).unwrap();
    }

    /// The next answer; `None` when the connection ended before it. `is_head`: the request was HEAD.
    ///
    /// # Errors
    /// What came is no answer, or not all of it came, or nothing did in time.
    pub fn answer(&mut self, is_head: bool) -> io::Result<Option<WebAnswer>> {
        let mut interim = Vec::new();
        loop {
            let Some((status, fields)) = self.head()? else { return Ok(None) };
            if (100..200).contains(&status) {
                interim.push(status);
                continue;
            }
            let mut answer = WebAnswer { status, fields, body: Vec::new(), interim };
            if !is_head && !matches!(status, 204 | 304) {
                answer.body = self.body(&answer)?;
            }
            return Ok(Some(answer));
        }
    }

    /// One request and its answer.
    pub fn ask(&mut self, request: &[u8]) -> WebAnswer {
        self.send(request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(300)]).into_owned();
        let answer = self
            .answer(request.trim_ascii_start().starts_with(b"HEAD "))
            .unwrap_or_else(|error| panic!("{shown:?}: {error}"));
        answer.unwrap_or_else(|| panic!("not answered: {shown:?}"))
    }

    /// Whether the connection has ended, and nothing else came.
    pub fn has_ended(&mut self) -> bool {
        self.ahead.is_empty() && matches!(self.more(), Ok(0))
    }

    /// Whether the connection ends, after whatever else comes.
    pub fn ends(&mut self) -> bool {
        loop {
            match self.more() {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    fn head(&mut self) -> io::Result<Option<(u16, Fields)>> {
        let end = loop {
            if let Some(at) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if self.more()? == 0 {
                return if self.ahead.is_empty() { Ok(None) } else { Err(wrong("a part of a head")) };
            }
        };
        let head: Vec<u8> = self.ahead.drain(..end + 4).take(end).collect();
        let head = String::from_utf8(head).map_err(|_| wrong("a head that is not text"))?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok());
        let status = status.ok_or_else(|| wrong("no status"))?;
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let fields = lines.map(field).collect::<Option<_>>().ok_or_else(|| wrong("a line without a colon"))?;
        Ok(Some((status, fields)))
    }

    fn body(&mut self, answer: &WebAnswer) -> io::Result<Vec<u8>> {
        match (answer.field("transfer-encoding"), answer.field("content-length")) {
            (Some("chunked"), None) => self.chunks(),
            (None, Some(length)) => {
                let length = length.parse().map_err(|_| wrong("not a length"))?;
                self.bytes(length)
            }
            (None, None) => {
                while self.more()? > 0 {}
                Ok(std::mem::take(&mut self.ahead))
            }
            other => Err(wrong(&format!("{other:?}"))),
        }
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                    break self.bytes(at + 2)?;
                }
                if self.more()? == 0 {
                    return Err(wrong("a part of a chunk"));
                }
            };
            let digits = String::from_utf8_lossy(&line).trim().to_owned();
            let length = usize::from_str_radix(&digits, 16).map_err(|_| wrong("not a chunk"))?;
            let chunk = self.bytes(length + 2)?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }

    fn bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if self.more()? == 0 {
                return Err(wrong(&format!("{} of {length} bytes", self.ahead.len())));
            }
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut piece = [0; 1 << 16];
        let bytes = match self.socket.read(&mut piece) {
            Err(error) if is_end(&error) => 0,
            other => other?,
        };
        self.ahead.extend_from_slice(&piece[..bytes]);
        Ok(bytes)
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
