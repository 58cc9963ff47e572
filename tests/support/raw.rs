//! Requests as bytes, for clients that behave as no HTTP library does.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

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
