//! `buzon copy`: moves a database from SQLite to PostgreSQL for good.
//!
//! The ledger is copied in pages, and then what does not follow from it. Everything else is worked out at the new place by the
//! code of `buzon rebuild`. Every table is compared. Only then the source is marked as moved, and after that the new place is
//! opened: at no moment can both be served.

use futures_util::TryStreamExt;

use crate::copy::summary::{Summing, TableSummary};
use platform::clock::Clock;
use store::{
    CLOCK, ColumnValue, CopyError, Database, LEDGER, OpenError, RELOCATED, RebuildStage, RelocatedTable,
    RelocationSource, RelocationTarget, Retirement, StoreError, TableRow, TableRows, TableTreatment, TargetState,
};

pub mod summary;

/// The limits on the rows that are written together, and on their bytes. A single row may have more.
const ROWS: usize = 500;
const BYTES: usize = 8 * 1024 * 1024;

/// The number of rows between two reports of the progress.
const REPORT_EVERY: u64 = 1_000;

/// An order to move a database.
pub struct RelocationOrder<'o> {
    pub source: &'o Database,
    pub target: &'o Database,
    /// Accepts PostgreSQL with `fsync` or `full_page_writes` off.
    pub allow_managed_pg: bool,
    pub clock: &'o dyn Clock,
}

/// The end of a copy.
#[derive(Debug)]
pub enum RelocationOutcome {
    /// Everything is at the new place.
    Done(Vec<ComparedTable>),
    /// Some tables differ. The source is as it was.
    Different(Vec<ComparedTable>),
    /// An earlier run was killed after everything had been compared. Only the new place was left to be opened.
    Completed(Retirement),
    /// An earlier run has done it all.
    DoneBefore(Retirement),
}

/// A table on both sides.
#[derive(Debug)]
pub struct ComparedTable {
    pub name: &'static str,
    pub source: TableSummary,
    pub target: TableSummary,
}

impl ComparedTable {
    pub fn is_same(&self) -> bool {
        self.source == self.target
    }
}

/// A step of the work.
#[derive(Clone, Copy, Debug)]
pub enum RelocationStep {
    /// An earlier run was broken off, and the source has changed since.
    Anew,
    /// An earlier run was broken off after the event with this number.
    Continued(i64),
    /// This many rows of a table of the source are read, of which the ledger's tell one ledger from another.
    Reading(&'static str, u64),
    /// The ledger is copied up to the number `done` of those up to `of`.
    Ledger {
        done: i64,
        of: i64,
    },
    Copying(&'static str, u64),
    WorkingOut(RebuildStage),
    Comparing(&'static str, u64),
}

/// A callback for the progress of the work.
pub type RelocationProgress<'p> = &'p (dyn Fn(RelocationStep) + Send + Sync);

/// Moves the database. Broken off at any moment, the work is continued by the same call.
pub async fn copy(
    order: &RelocationOrder<'_>,
    progress: RelocationProgress<'_>,
) -> Result<RelocationOutcome, CopyError> {
    let mut source = store::relocation_source(order.source).await?;
    let mut target = store::relocation_target(order.target, order.allow_managed_pg).await?;
    let database_id = source.database_id().await?;
    let state = target.state(&database_id).await?;
    if let Some(retirement) = source.retirement().await? {
        return finish(&mut *target, state, &database_id, retirement).await;
    }
    let ledger = ledger(&mut *source, progress).await?;
    let digest = ledger.digest();
    let begun = match state {
        TargetState::Empty => None,
        TargetState::Unfinished { ledger } => Some(ledger),
        TargetState::Occupied { tables, .. } => {
            let (target, tables) = (order.target, tables.join(", "));
            return Err(CopyError::Useless(format!(
                "{target} is not empty ({tables}); a database is copied into an empty place only"
            )));
        }
    };
    let after = target.begin(&database_id, &digest).await?;
    match begun {
        Some(begun) if begun == digest => progress(RelocationStep::Continued(after)),
        Some(_) => progress(RelocationStep::Anew),
        None => {}
    }
    copy_ledger(&mut *source, &mut *target, after, progress).await?;
    for table in RELOCATED.iter().filter(|table| is_filled(table)) {
        copy_table(&mut *source, &mut *target, table.name, progress).await?;
    }
    target.work_out(&|stage| progress(RelocationStep::WorkingOut(stage))).await?;
    let tables = compare(&mut *source, &mut *target, ledger, progress).await?;
    if tables.iter().any(|table| !table.is_same()) {
        return Ok(RelocationOutcome::Different(tables));
    }
    source.retire(&order.target.to_string(), order.clock.now()).await?;
    target.release().await?;
    Ok(RelocationOutcome::Done(tables))
}

/// Ends what an earlier run has not ended after it had marked the source as moved.
async fn finish(
    target: &mut dyn RelocationTarget,
    state: TargetState,
    id: &str,
    retirement: Retirement,
) -> Result<RelocationOutcome, CopyError> {
    match state {
        TargetState::Unfinished { .. } => {
            target.release().await?;
            Ok(RelocationOutcome::Completed(retirement))
        }
        TargetState::Occupied { database_id, .. } if database_id == id => Ok(RelocationOutcome::DoneBefore(retirement)),
        _ => {
            let Retirement { to, at } = retirement;
            Err(OpenError::from(StoreError::Retired { to, at }).into())
        }
    }
}

/// Returns whether the rows of a table are copied after the ledger. The clock moves with the events.
fn is_filled(table: &RelocatedTable) -> bool {
    let is_copied = matches!(table.treatment, TableTreatment::Copied | TableTreatment::Replaced);
    is_copied && ![LEDGER, CLOCK].contains(&table.name)
}

async fn ledger(
    source: &mut dyn RelocationSource,
    progress: RelocationProgress<'_>,
) -> Result<TableSummary, CopyError> {
    let columns = source.columns(LEDGER).await?;
    let extreme = columns.iter().position(|column| column == "seq");
    summarized(source.rows(LEDGER, &columns, 0), extreme, &|rows| progress(RelocationStep::Reading(LEDGER, rows))).await
}

async fn copy_ledger(
    source: &mut dyn RelocationSource,
    target: &mut dyn RelocationTarget,
    after: i64,
    progress: RelocationProgress<'_>,
) -> Result<(), CopyError> {
    let clock = number(source.rows(CLOCK, &["seq".to_owned()], 0).try_next().await?.as_deref().and_then(<[_]>::first))?;
    let columns = source.columns(LEDGER).await?;
    let place = columns.iter().position(|column| column == "seq");
    let (mut reached, mut rows) = (after, source.rows(LEDGER, &columns, after));
    loop {
        progress(RelocationStep::Ledger { done: reached, of: clock });
        let page = page(&mut rows).await?;
        let Some(last) = page.last() else { break };
        let last = number(place.and_then(|place| last.get(place)))?;
        target.append(&columns, page, reached, last).await?;
        reached = last;
    }
    // Files have numbers of the clock, too.
    target.append(&columns, vec![], reached, clock).await
}

fn number(value: Option<&ColumnValue>) -> Result<i64, CopyError> {
    match value {
        Some(ColumnValue::Integer(number)) => Ok(*number),
        _ => Err(CopyError::Failed("the source has no number where the ledger needs one".to_owned())),
    }
}

async fn copy_table(
    source: &mut dyn RelocationSource,
    target: &mut dyn RelocationTarget,
    table: &'static str,
    progress: RelocationProgress<'_>,
) -> Result<(), CopyError> {
    let columns = source.columns(table).await?;
    let (mut copied, mut rows) = (0, source.rows(table, &columns, 0));
    loop {
        progress(RelocationStep::Copying(table, copied));
        let page = page(&mut rows).await?;
        let (count, is_first) = (page.len() as u64, copied == 0);
        if count == 0 && !is_first {
            return Ok(());
        }
        target.fill(table, &columns, page, is_first).await?;
        if count == 0 {
            return Ok(());
        }
        copied += count;
    }
}

/// Reads the next rows, as many as are written together.
async fn page(rows: &mut TableRows<'_>) -> Result<Vec<TableRow>, StoreError> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    while page.len() < ROWS && bytes < BYTES {
        let Some(row) = rows.try_next().await? else { break };
        bytes += row.iter().map(summary::size).sum::<usize>();
        page.push(row);
    }
    Ok(page)
}

async fn compare(
    source: &mut dyn RelocationSource,
    target: &mut dyn RelocationTarget,
    ledger: TableSummary,
    progress: RelocationProgress<'_>,
) -> Result<Vec<ComparedTable>, CopyError> {
    let (mut compared, mut ledger) = (Vec::new(), Some(ledger));
    for table in RELOCATED.iter().filter(|table| table.treatment != TableTreatment::LeftOut) {
        let RelocatedTable { name, extreme, .. } = *table;
        let columns = match table.compared {
            [] => source.columns(name).await?,
            columns => columns.iter().map(|column| (*column).to_owned()).collect(),
        };
        let extreme = columns.iter().position(|column| column == extreme);
        let here = match ledger.take() {
            Some(ledger) => ledger,
            None => {
                let rows = source.rows(name, &columns, 0);
                summarized(rows, extreme, &|rows| progress(RelocationStep::Reading(name, rows))).await?
            }
        };
        let there = target.rows(name, &columns);
        let there = summarized(there, extreme, &|rows| progress(RelocationStep::Comparing(name, rows))).await?;
        compared.push(ComparedTable { name, source: here, target: there });
    }
    Ok(compared)
}

async fn summarized(
    mut rows: TableRows<'_>,
    extreme: Option<usize>,
    report: &(dyn Fn(u64) + Send + Sync),
) -> Result<TableSummary, CopyError> {
    let mut summing = Summing::of(extreme);
    while let Some(row) = rows.try_next().await? {
        summing.add(row);
        if summing.rows().is_multiple_of(REPORT_EVERY) {
            report(summing.rows());
        }
    }
    Ok(summing.end())
}
