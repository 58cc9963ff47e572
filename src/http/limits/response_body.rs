//! The body of a response on its way to the client: its bytes, and the permit for them.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::fair_semaphore::FairPermit;

/// The number of bytes that are handed to actix at once. actix copies them and asks for more when these are nearly written,
/// so a client that does not read holds no more than this outside the permit.
pub(crate) const CHUNK: usize = 32 * 1024;

/// A body that is sent in chunks. Its bytes and their permit are released with the last chunk, with the connection, or when
/// the time is up, whichever comes first. actix does not ask for the next chunk while a client does not read, so a separate
/// task releases them, and the connection ends when actix asks again.
pub(crate) struct ResponseBody {
    len: u64,
    left: usize,
    unsent: Arc<Mutex<Option<Unsent>>>,
    alarm: Option<AbortHandle>,
}

/// The bytes that are not sent yet, and the permit of the whole body.
struct Unsent {
    bytes: Bytes,
    _permit: FairPermit,
}

impl ResponseBody {
    /// Drops the bytes that the client has not read within `time`.
    pub(crate) fn new(bytes: Vec<u8>, permit: FairPermit, time: Duration) -> Self {
        let (len, left) = (bytes.len() as u64, bytes.len());
        let unsent = Arc::new(Mutex::new(Some(Unsent { bytes: bytes.into(), _permit: permit })));
        let alarm = (left > CHUNK).then(|| {
            let unsent = Arc::downgrade(&unsent);
            let alarm = tokio::spawn(async move {
                sleep(time).await;
                if let Some(unsent) = unsent.upgrade() {
                    release(&unsent);
                }
            });
            alarm.abort_handle()
        });
        Self { len, left, unsent, alarm }
    }
}

fn release(unsent: &Mutex<Option<Unsent>>) {
    *unsent.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

impl MessageBody for ResponseBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.len)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let size = self.left.min(CHUNK);
        let chunk = {
            let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
            unsent.as_mut().map(|unsent| unsent.bytes.split_to(size))
        };
        let Some(chunk) = chunk else { return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into()))) };
        self.left -= size;
        if self.left == 0 {
            release(&self.unsent);
        }
        Poll::Ready(Some(Ok(chunk)))
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(alarm) = &self.alarm {
            alarm.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::http::limits::fair_semaphore::FairSemaphore;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn body(len: usize, time: Duration) -> (ResponseBody, FairSemaphore) {
        let semaphore = FairSemaphore::new(4);
        let permit = semaphore.try_acquire(None, 1).expect("it is free");
        (ResponseBody::new(vec![b'x'; len], permit, time), semaphore)
    }

    async fn next(body: &mut ResponseBody) -> Option<io::Result<Bytes>> {
        poll_fn(|context| Pin::new(&mut *body).poll_next(context)).await
    }

    #[test]
    async fn the_permit_is_given_back_with_the_last_chunk() {
        let (mut body, semaphore) = body(2 * CHUNK + 1, HOUR);
        for size in [CHUNK, CHUNK, 1] {
            assert!(semaphore.try_acquire(None, 1).is_none());
            let chunk = next(&mut body).await.expect("there is more").expect("it is held");
            assert_eq!(chunk.len(), size);
        }
        assert!(semaphore.try_acquire(None, 1).is_some());
        assert!(next(&mut body).await.is_none());
    }

    #[test]
    async fn the_permit_is_given_back_when_the_connection_ends() {
        let (mut body, semaphore) = body(2 * CHUNK, HOUR);
        assert!(next(&mut body).await.is_some());
        drop(body);
        assert!(semaphore.try_acquire(None, 1).is_some());
    }

    #[test]
    async fn a_client_that_takes_too_long_gets_no_more_and_holds_nothing() {
        let (mut body, semaphore) = body(2 * CHUNK, Duration::from_millis(1));
        assert!(next(&mut body).await.is_some());
        assert!(semaphore.acquire(None, 1).await.is_some());
        let ended = next(&mut body).await.expect("it does not look whole").expect_err("it is cut");
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }
}
