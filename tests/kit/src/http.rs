//! A plain client of HTTP, for the daemon and for a Prometheus that looks at it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::{Context, Error, Result, within};

const PATIENCE: Duration = Duration::from_secs(10);

/// GETs a path with its query, such as `/readyz?verbose`: the status and the body.
///
/// # Errors
/// When there is no answer within ten seconds.
pub async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let what = format!("GET http://{address}{path}");
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.context(&what)?;
        // Of the old version, so that no answer comes in chunks.
        let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.context(&what)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.context(&what)?;
        Ok(answer)
    };
    let answer = within(PATIENCE, format_args!("the answer to {what}"), exchange).await??;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| Error::new(format!("{what}: no status in {head:?}")))?;
    Ok((status, body.to_owned()))
}

/// GETs a path as JSON, whatever its status.
///
/// # Errors
/// As [`get`], and when the body is no JSON.
pub async fn get_json(address: SocketAddr, path: &str) -> Result<Value> {
    let (_, body) = get(address, path).await?;
    serde_json::from_str(&body).context(format_args!("{path} says {body:?}"))
}

/// A text as it may stand in a query.
pub fn query_value(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::query_value;

    #[test]
    fn what_means_something_in_a_query_is_escaped() {
        assert_eq!(query_value("up{job=~\"é+\"}"), "up%7Bjob%3D~%22%C3%A9%2B%22%7D");
    }
}
