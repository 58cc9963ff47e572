//! Requests as bytes, for clients that behave as no HTTP library does.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::events::{SECRET, sign};

/// Returns a complete request that posts a signed body for instance 7.
pub fn request(body: &[u8]) -> Vec<u8> {
    request_to("/webhook/7", body)
}

/// Returns a complete request that posts a signed body to this path.
pub fn request_to(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Whapi-Signature: {}\r\nContent-Length: {}\r\n\r\n",
        sign(SECRET, body),
        body.len()
    );
    [head.into_bytes(), body.to_vec()].concat()
}

/// A connection that is reused and costs very little.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer. The head is text in lower case.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: TcpStream::connect(address).await?, buffer: Vec::with_capacity(1_024) })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads the next answer, whose head must state its length.
    ///
    /// # Errors
    /// If the connection ends before the answer does.
    pub async fn reply(&mut self) -> io::Result<Reply> {
        let head_end = loop {
            if let Some(end) = self.buffer.windows(4).position(|end| end == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).to_ascii_lowercase();
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        let end = head_end + length.unwrap_or(0);
        while self.buffer.len() < end {
            self.more().await?;
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let body = self.buffer[head_end..end].to_vec();
        self.buffer.drain(..end);
        Ok(Reply { status, head, body })
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Waits until the other end closes the connection in order.
    ///
    /// # Errors
    /// If the connection is reset.
    pub async fn closed(&mut self) -> io::Result<()> {
        while self.stream.read_buf(&mut self.buffer).await? > 0 {
            self.buffer.clear();
        }
        Ok(())
    }
}

impl Reply {
    /// Returns whether the server closes the connection after this answer.
    pub fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

/// Sends bytes and resets the connection.
pub async fn send_and_reset(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(bytes).await.expect("the server reads");
    stream.set_zero_linger().expect("the socket takes it");
}

/// Sends bytes and reads until the server closes the connection.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(bytes.as_ref()).await.expect("the server reads");
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it closes").expect("it answers");
    answer
}
