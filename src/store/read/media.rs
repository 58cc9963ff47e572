//! Files of messages, their jobs, and the files that are stored.

use async_trait::async_trait;

use super::index::{Index, MEDIA_CHAT, MEDIA_STATE, MEDIA_TYPE, OF_MESSAGE, TYPE_PREFIX, TYPE_PREFIX_LENGTH};
use super::listing::{Condition, KeyColumn, KeyRange, ListSource, PageQuery, instances, merge, places};
use crate::Store;
use crate::StoreError;
use crate::error::count;
use domain::access::scope::Scope;
use domain::chat::chat_kind::ChatKinds;
use domain::instance::InstanceId;
use domain::media::object_key::ObjectKey;
use domain::media::{MediaJobCount, MediaState, StoredFile};
use domain::page::{Page, Paging, SortKey};
use domain::time::timestamp::Timestamp;

/// The single statements about files, on connections that questions do not occupy.
#[async_trait]
pub trait MediaReports: Send + Sync {
    /// Returns the number of jobs of each state that has some. All jobs are counted, which takes long if there are
    /// many.
    async fn count_media(&self) -> Result<Vec<MediaJobCount>, StoreError>;

    /// Makes the jobs that `filter` lets through due at `now`, with all their attempts left. A file that is stored stays
    /// until another one is. Returns their number.
    async fn retry_media(&self, filter: &JobFilter, now: Timestamp) -> Result<u64, StoreError>;

    /// Returns a stored file by its key. Its name is the first one in the first instance of `scope` that has the file.
    /// `None` if no message in the scope came with it.
    async fn stored_file(&self, object_key: &ObjectKey, scope: &Scope) -> Result<Option<StoredFile>, StoreError>;

    /// Returns the jobs of a message: those with a stored file first, the latest of these before the others.
    async fn media_of_message(&self, instance_id: &InstanceId, message_id: &str) -> Result<Vec<JobReport>, StoreError>;
}

/// A filter of jobs. A field that is not set lets all through.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// True for the jobs whose file is stored, and false for the others.
    pub stored: bool,
    pub state: Option<MediaState>,
    pub instance_id: Option<String>,
    pub message_id: Option<String>,
}

/// A filter of files. A field that is not set lets all through.
#[derive(Clone, Debug, Default)]
pub struct MediaFilter {
    pub instance_id: Option<InstanceId>,
    pub message_id: Option<String>,
    pub chat_id: Option<String>,
    /// The number of the person in the chat, in digits.
    pub contact: Option<String>,
    pub state: Option<MediaState>,
    /// The kinds of the chats of the messages.
    pub kinds: Option<ChatKinds>,
    /// A content type, or the first part of several, such as `image/`.
    pub content_type: Option<String>,
    /// In bytes.
    pub min_size: Option<i64>,
    /// In bytes.
    pub max_size: Option<i64>,
}

/// A file of a message and the job that fetches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobReport {
    pub instance_id: String,
    pub message_id: String,
    pub source_sha256: [u8; 32],
    pub state: MediaState,
    pub reason: Option<String>,
    pub attempts: u32,
    pub occurred_at: Timestamp,
    pub next_attempt_at: Timestamp,
    pub file: Option<StoredFile>,
    pub stored_at: Option<Timestamp>,
}

pub(crate) const MEDIA: ListSource = ListSource {
    table: "media",
    columns: "instance_id, message_id, source_sha256, state, reason, attempts, occurred_at, next_attempt_at, \
              object_key, size, content_type, file_name, stored_at",
    at: "occurred_at",
    rest: &[KeyColumn::Text("message_id"), KeyColumn::Bytes("source_sha256")],
};

impl dyn Store + '_ {
    /// Returns a page of the files that `filter` lets through, in the order of their messages.
    pub async fn list_media(
        &self,
        scope: &Scope,
        filter: &MediaFilter,
        paging: &Paging<SortKey>,
    ) -> Result<Page<JobReport, SortKey>, StoreError> {
        let mut queries = self.read().await?;
        let instances = instances(&mut *queries, scope, filter.instance_id.as_ref()).await?;
        let places = places(
            &mut *queries,
            instances,
            filter.contact.as_deref(),
            filter.chat_id.as_deref(),
            filter.kinds.as_ref(),
        );
        let places = places.await?;
        let ranges = places.into_iter().map(|place| KeyRange::of_place(place, paging, &MEDIA)).collect();
        let in_chats = filter.chat_id.is_some() || filter.contact.is_some();
        // The chats that are asked for are of these kinds already.
        let kinds = filter.kinds.as_ref().filter(|_| !in_chats).map(Condition::kinds);
        let conditions = filter.conditions().into_iter().chain(kinds).collect::<Vec<_>>();
        let index = match Index::first(&[&OF_MESSAGE, &MEDIA_STATE, &MEDIA_TYPE], &conditions) {
            index if in_chats && *index != OF_MESSAGE => &MEDIA_CHAT,
            index => index,
        };
        let rows = queries.media_rows(&PageQuery::new(&MEDIA, index, ranges, conditions, paging)).await?;
        queries.end().await?;
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
        let prefix = self.content_type.as_ref().filter(|text| text.chars().count() >= TYPE_PREFIX_LENGTH);
        let prefix = prefix.map(|text| text.chars().take(TYPE_PREFIX_LENGTH).collect());
        let conditions = [
            self.message_id.clone().map(|id| Condition::Is("message_id", id)),
            self.state.map(|state| Condition::Is("state", state.as_str().to_owned())),
            prefix.map(|prefix| Condition::Is(TYPE_PREFIX, prefix)),
            content_type,
            self.min_size.map(|size| Condition::AtLeast("size", size)),
            self.max_size.map(|size| Condition::AtMost("size", size)),
        ];
        conditions.into_iter().flatten().collect()
    }
}

/// The number of jobs in a state.
pub(crate) struct JobsRow {
    pub(crate) state: MediaState,
    pub(crate) count: i64,
    pub(crate) oldest: Timestamp,
}

impl JobsRow {
    pub(crate) fn read(self) -> Result<MediaJobCount, StoreError> {
        let count = self.count.try_into().map_err(|_| unreadable("count"))?;
        Ok(MediaJobCount { state: self.state, count, oldest: self.oldest })
    }
}

/// The columns of `media` about the stored file.
pub(crate) struct FileRow {
    pub(crate) object_key: Option<ObjectKey>,
    pub(crate) size: Option<i64>,
    pub(crate) content_type: Option<String>,
    pub(crate) file_name: Option<String>,
}

impl FileRow {
    pub(crate) fn read(self) -> Result<Option<StoredFile>, StoreError> {
        let Some(object_key) = self.object_key else { return Ok(None) };
        let size = self.size.and_then(|size| size.try_into().ok()).ok_or_else(|| unreadable("size"))?;
        let content_type = self.content_type.ok_or_else(|| unreadable("content_type"))?;
        Ok(Some(StoredFile { object_key, size, content_type, file_name: self.file_name }))
    }
}

/// A row of `media`.
#[derive(sqlx::FromRow)]
pub(crate) struct JobReportRow {
    pub(crate) instance_id: String,
    pub(crate) message_id: String,
    pub(crate) source_sha256: Vec<u8>,
    pub(crate) state: MediaState,
    pub(crate) reason: Option<String>,
    pub(crate) attempts: i32,
    pub(crate) occurred_at: Timestamp,
    pub(crate) next_attempt_at: Timestamp,
    pub(crate) object_key: Option<ObjectKey>,
    pub(crate) size: Option<i64>,
    pub(crate) content_type: Option<String>,
    pub(crate) file_name: Option<String>,
    pub(crate) stored_at: Option<Timestamp>,
}

impl JobReportRow {
    pub(crate) fn read(self) -> Result<JobReport, StoreError> {
        let Self { object_key, size, content_type, file_name, .. } = self;
        let file = FileRow { object_key, size, content_type, file_name };
        Ok(JobReport {
            instance_id: self.instance_id,
            message_id: self.message_id,
            source_sha256: self.source_sha256.try_into().map_err(|_| unreadable("source_sha256"))?,
            state: self.state,
            reason: self.reason,
            attempts: count("media", self.attempts)?,
            occurred_at: self.occurred_at,
            next_attempt_at: self.next_attempt_at,
            file: file.read()?,
            stored_at: self.stored_at,
        })
    }
}

fn unreadable(column: &str) -> StoreError {
    StoreError::unreadable("media", column)
}
