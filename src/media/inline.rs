//! The file inside an event, from the ledger to a file of ours.

use tokio::task::spawn_blocking;

use super::MediaParts;
use super::fetch::{Fetched, Fetcher};
use super::job::unasked;
use domain::media::source::{self, UnreadableData};
use domain::media::{LeasedJob, MediaFailure};

/// Looks for the file in the copies of the message, one at a time. The first copy that has it counts.
pub(super) async fn fetch(fetcher: &Fetcher, parts: &MediaParts, job: &LeasedJob) -> Result<Fetched, MediaFailure> {
    let _permit = fetcher.one_event().await;
    let (key, mut after) = (&job.lease.key, 0);
    loop {
        let copy = parts.store.copy_after(&key.instance_id, &key.message_id, after).await.map_err(unasked)?;
        let Some((seq, body)) = copy else {
            return Err(MediaFailure::Unreadable("the event with the file is no longer in the ledger".to_owned()));
        };
        let (source, max_size) = (job.source_url.clone(), fetcher.max_size());
        let found = spawn_blocking(move || source::in_event(&body, &source, max_size));
        match found.await.map_err(|_| MediaFailure::transient("buzon failed; its log says why"))? {
            None => after = seq,
            Some(Err(UnreadableData::TooLarge)) => return Err(fetcher.too_large()),
            Some(Err(error)) => return Err(MediaFailure::Unreadable(error.to_string())),
            Some(Ok(file)) if file.is_empty() => {
                return Err(MediaFailure::Unreadable("the file inside the event is empty".to_owned()));
            }
            Some(Ok(file)) => {
                return Ok(Fetched { spooled: fetcher.keep(&file).await?, file_name: None, stated_type: None });
            }
        }
    }
}
