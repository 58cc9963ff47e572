//! Bounded scans of the ledger by its numbers. Several sources are each read up to a limit, and the result counts only
//! as far as all of them were read.

use super::{Cursor, Page, Paging};

/// The part of one source that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanWindow {
    /// The number up to which the source was read. `None` if it was read to its end.
    pub reached: Option<i64>,
    /// The numbers that were found up to there, in any order.
    pub found: Vec<i64>,
}

/// The merged result of reading all sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanResult {
    /// The numbers that were found, each once, in the order of reading.
    pub found: Vec<i64>,
    /// The number up to which every source was read. `None` if all were read to their ends.
    pub reached: Option<i64>,
}

impl ScanResult {
    /// Merges windows that were read in `ascending` or descending order of the numbers. At most `limit` numbers are
    /// taken.
    pub fn merge(windows: Vec<ScanWindow>, ascending: bool, limit: u32) -> Self {
        let ends = windows.iter().filter_map(|window| window.reached);
        let mut reached = if ascending { ends.min() } else { ends.max() };
        let covered = |seq: &i64| reached.is_none_or(|end| if ascending { *seq <= end } else { *seq >= end });
        let mut found: Vec<i64> = windows.iter().flat_map(|window| &window.found).copied().filter(covered).collect();
        found.sort_unstable();
        found.dedup();
        if !ascending {
            found.reverse();
        }
        if found.len() > limit as usize {
            found.truncate(limit as usize);
            reached = found.last().copied();
        }
        Self { found, reached }
    }

    /// Makes a page of a list. It can have fewer rows than the limit, even none, although another page follows.
    pub fn page(mut self, paging: &Paging<i64>) -> Page<i64, i64> {
        let backwards = paging.is_backwards();
        let further = self.reached.map(|key| Cursor { key, backwards });
        let back = paging.cursor.as_ref().map(|cursor| {
            // A page without rows begins where the page before ended, and includes that row.
            let beyond = if paging.ascending() { cursor.key.saturating_add(1) } else { cursor.key.saturating_sub(1) };
            Cursor { key: self.found.first().copied().unwrap_or(beyond), backwards: !backwards }
        });
        match backwards {
            false => Page::of_keys(self.found, backwards, further, back),
            true => {
                self.found.reverse();
                Page::of_keys(self.found, backwards, back, further)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::SortOrder;

    /// Sources of numbers. The test looks for those that end in 0.
    const SOURCES: [&[i64]; 3] = [&[10, 11, 12, 13, 40, 41, 70, 80], &[20, 21, 22, 60], &[15, 30, 50]];
    const SOUGHT: [i64; 8] = [10, 20, 30, 40, 50, 60, 70, 80];

    /// Reads as a store does: up to `window` numbers of each source that lie strictly between two numbers.
    fn read(after: i64, before: i64, ascending: bool, window: usize) -> Vec<ScanWindow> {
        let source = |source: &[i64]| {
            let mut rows: Vec<i64> = source.iter().copied().filter(|seq| (after + 1..before).contains(seq)).collect();
            if !ascending {
                rows.reverse();
            }
            rows.truncate(window);
            let reached = rows.last().copied().filter(|_| rows.len() == window);
            ScanWindow { reached, found: rows.into_iter().filter(|seq| seq % 10 == 0).collect() }
        };
        SOURCES.into_iter().map(source).collect()
    }

    fn page(order: SortOrder, limit: u32, cursor: Option<Cursor<i64>>, window: usize) -> Page<i64, i64> {
        let paging = Paging { order, limit, cursor, since: None, until: None };
        let key = paging.cursor.as_ref().map(|cursor| cursor.key);
        let ascending = paging.ascending();
        let (after, before) = if ascending { (key.unwrap_or(0), 100) } else { (0, key.unwrap_or(100)) };
        ScanResult::merge(read(after, before, ascending, window), ascending, limit).page(&paging)
    }

    #[test]
    fn walking_forth_and_back_in_windows_finds_every_number_once() {
        for order in [SortOrder::NewestFirst, SortOrder::OldestFirst] {
            for (limit, window) in [(1, 2), (2, 3), (3, 4), (8, 2), (50, 2), (50, 51)] {
                let mut pages = vec![page(order, limit, None, window)];
                while let Some(next) = pages.last().and_then(|page| page.next.clone()) {
                    pages.push(page(order, limit, Some(next), window));
                }
                let last = pages.pop().expect("there is a first page");
                let rows = |pages: &[Page<i64, i64>]| pages.iter().flat_map(|page| page.rows.clone()).collect();
                let mut there: Vec<i64> = rows(&pages);
                let mut back: Vec<i64> = Vec::new();
                let mut previous = last.previous;
                while let Some(cursor) = previous {
                    let page = page(order, limit, Some(cursor), window);
                    assert!(page.next.is_some(), "a backwards page has a next one");
                    back.splice(0..0, page.rows);
                    previous = page.previous;
                }
                assert_eq!(back, there, "{limit} {window}");
                there.extend(last.rows);
                if order == SortOrder::NewestFirst {
                    there.reverse();
                }
                assert_eq!(there, SOUGHT, "{limit} {window}");
            }
        }
    }

    #[test]
    fn numbers_beyond_the_reach_of_one_source_are_left_for_the_next_page() {
        let windows = || {
            vec![
                ScanWindow { reached: Some(20), found: vec![10, 20] },
                ScanWindow { reached: None, found: vec![15, 25] },
                ScanWindow { reached: Some(30), found: vec![] },
            ]
        };
        assert_eq!(ScanResult::merge(windows(), true, 9), ScanResult { found: vec![10, 15, 20], reached: Some(20) });
        assert_eq!(ScanResult::merge(windows(), true, 2), ScanResult { found: vec![10, 15], reached: Some(15) });
        assert_eq!(ScanResult::merge(windows(), false, 9), ScanResult { found: vec![], reached: Some(30) });
        assert_eq!(ScanResult::merge(vec![], true, 9), ScanResult { found: vec![], reached: None });
    }
}
