use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};

use super::SqliteStore;
use super::reading::Reading;
use crate::domain::instance::InstanceId;
use crate::domain::page::Bound;
use crate::store::StoreError;
use crate::store::listing::{Ask, Condition, InstanceQueries, Listing, Question, Readable, Rest, Target};

#[async_trait]
impl Readable for SqliteStore {
    type Reading = Reading;

    async fn reading(&self) -> Result<Reading, StoreError> {
        self.begin_reading().await
    }
}

#[async_trait]
impl Question for Reading {
    async fn end(self) -> Result<(), StoreError> {
        self.commit().await
    }
}

#[async_trait]
impl InstanceQueries for Reading {
    async fn known_instances(&mut self) -> Result<Vec<InstanceId>, StoreError> {
        let ids = sqlx::query_scalar!(
            r#"
            WITH RECURSIVE known (instance_id) AS (
                SELECT min(instance_id) FROM events
                UNION ALL
                SELECT (SELECT min(instance_id) FROM events WHERE events.instance_id > known.instance_id)
                FROM known
                WHERE known.instance_id IS NOT NULL
            )
            SELECT instance_id AS "instance_id!: String" FROM known WHERE instance_id IS NOT NULL
            "#
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(ids.iter().map(|id| InstanceId::from_store(id)).collect())
    }
}

/// The rows that each of the targets has for a page. SQLite has no LATERAL: each target is a statement.
pub(super) async fn list<R>(
    connection: &mut SqliteConnection,
    listing: &Listing,
    ask: &Ask<'_>,
) -> Result<Vec<R>, StoreError>
where
    R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    let mut rows = Vec::new();
    for target in ask.targets {
        rows.extend(statement(listing, target, ask).build_query_as().fetch_all(&mut *connection).await?);
    }
    Ok(rows)
}

fn statement(listing: &Listing, target: &Target, ask: &Ask<'_>) -> QueryBuilder<Sqlite> {
    let columns: Vec<&str> = std::iter::once(listing.at).chain(listing.rest.iter().map(Rest::column)).collect();
    let key = columns.join(", ");
    let order = if ask.ascending { "ASC" } else { "DESC" };
    let start = format!("SELECT {} FROM {} WHERE instance_id = ", listing.columns, listing.table);
    let mut query = QueryBuilder::new(start);
    query.push_bind(target.instance_id.as_str().to_owned());
    for (sign, bound) in [(">", &target.range.after), ("<", &target.range.before)] {
        query.push(format_args!(" AND ({key}) {sign} ("));
        push_bound(&mut query, listing, bound);
        query.push(")");
    }
    if let Some(chat_id) = &target.chat_id {
        query.push(" AND chat_id = ").push_bind(chat_id.clone());
    }
    if let Some((from_me, is_group)) = target.direction {
        query.push(" AND from_me = ").push_bind(from_me).push(" AND is_group = ").push_bind(is_group);
    }
    ask.conditions.iter().for_each(|condition| push_condition(&mut query, condition));
    let ordered: Vec<String> = columns.iter().map(|column| format!("{column} {order}")).collect();
    query.push(format_args!(" ORDER BY {} LIMIT ", ordered.join(", "))).push_bind(ask.limit);
    query
}

fn push_bound(query: &mut QueryBuilder<Sqlite>, listing: &Listing, bound: &Bound) {
    query.push_bind(bound.at.to_rfc3339());
    for (rest, part) in listing.rest.iter().zip(&bound.rest) {
        match rest {
            Rest::Text(_) => query.push(", ").push_bind(part.clone()),
            Rest::Bytes(_) => query.push(", unhex(").push_bind(part.clone()).push(")"),
        };
    }
}

pub(super) fn push_condition(query: &mut QueryBuilder<Sqlite>, condition: &Condition) {
    match condition {
        Condition::Is(column, text) => query.push(format_args!(" AND {column} = ")).push_bind(text.clone()),
        Condition::Flag(column, flag) => query.push(format_args!(" AND {column} = ")).push_bind(*flag),
        Condition::Null(column) => query.push(format_args!(" AND {column} IS NULL")),
        Condition::NotNull(column) => query.push(format_args!(" AND {column} IS NOT NULL")),
        Condition::Contains(column, text) => {
            query.push(format_args!(" AND instr({column}, ")).push_bind(text.clone()).push(") > 0")
        }
        Condition::Begins(column, text) => query
            .push(format_args!(" AND substr({column}, 1, length("))
            .push_bind(text.clone())
            .push(")) = ")
            .push_bind(text.clone()),
        Condition::AtLeast(column, number) => query.push(format_args!(" AND {column} >= ")).push_bind(*number),
        Condition::AtMost(column, number) => query.push(format_args!(" AND {column} <= ")).push_bind(*number),
    };
}
