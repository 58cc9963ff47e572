use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};

use crate::StoreError;
use crate::error::in_table;
use crate::read::ReadTransaction;
use crate::read::acks::{AckReport, AckReportRow};
use crate::read::chats::ChatReport;
use crate::read::index::IndexOrder;
use crate::read::listing::{
    Condition, KeyColumn, KeyRange, KeyValue, ListQueries, ListSource, ListedMessage, ListedMessageRow, PageQuery,
};
use crate::read::media::{JobReport, JobReportRow};
use crate::read::reactions::{ReactionReportRow, reaction};
use domain::message::reaction::MessageReaction;
use domain::page::{KeyPart, KeysetBound};

#[async_trait]
impl ListQueries for ReadTransaction<Postgres> {
    async fn listed_messages(&mut self, query: &PageQuery) -> Result<Vec<ListedMessage>, StoreError> {
        Ok(list::<ListedMessageRow>(self, query).await?.into_iter().map(ListedMessage::from).collect())
    }

    async fn chat_rows(&mut self, query: &PageQuery) -> Result<Vec<ChatReport>, StoreError> {
        list(self, query).await
    }

    async fn ack_rows(&mut self, query: &PageQuery) -> Result<Vec<AckReport>, StoreError> {
        Ok(list::<AckReportRow>(self, query).await?.into_iter().map(AckReport::from).collect())
    }

    async fn reaction_rows(&mut self, query: &PageQuery) -> Result<Vec<MessageReaction>, StoreError> {
        Ok(list::<ReactionReportRow>(self, query).await?.into_iter().map(reaction).collect())
    }

    async fn media_rows(&mut self, query: &PageQuery) -> Result<Vec<JobReport>, StoreError> {
        list::<JobReportRow>(self, query).await?.into_iter().map(JobReportRow::read).collect()
    }
}

/// Returns the rows that the ranges have for a page; of all ranges together, as many as the page needs.
async fn list<R>(connection: &mut PgConnection, query: &PageQuery) -> Result<Vec<R>, StoreError>
where
    R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    if query.ranges.is_empty() {
        return Ok(vec![]);
    }
    let rows = statement(query).build_query_as().fetch_all(connection).await;
    rows.map_err(StoreError::from).map_err(in_table(query.source.table))
}

fn statement(query: &PageQuery) -> QueryBuilder<Postgres> {
    let PageQuery { source, index, .. } = query;
    let rest: Vec<&str> = source.rest.iter().map(KeyColumn::column).collect();
    let key = [&[source.at], rest.as_slice()].concat();
    let order = if query.ascending { "ASC" } else { "DESC" };
    let mut statement = QueryBuilder::new("");
    // An index has the keys, so only those are read of several ranges, and the rows of the page alone.
    let key_columns = [&["instance_id"], key.as_slice()].concat().join(", ");
    let has_rows = query.ranges.len() == 1;
    let (read_columns, columns) = if has_rows { (source.columns, "*") } else { (&*key_columns, source.columns) };
    statement.push(format_args!("SELECT {columns} FROM (SELECT found.* FROM unnest("));
    push_ranges(&mut statement, source, &query.ranges);
    statement.push(format_args!(
        ") CROSS JOIN LATERAL (SELECT {read_columns} FROM {} WHERE instance_id = wanted.instance_id",
        source.table
    ));
    for (place, (column, _)) in query.ranges.first().iter().flat_map(|range| &range.equal).enumerate() {
        statement.push(format_args!(" AND {column} = wanted.equal_{place}"));
    }
    if let Some(rows) = index.rows() {
        statement.push(format_args!(" AND {rows}"));
    }
    for (name, sign) in [("after", ">"), ("before", "<")] {
        statement.push(format_args!(" AND ({}) {sign} (wanted.{name}_at", key.join(", ")));
        push_bound(&mut statement, source, name);
        statement.push(")");
    }
    query.conditions.iter().for_each(|condition| push_condition(&mut statement, condition));
    let ordered = |prefix: &str, columns: &[&str]| {
        let terms: Vec<String> = columns.iter().map(|column| format!("{prefix}{column} {order}")).collect();
        terms.join(", ")
    };
    let merged = ordered("found.", &source.order());
    // No index has a sum in order.
    let sum = match index.order {
        IndexOrder::Sorted => format!("{} + INTERVAL '0' {order}, ", source.at),
        IndexOrder::Indexed => String::new(),
    };
    statement.push(format_args!(" ORDER BY {sum}{} LIMIT ", ordered("", &key))).push_bind(i64::from(query.limit));
    statement.push(format_args!(") AS found ORDER BY {merged} LIMIT ")).push_bind(i64::from(query.limit));
    statement.push(") AS page");
    if !has_rows && !source.columns.split(", ").all(|it| it == "instance_id" || key.contains(&it)) {
        statement.push(format_args!(" INNER JOIN {} USING ({key_columns})", source.table));
    }
    statement
}

/// Adds the ranges as the rows of `wanted`. The values of an index's leading columns are columns of it, also where they
/// are the same for all ranges: of a value that it sees, PostgreSQL knows how common it is among all messages, and
/// would read those of another index where it is common, though an instance may have none of it. What it expects of a
/// value that it does not see, the migrations say (`n_distinct`).
fn push_ranges(statement: &mut QueryBuilder<Postgres>, source: &ListSource, ranges: &[KeyRange]) {
    let mut names = vec!["instance_id".to_owned()];
    statement.push_bind(Vec::from_iter(ranges.iter().map(|range| range.instance_id.clone())));
    for place in 0..ranges.first().map_or(0, |range| range.equal.len()) {
        push_values(statement.push(", "), ranges.iter().map(|range| &range.equal[place].1));
        names.push(format!("equal_{place}"));
    }
    let after: Vec<&KeysetBound> = ranges.iter().map(|range| &range.range.after).collect();
    let before: Vec<&KeysetBound> = ranges.iter().map(|range| &range.range.before).collect();
    for (name, bounds) in [("after", after), ("before", before)] {
        statement.push(", ").push_bind(bounds.iter().map(|bound| bound.at).collect::<Vec<_>>());
        names.push(format!("{name}_at"));
        for place in 0..source.rest.len() {
            push_parts(statement.push(", "), bounds.iter().map(|bound| &bound.rest[place]));
            names.push(format!("{name}_{place}"));
        }
    }
    statement.push(format_args!(") AS wanted ({}", names.join(", ")));
}

/// Adds the values of one column, which are of one kind.
fn push_values<'v>(statement: &mut QueryBuilder<Postgres>, values: impl Iterator<Item = &'v KeyValue>) {
    let (mut texts, mut flags) = (vec![], vec![]);
    for value in values {
        match value {
            KeyValue::Text(text) => texts.push(text.clone()),
            KeyValue::Flag(flag) => flags.push(*flag),
        }
    }
    if flags.is_empty() {
        statement.push_bind(texts)
    } else {
        statement.push_bind(flags)
    };
}

/// Adds the parts of one column, which are of one kind.
fn push_parts<'p>(statement: &mut QueryBuilder<Postgres>, parts: impl Iterator<Item = &'p KeyPart>) {
    let (mut texts, mut numbers) = (vec![], vec![]);
    for part in parts {
        match part {
            KeyPart::Text(text) => texts.push(text.clone()),
            KeyPart::Number(number) => numbers.push(*number),
        }
    }
    if numbers.is_empty() {
        statement.push_bind(texts)
    } else {
        statement.push_bind(numbers)
    };
}

fn push_bound(statement: &mut QueryBuilder<Postgres>, source: &ListSource, name: &str) {
    for (place, column) in source.rest.iter().enumerate() {
        match column {
            KeyColumn::Text(_) | KeyColumn::Number(_) => statement.push(format_args!(", wanted.{name}_{place}")),
            KeyColumn::Bytes(_) => statement.push(format_args!(", decode(wanted.{name}_{place}, 'hex')")),
        };
    }
}

pub(crate) fn push_condition(statement: &mut QueryBuilder<Postgres>, condition: &Condition) {
    match condition {
        Condition::Is(column, text) => statement.push(format_args!(" AND {column} = ")).push_bind(text.clone()),
        Condition::Flag(column, flag) => statement.push(format_args!(" AND {column} = ")).push_bind(*flag),
        Condition::OneOf(column, words) => {
            statement.push(format_args!(" AND {column} = ANY(")).push_bind(words.clone()).push(")")
        }
        Condition::Null(column) => statement.push(format_args!(" AND {column} IS NULL")),
        Condition::NotNull(column) => statement.push(format_args!(" AND {column} IS NOT NULL")),
        Condition::Contains(column, text) => {
            statement.push(format_args!(" AND strpos({column}, ")).push_bind(text.clone()).push(") > 0")
        }
        Condition::Begins(column, text) => {
            statement.push(format_args!(" AND starts_with({column}, ")).push_bind(text.clone()).push(")")
        }
        Condition::AtLeast(column, number) => statement.push(format_args!(" AND {column} >= ")).push_bind(*number),
        Condition::AtMost(column, number) => statement.push(format_args!(" AND {column} <= ")).push_bind(*number),
    };
}
