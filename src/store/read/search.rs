//! Full-text search in the bodies of messages.
//!
//! A search goes through time in steps of whole weeks until the page is full. A step is wider if the one before was
//! quick. So a common word fills the page in the first step, and a rare word is found in a few steps. The search for a
//! word that is rare among the messages that a filter lets through is interrupted in time.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::listing::Condition;
use crate::StoreError;
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::page::SortKey;
use domain::search::{SearchFilter, SearchQuery, Week};
use domain::time::timestamp::Timestamp;

/// The time limit of a search. When it is reached, the page has what was found so far.
pub(crate) const SEARCH_TIME: Duration = Duration::from_millis(60);

/// A step that took no longer is followed by one of twice as many weeks, a slower one by one of half as many.
const QUICK: Duration = Duration::from_millis(10);

/// The maximum number of weeks of a step. PostgreSQL receives each week as a term.
const WIDEST: i32 = 256;

/// A page of a search.
pub struct SearchRequest<'a> {
    pub(crate) query: &'a SearchQuery,
    pub(crate) narrowing: SearchFilter,
    /// The instances whose messages are searched.
    pub(crate) instances: &'a [InstanceId],
    /// The other conditions on the messages.
    pub(crate) conditions: &'a [Condition],
    /// The messages lie strictly between these keys.
    pub(crate) after: SortKey,
    pub(crate) before: SortKey,
    pub(crate) ascending: bool,
    pub(crate) limit: u32,
    /// After this time the search is interrupted between two steps; the next page continues it.
    pub(crate) time: Duration,
}

/// The result of a search.
pub(crate) struct SearchResult {
    pub(crate) rows: Vec<(MessageKey, Timestamp)>,
    /// The time up to which the messages were searched, if the search was interrupted at its time limit.
    pub(crate) unfinished: Option<Timestamp>,
}

/// Weeks that are searched together.
#[derive(Clone, Copy, Debug)]
pub struct WeekStep {
    pub(crate) first: Week,
    pub(crate) last: Week,
}

/// The statements that search.
#[async_trait]
pub trait SearchQueries {
    /// Returns the time of the first message between two times, both included, in the order of reading. The message may
    /// be one of another instance.
    async fn first_time(
        &mut self,
        request: &SearchRequest<'_>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// Returns the messages that are found in a step: the first `limit` in the order of reading, and any that share the
    /// time of the last.
    async fn found(
        &mut self,
        request: &SearchRequest<'_>,
        step: WeekStep,
        limit: u32,
    ) -> Result<Vec<(MessageKey, Timestamp)>, StoreError>;
}

pub(crate) async fn find(
    queries: &mut (impl SearchQueries + ?Sized),
    request: &SearchRequest<'_>,
) -> Result<SearchResult, StoreError> {
    if request.instances.is_empty() {
        return Ok(SearchResult { rows: vec![], unfinished: None });
    }
    let begun = Instant::now();
    let (mut from, mut to) = (request.after.at(), request.before.at());
    let (mut rows, mut width, mut reached) = (Vec::new(), 1, None);
    while let Some(at) = queries.first_time(request, from, to).await? {
        if reached.is_some() && begun.elapsed() >= request.time {
            return Ok(SearchResult { rows, unfinished: reached });
        }
        let step = WeekStep::from(at, width, request.ascending);
        let step_begun = Instant::now();
        rows.extend(queries.found(request, step, request.limit - rows.len() as u32).await?);
        if rows.len() >= request.limit as usize {
            break;
        }
        let edge = if request.ascending { step.last.ends() } else { step.first.begins() };
        reached = Some(edge);
        match request.ascending {
            true => from = edge,
            false => to = edge - Duration::from_millis(1),
        }
        width = if step_begun.elapsed() <= QUICK { (width * 2).min(WIDEST) } else { (width / 2).max(1) };
    }
    Ok(SearchResult { rows, unfinished: None })
}

impl WeekStep {
    fn from(at: Timestamp, width: i32, ascending: bool) -> Self {
        let week = Week::of(at);
        match ascending {
            true => Self { first: week, last: week.plus(width - 1) },
            false => Self { first: week.plus(1 - width), last: week },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::page::{Cursor, Page, Paging, SortOrder};

    const EACH_DAY: i64 = 24 * 60 * 60;

    /// One message a day for two years, of which every hundredth is found.
    struct Fake;

    fn days() -> impl DoubleEndedIterator<Item = Timestamp> {
        (0..730).map(|day| Timestamp::from_seconds(1_700_000_000 + day * EACH_DAY))
    }

    fn key(at: Timestamp) -> SortKey {
        SortKey::new(at, &InstanceId::new("7").unwrap(), vec![at.millis().to_string()])
    }

    #[async_trait]
    impl SearchQueries for Fake {
        async fn first_time(
            &mut self,
            request: &SearchRequest<'_>,
            from: Timestamp,
            to: Timestamp,
        ) -> Result<Option<Timestamp>, StoreError> {
            let mut times = days().filter(|at| (from..=to).contains(at));
            Ok(if request.ascending { times.next() } else { times.next_back() })
        }

        async fn found(
            &mut self,
            request: &SearchRequest<'_>,
            step: WeekStep,
            limit: u32,
        ) -> Result<Vec<(MessageKey, Timestamp)>, StoreError> {
            let found = days().step_by(100).filter(|at| {
                key(*at) > request.after
                    && key(*at) < request.before
                    && *at >= step.first.begins()
                    && *at < step.last.ends()
            });
            let mut found: Vec<Timestamp> = found.collect();
            if !request.ascending {
                found.reverse();
            }
            found.truncate(limit as usize);
            let instance = InstanceId::new("7").unwrap();
            Ok(found
                .into_iter()
                .map(|at| (MessageKey { instance_id: instance.clone(), id: at.millis().to_string() }, at))
                .collect())
        }
    }

    async fn page(
        order: SortOrder,
        cursor: Option<Cursor<SortKey>>,
        time: Duration,
    ) -> (Page<Timestamp, SortKey>, bool) {
        let paging = Paging { order, limit: 3, cursor, since: None, until: None };
        let (after, before) = paging.span(1);
        let request = SearchRequest {
            query: &SearchQuery::parse("hola").unwrap(),
            narrowing: SearchFilter::default(),
            instances: &[InstanceId::new("7").unwrap()],
            conditions: &[],
            after,
            before,
            ascending: paging.ascending(),
            limit: paging.rows_to_read(),
            time,
        };
        let found = find(&mut Fake, &request).await.unwrap();
        let page = paging.page(found.rows, |(_, at)| key(*at)).map(|(_, at)| at);
        let broken_off = found.unfinished.is_some();
        (found.unfinished.map_or(page.clone(), |at| paging.unfinished(page, at)), broken_off)
    }

    #[test]
    async fn a_search_that_is_broken_off_goes_on_where_it_was_in_both_directions() {
        for order in [SortOrder::NewestFirst, SortOrder::OldestFirst] {
            for time in [Duration::ZERO, Duration::MAX] {
                let mut all: Vec<Timestamp> = days().step_by(100).collect();
                if order == SortOrder::NewestFirst {
                    all.reverse();
                }
                let (mut forth, mut cursor, mut broken_off) = (vec![], None, false);
                loop {
                    let (page, broken) = page(order, cursor, time).await;
                    broken_off |= broken && page.rows.is_empty();
                    forth.extend(page.rows);
                    cursor = page.next;
                    if cursor.is_none() {
                        break;
                    }
                }
                assert_eq!((forth, broken_off), (all.clone(), time == Duration::ZERO));

                let end = if order == SortOrder::NewestFirst { Timestamp::MIN } else { Timestamp::MAX };
                let (mut back, mut cursor) = (vec![], Some(Cursor { key: key(end), backwards: true }));
                while cursor.is_some() {
                    let (page, broken) = page(order, cursor, time).await;
                    assert!(page.next.is_some() || !broken);
                    back.splice(0..0, page.rows);
                    cursor = page.previous;
                }
                assert_eq!(back, all);
            }
        }
    }
}
