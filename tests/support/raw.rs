//! Requests as bytes, for clients that behave as no HTTP library does.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;
use super::events::{SECRET, sign};

/// A whole request that posts a signed body for instance 7.
pub fn request(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /webhook/7 HTTP/1.1\r\nHost: localhost\r\nX-Whapi-Signature: {}\r\nContent-Length: {}\r\n\r\n",
        sign(SECRET, body),
        body.len()
    );
    [head.into_bytes(), body.to_vec()].concat()
}

/// Sends bytes and resets the connection.
pub async fn send_and_reset(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(bytes).await.expect("the server reads");
    stream.set_zero_linger().expect("the socket takes it");
}

/// Sends bytes and reads until the server closes.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(bytes.as_ref()).await.expect("the server reads");
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it closes").expect("it answers");
    answer
}
