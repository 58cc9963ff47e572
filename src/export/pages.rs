//! The rows of a list, page by page, from the oldest to the newest.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::ExportError;
use super::rows::{self, ExportRow, ExportedEvent};
use domain::access::scope::Scope;
use domain::page::{Page, Paging, SortOrder};
use domain::time::timestamp::Timestamp;
use store::{
    AckFilter, ChatFilter, EventFilter, EventReport, MediaFilter, MessageFilter, MessageReport, ReactionFilter, Store,
    StoreError,
};

/// The rows that a page has.
const ROWS: u32 = 1_000;
/// The bytes of bodies that are read together.
const BODY_BYTES: i64 = 4 * 1024 * 1024;

/// A list and its filter.
#[derive(Clone, Debug)]
pub enum ExportQuery {
    Messages(MessageFilter),
    Chats(ChatFilter),
    Reactions(ReactionFilter),
    Acks(AckFilter),
    Media(MediaFilter),
    Events(EventFilter),
}

impl ExportQuery {
    /// The name of the list.
    pub fn list(&self) -> &'static str {
        match self {
            Self::Messages(_) => "messages",
            Self::Chats(_) => "chats",
            Self::Reactions(_) => "reactions",
            Self::Acks(_) => "acks",
            Self::Media(_) => "media",
            Self::Events(_) => "events",
        }
    }

    pub fn columns(&self) -> &'static [&'static str] {
        match self {
            Self::Messages(_) => rows::MESSAGES,
            Self::Chats(_) => rows::CHATS,
            Self::Reactions(_) => rows::REACTIONS,
            Self::Acks(_) => rows::ACKS,
            Self::Media(_) => rows::MEDIA,
            Self::Events(_) => rows::EVENTS,
        }
    }
}

/// The rows from `since` on and before `until`, in the order of the list.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportRange {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// Reads a list, and hands each page to `take`. Rows that come after the beginning are left out, except that a chat which
/// has another message meanwhile is there once, as it was when it was read.
pub async fn walk(
    store: &dyn Store,
    scope: &Scope,
    query: &ExportQuery,
    range: ExportRange,
    mut take: impl AsyncFnMut(Vec<ExportRow>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let latest = store.latest().await?.seq;
    match query {
        ExportQuery::Messages(filter) => {
            let filter = MessageFilter { until_seq: Some(latest), ..filter.clone() };
            let ask = async |paging| store.export_messages(scope, &filter, &paging).await;
            each_page(range, ask, async |page| take(page.into_iter().map(rows::message).collect()).await).await
        }
        ExportQuery::Chats(filter) => {
            let mut seen = HashSet::new();
            let ask = async |paging| store.list_chats(scope, filter, &paging).await;
            each_page(range, ask, async |mut page| {
                page.retain(|chat| seen.insert(short_hash(&[chat.instance_id.as_str(), &chat.chat_id])));
                take(page.into_iter().map(rows::chat).collect()).await
            })
            .await
        }
        ExportQuery::Reactions(filter) => {
            let ask = async |paging| store.list_reactions(scope, filter, &paging).await;
            let range = range.up_to_newest(ask, |it| it.reacted_at).await?;
            each_page(range, ask, async |page| take(page.into_iter().map(rows::reaction).collect()).await).await
        }
        ExportQuery::Acks(filter) => {
            let ask = async |paging| store.list_acks(scope, filter, &paging).await;
            let range = range.up_to_newest(ask, |it| it.stated.received_at).await?;
            each_page(range, ask, async |page| take(page.into_iter().map(rows::ack).collect()).await).await
        }
        ExportQuery::Media(filter) => {
            let ask = async |paging| store.list_media(scope, filter, &paging).await;
            let range = range.up_to_newest(ask, |it| it.occurred_at).await?;
            each_page(range, ask, async |page| take(page.into_iter().map(rows::media).collect()).await).await
        }
        ExportQuery::Events(filter) => {
            let ask = async |paging| store.list_events(scope, filter, &paging).await;
            each_page(range, ask, async |mut page| {
                page.retain(|event| event.seq <= latest);
                while !page.is_empty() {
                    let rest = page.split_off(together(&page));
                    take(with_bodies(store, page).await?).await?;
                    page = rest;
                }
                Ok(())
            })
            .await
        }
    }
}

impl ExportRange {
    /// Returns the range up to the newest row that there is now.
    async fn up_to_newest<R, K>(
        self,
        ask: impl AsyncFn(Paging<K>) -> Result<Page<R, K>, StoreError>,
        at: impl Fn(&R) -> Timestamp,
    ) -> Result<Self, ExportError> {
        let paging =
            Paging { order: SortOrder::NewestFirst, limit: 1, cursor: None, since: self.since, until: self.until };
        let newest = ask(paging).await?.rows.first().map(|row| at(row).next());
        Ok(Self { until: newest.or(self.until), ..self })
    }
}

/// Reads pages from the oldest on. A page that is too much for the database is asked for in smaller ones.
async fn each_page<R, K: Clone>(
    range: ExportRange,
    ask: impl AsyncFn(Paging<K>) -> Result<Page<R, K>, StoreError>,
    mut take: impl AsyncFnMut(Vec<R>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let (mut cursor, mut limit) = (None, ROWS);
    loop {
        let ExportRange { since, until } = range;
        let paging = Paging { order: SortOrder::OldestFirst, limit, cursor: cursor.clone(), since, until };
        let page = match ask(paging).await {
            Err(StoreError::TooMuch | StoreError::TooSlow) if limit > 1 => {
                limit = (limit / 4).max(1);
                continue;
            }
            page => page?,
        };
        take(page.rows).await?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Hands the messages that `filter` lets through to `take`, page by page, from the oldest to the newest.
pub async fn each_message(
    store: &dyn Store,
    filter: &MessageFilter,
    range: ExportRange,
    take: impl AsyncFnMut(Vec<MessageReport>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let filter = MessageFilter { until_seq: Some(store.latest().await?.seq), ..filter.clone() };
    let ask = async |paging| store.export_messages(&Scope::All, &filter, &paging).await;
    each_page(range, ask, take).await
}

/// Returns how many of the first events have bodies that are read together, which is at least one.
fn together(events: &[EventReport]) -> usize {
    let mut total = 0;
    let fits = |event: &&EventReport| {
        total += event.size.unwrap_or(0);
        total <= BODY_BYTES
    };
    events.iter().take_while(fits).count().max(1)
}

async fn with_bodies(store: &dyn Store, events: Vec<EventReport>) -> Result<Vec<ExportRow>, ExportError> {
    let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
    let mut bodies: std::collections::HashMap<i64, Vec<u8>> = store.ledger_bodies(&seqs).await?.into_iter().collect();
    let event = |report: EventReport| ExportedEvent { body: bodies.remove(&report.seq), report };
    Ok(events.into_iter().map(event).map(rows::event).collect())
}

/// Returns a hash of these texts that no other texts have by chance.
fn short_hash(texts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    texts.iter().for_each(|text| hash.update(format!("{}:{text}", text.len())));
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}
