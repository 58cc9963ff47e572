//! Lists of the files that came with messages.

use async_trait::async_trait;

use super::listing::{Condition, KeyColumn, ListSource, PageQuery, Question, Readable, merge, targets};
use super::media_reports::JobReport;
use crate::StoreError;
use domain::access::scope::Scope;
use domain::instance::InstanceId;
use domain::media::MediaState;
use domain::page::{Page, Paging, SortKey};

/// The contract of lists of files.
#[async_trait]
pub trait MediaLists: Send + Sync {
    /// A page of the files that `filter` lets through, by when their messages were.
    async fn list_media(
        &self,
        scope: &Scope,
        filter: &MediaFilter,
        paging: &Paging<SortKey>,
    ) -> Result<Page<JobReport, SortKey>, StoreError>;
}

/// Which files are wanted; what is not set lets all through.
#[derive(Clone, Debug, Default)]
pub struct MediaFilter {
    pub instance_id: Option<InstanceId>,
    pub message_id: Option<String>,
    pub state: Option<MediaState>,
    /// A content type, or the first part of some, such as `image/`.
    pub content_type: Option<String>,
    /// In bytes.
    pub min_size: Option<i64>,
    /// In bytes.
    pub max_size: Option<i64>,
}

/// The statements that list files.
#[async_trait]
pub(crate) trait MediaQueries {
    async fn media_rows(&mut self, listing: &ListSource, ask: &PageQuery<'_>) -> Result<Vec<JobReport>, StoreError>;
}

const MEDIA: ListSource = ListSource {
    table: "media",
    columns: "instance_id, message_id, source_sha256, state, reason, attempts, occurred_at, next_attempt_at, \
              object_key, size, content_type, file_name, stored_at",
    at: "occurred_at",
    rest: &[KeyColumn::Text("message_id"), KeyColumn::Bytes("source_sha256")],
};

/// What an index has of the content type: enough to tell `image` from `audio`.
pub(crate) const BEGINNING: &str = "substr(content_type, 1, 5)";
const BEGINNING_LENGTH: usize = 5;

#[async_trait]
impl<S: Readable> MediaLists for S {
    async fn list_media(
        &self,
        scope: &Scope,
        filter: &MediaFilter,
        paging: &Paging<SortKey>,
    ) -> Result<Page<JobReport, SortKey>, StoreError> {
        let mut reading = self.reading().await?;
        let targets = targets(&mut reading, scope, filter.instance_id.as_ref(), paging, &MEDIA).await?;
        let rows = reading.media_rows(&MEDIA, &PageQuery::new(&targets, &filter.conditions(), paging)).await?;
        reading.end().await?;
        Ok(merge(paging, rows, |job| {
            let rest = vec![job.message_id.clone(), hex::encode(job.source_sha256)];
            SortKey::new(job.occurred_at, &InstanceId::from_store(&job.instance_id), rest)
        }))
    }
}

impl MediaFilter {
    fn conditions(&self) -> Vec<Condition> {
        let content_type = self.content_type.clone().map(|text| match text.ends_with('/') {
            true => Condition::Begins("content_type", text),
            false => Condition::Is("content_type", text),
        });
        let beginning = self.content_type.as_ref().filter(|text| text.chars().count() >= BEGINNING_LENGTH);
        let beginning = beginning.map(|text| text.chars().take(BEGINNING_LENGTH).collect());
        let conditions = [
            self.message_id.clone().map(|id| Condition::Is("message_id", id)),
            self.state.map(|state| Condition::Is("state", state.as_str().to_owned())),
            beginning.map(|beginning| Condition::Is(BEGINNING, beginning)),
            content_type,
            self.min_size.map(|size| Condition::AtLeast("size", size)),
            self.max_size.map(|size| Condition::AtMost("size", size)),
        ];
        conditions.into_iter().flatten().collect()
    }
}
