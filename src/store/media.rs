//! Media jobs: the files that are still to be saved, and those that are.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::media::MediaJob;

/// The statements on `media` within a transaction that records events.
#[async_trait]
pub(super) trait MediaRows {
    /// Writes jobs as pending; one that is there already stays as it is.
    async fn insert_media(&mut self, jobs: &[MediaJob]) -> Result<(), StoreError>;

    /// Makes these jobs due at their time, with all their attempts before them, unless the file is stored.
    async fn wake_media(&mut self, jobs: &[MediaJob]) -> Result<(), StoreError>;
}
