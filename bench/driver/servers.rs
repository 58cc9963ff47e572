//! A server that media come from, a bucket that they go to, and a receiver that events are forwarded to.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[path = "../../tests/support/gate.rs"]
#[expect(dead_code, reason = "the tests open it")]
mod gate;
#[path = "../../tests/support/s3.rs"]
#[expect(dead_code, reason = "the tests ask more of it")]
mod s3;

/// The size of the pieces in which a file is sent.
const PIECE: usize = 64 * 1024;

/// Serves a different file at each path, which looks like a picture.
pub async fn files(size: usize) {
    listen(move |client| serve(client, size)).await;
}

/// Takes events, and answers each after a while.
pub async fn receiver(delay: Duration) {
    listen(move |client| take(client, delay)).await;
}

/// Prints its URL, and serves each client until standard input is closed.
async fn listen<F: Future<Output = io::Result<()>> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
    println!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client));
        }
    });
    end_of_input().await;
}

async fn take(client: TcpStream, delay: Duration) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (reader, mut writer) = client.into_split();
    let (mut reader, mut line) = (BufReader::new(reader), String::new());
    let mut size = 0;
    while reader.read_line(&mut line).await? > 0 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            size = value.trim().parse().map_err(io::Error::other)?;
        }
        if line == "\r\n" {
            reader.read_exact(&mut vec![0; size]).await?;
            tokio::time::sleep(delay).await;
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
        }
        line.clear();
    }
    Ok(())
}

/// Answers requests one after the other. A client may disconnect at any point.
async fn serve(client: TcpStream, size: usize) -> io::Result<()> {
    let (reader, mut writer) = client.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(request) = lines.next_line().await? {
        while lines.next_line().await?.is_some_and(|header| !header.is_empty()) {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        let start = [b"\xFF\xD8\xFF\xE0", path.as_bytes()].concat();
        writer.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").as_bytes()).await?;
        writer.write_all(&start).await?;
        let rest = size - start.len();
        for place in 0..rest.div_ceil(PIECE) {
            writer.write_all(&[0; PIECE][..PIECE.min(rest - place * PIECE)]).await?;
        }
    }
    Ok(())
}

/// Serves a bucket in a temporary folder.
pub async fn bucket() {
    let server = s3::S3Server::start().await;
    let settings = server.settings().into_iter().map(|(name, value)| format!("{name}={value}"));
    println!("{}", Vec::from_iter(settings).join("\t"));
    end_of_input().await;
}

pub async fn end_of_input() {
    let ended = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    ended.await.expect("reading does not panic").expect("standard input can be read");
}
