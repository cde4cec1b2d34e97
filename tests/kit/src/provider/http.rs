//! Just enough HTTP/1.1 to serve requests, and to break off in every way that a real server can.

use std::fmt;
use std::time::Instant;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::error::{Context, Error, Result};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// "POST" and the like.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as JSON; null when it is none.
    pub json: Value,
    /// When it had arrived in full.
    pub at: Instant,
    /// Requests on one connection have one number here.
    pub connection: u64,
}

impl Request {
    /// The value of a header; its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The texts of all messages in the prompt, Anthropic's system text first.
    pub fn prompt(&self) -> String {
        let messages = self.json.get("messages").and_then(Value::as_array).into_iter().flatten();
        let texts = messages.filter_map(|message| message.get("content")?.as_str());
        let system = self.json.get("system").and_then(Value::as_str);
        system.into_iter().chain(texts).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} on connection {}: {}", self.method, self.path, self.connection, self.json)
    }
}

/// The next request of a connection; none when the client has closed it.
pub(super) async fn read_request(
    stream: &mut BufReader<TcpStream>,
    connection: u64,
) -> Result<Option<Request>> {
    let what = "reading a request";
    let mut line = String::new();
    if stream.read_line(&mut line).await.context(what)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Err(Error::new(format!("{what}: {line:?} is no request line")));
    };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.context(what)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(Ok(0), |(_, value)| value.parse()).context(what)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.context(what)?;
    let json = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Some(Request { method, path, headers, json, at: Instant::now(), connection }))
}

/// An answer before it is sent.
#[derive(Debug, Clone)]
pub(super) struct Response {
    pub status: u16,
    pub content_type: &'static str,
    /// Besides type and length.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn json(status: u16, body: &Value) -> Response {
        Response {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }

    fn head(&self) -> String {
        let mut head = format!(
            "HTTP/1.1 {} Stand-In\r\ncontent-type: {}\r\ncontent-length: {}\r\n",
            self.status,
            self.content_type,
            self.body.len()
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head
    }

    /// Sends the head, and the first `bytes` bytes of the body behind it.
    pub async fn send_part(&self, stream: &mut BufReader<TcpStream>, bytes: usize) -> Result {
        let mut message = self.head().into_bytes();
        message.extend_from_slice(&self.body[..bytes.min(self.body.len())]);
        send(stream, &message).await
    }

    pub async fn send(&self, stream: &mut BufReader<TcpStream>) -> Result {
        self.send_part(stream, self.body.len()).await
    }
}

pub(super) async fn send(stream: &mut BufReader<TcpStream>, bytes: &[u8]) -> Result {
    stream.write_all(bytes).await.context("sending an answer")?;
    stream.flush().await.context("sending an answer")
}

/// Waits until the client has closed the connection; what it still sends is thrown away.
pub(super) async fn closed(stream: &mut BufReader<TcpStream>) {
    let mut rest = [0; 1024];
    while matches!(stream.read(&mut rest).await, Ok(read) if read > 0) {}
}
