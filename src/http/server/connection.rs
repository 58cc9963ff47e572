//! A connection that ends, whatever its client does.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::http::limits::connection_limiter::ConnectionPermit;

/// A connection that fails if nothing could be written to the client for a time.
///
/// actix limits the first head of a connection and the time between two requests. It does not limit the head of a second
/// request that does not end, a chunked body that does not end after its response, or a response that is not read. Each
/// of these would keep its socket forever. In all of them nothing is written any more, whereas every request has its
/// response within seconds and a stream has its heartbeat.
pub struct Connection<T> {
    io: T,
    limit: Duration,
    last_written: Instant,
    alarm: Pin<Box<Sleep>>,
    /// Given back when the connection ends.
    permit: Option<ConnectionPermit>,
}

impl<T> Connection<T> {
    pub fn new(io: T, limit: Duration) -> Self {
        Self { io, limit, last_written: Instant::now(), alarm: Box::pin(sleep(limit)), permit: None }
    }

    /// Holds the permit as long as the connection is open.
    pub fn holding(mut self, permit: ConnectionPermit) -> Self {
        self.permit = Some(permit);
        self
    }

    /// Is ready when the limit has passed.
    fn poll_limit(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let end = self.last_written + self.limit;
            if end <= Instant::now() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.alarm.as_mut().reset(end);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_read(context, buffer) {
            Poll::Pending => self.poll_limit(context).map(Err),
            read => read,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.io).poll_write(context, bytes) {
            Poll::Pending => self.poll_limit(context).map(Err),
            written => {
                self.last_written = Instant::now();
                written
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::future::poll_immediate;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(20);

    #[test]
    async fn a_client_that_sends_a_byte_now_and_then_and_gets_nothing_does_not_keep_it() {
        let (mut client, server) = duplex(64);
        let mut connection = Connection::new(server, LIMIT);
        let mut bytes = Vec::new();
        let ended = loop {
            client.write_all(b"x").await.expect("it takes a byte");
            if let Err(error) = connection.read_buf(&mut bytes).await {
                break error;
            }
            if let Err(error) = connection.read_buf(&mut bytes).await {
                break error;
            }
        };
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    async fn a_client_that_does_not_read_does_not_keep_it() {
        let (_client, server) = duplex(64);
        let ended = Connection::new(server, LIMIT).write_all(&[0; 1_000]).await.expect_err("there is no room");
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    async fn a_write_after_the_alarm_was_set_postpones_it() {
        let (_client, server) = duplex(64);
        let mut connection = Connection::new(server, LIMIT);
        sleep(LIMIT).await;
        connection.limit = Duration::from_secs(3_600);
        connection.write_all(b"x").await.expect("there is room");
        assert!(poll_immediate(poll_fn(|context| connection.poll_limit(context))).await.is_none());
        assert!(connection.alarm.deadline() > Instant::now());
    }
}
