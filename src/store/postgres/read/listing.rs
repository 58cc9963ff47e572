use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};

use super::reading::ReadTransaction;
use crate::StoreError;
use crate::postgres::PostgresStore;
use crate::read::listing::{
    Condition, InstanceQueries, KeyColumn, KeyRange, ListSource, PageQuery, Question, Readable, rows_of_index,
};
use crate::read::media_lists::BEGINNING;
use domain::instance::InstanceId;
use domain::page::KeysetBound;

#[async_trait]
impl Readable for PostgresStore {
    type Reading = ReadTransaction;

    async fn reading(&self) -> Result<ReadTransaction, StoreError> {
        self.begin_reading().await
    }
}

#[async_trait]
impl Question for ReadTransaction {
    async fn end(self) -> Result<(), StoreError> {
        self.commit().await
    }
}

#[async_trait]
impl InstanceQueries for ReadTransaction {
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
            SELECT instance_id AS "instance_id!" FROM known WHERE instance_id IS NOT NULL
            "#
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(ids.iter().map(|id| InstanceId::from_store(id)).collect())
    }
}

/// The rows that the targets have for a page; of all targets together, as many as the page needs.
pub(crate) async fn list<R>(
    connection: &mut PgConnection,
    listing: &ListSource,
    ask: &PageQuery<'_>,
) -> Result<Vec<R>, StoreError>
where
    R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    if ask.targets.is_empty() {
        return Ok(vec![]);
    }
    Ok(statement(listing, ask).build_query_as().fetch_all(connection).await?)
}

fn statement(listing: &ListSource, ask: &PageQuery<'_>) -> QueryBuilder<Postgres> {
    let leads = leads(listing, ask);
    let sorted = leads.is_none();
    let leads = leads.unwrap_or_default();
    let rest: Vec<&str> = listing.rest.iter().map(KeyColumn::column).collect();
    let key = [&[listing.at], rest.as_slice()].concat();
    let order = if ask.ascending { "ASC" } else { "DESC" };
    let mut query = QueryBuilder::new("");
    // Of every target the keys alone are read, which the index holds; of the page, the rows.
    let places = [&["instance_id"], key.as_slice()].concat().join(", ");
    query.push(format_args!("SELECT {} FROM (SELECT found.* FROM unnest(", listing.columns));
    push_targets(&mut query, listing, ask.targets, leads.iter().find_map(Lead::text));
    query.push(format_args!(
        ") CROSS JOIN LATERAL (SELECT {places} FROM {} WHERE instance_id = wanted.instance_id",
        listing.table
    ));
    for lead in &leads {
        query.push(format_args!(" AND {} = wanted.{}", lead.column(), lead.wanted()));
        if let Some(rows) = rows_of_index(listing.table, lead.column()) {
            query.push(format_args!(" AND {rows}"));
        }
    }
    for (name, sign) in [("after", ">"), ("before", "<")] {
        query.push(format_args!(" AND ({}) {sign} (wanted.{name}_at", key.join(", ")));
        push_bound(&mut query, listing, name);
        query.push(")");
    }
    let led = |column: &str| leads.iter().any(|lead| lead.column() == column);
    if ask.targets.iter().any(|target| target.chat_id.is_some()) && !led("chat_id") {
        query.push(" AND chat_id = wanted.chat_id");
    }
    if ask.targets.iter().any(|target| target.direction.is_some()) && !led("from_me") {
        query.push(" AND from_me = wanted.from_me AND is_group = wanted.is_group");
    }
    let others = ask.conditions.iter().filter(|it| !matches!(it, Condition::Is(column, _) if led(column)));
    others.for_each(|condition| push_condition(&mut query, condition));
    let ordered = |prefix: &str, columns: &[&str]| {
        let terms: Vec<String> = columns.iter().map(|column| format!("{prefix}{column} {order}")).collect();
        terms.join(", ")
    };
    let merged = ordered("found.", &[&[listing.at, "instance_id"], rest.as_slice()].concat());
    // No index has what is added up in order.
    let added = if sorted { format!("{} + INTERVAL '0' {order}, ", listing.at) } else { String::new() };
    query.push(format_args!(" ORDER BY {added}{} LIMIT ", ordered("", &key))).push_bind(i64::from(ask.limit));
    query.push(format_args!(") AS found ORDER BY {merged} LIMIT ")).push_bind(i64::from(ask.limit));
    query.push(") AS page");
    if !listing.columns.split(", ").all(|column| column == "instance_id" || key.contains(&column)) {
        query.push(format_args!(" INNER JOIN {} USING ({places})", listing.table));
    }
    query
}

/// A column at the beginning of the index that is to be read, after the instance. What it must be is a column of
/// `wanted`, also where it is the same for all targets: of a value that it sees, PostgreSQL knows how common it is
/// among all messages, and would read those of another index where it is common, though an instance may have none of it.
/// What it expects of a value that it does not see, the migrations say (`n_distinct`).
enum Lead {
    Target(&'static str),
    Text(&'static str, String),
}

impl Lead {
    fn column(&self) -> &'static str {
        match self {
            Self::Target(column) | Self::Text(column, _) => column,
        }
    }

    fn wanted(&self) -> &'static str {
        match self {
            Self::Target(column) => column,
            Self::Text(..) => "text",
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Target(_) => None,
            Self::Text(_, text) => Some(text),
        }
    }
}

/// What, besides the instance, the index begins with that is to be read in the order of the list: the condition that
/// leaves the fewest rows. `None` where there are so few that they are sorted.
fn leads(listing: &ListSource, ask: &PageQuery<'_>) -> Option<Vec<Lead>> {
    let text = |column: &str| {
        ask.conditions.iter().find_map(|condition| match condition {
            Condition::Is(known, text) if *known == column => Some(Lead::Text(known, text.clone())),
            _ => None,
        })
    };
    let first = |columns: &[&str]| columns.iter().find_map(|column| text(column));
    let in_chats = ask.targets.iter().any(|target| target.chat_id.is_some());
    let directed = ask.targets.iter().any(|target| target.direction.is_some());
    let few = match (listing.table, listing.at) {
        ("messages", "occurred_at") => false,
        ("messages", _) => in_chats || first(&["quoted_message_id"]).is_some(),
        _ => first(&["message_id", "contact"]).is_some(),
    };
    if few {
        return None;
    }
    let with_file = ask.conditions.iter().any(|condition| matches!(condition, Condition::NotNull("media_url")));
    let other = match (listing.table, listing.at) {
        ("messages", "occurred_at") => first(&["quoted_message_id"])
            .or_else(|| in_chats.then_some(Lead::Target("chat_id")))
            .or_else(|| first(&["from_id", "to_id"]))
            .or_else(|| if with_file || directed { None } else { first(&["type", "status"]) }),
        ("message_acks", _) => first(&["ack"]),
        ("message_reactions", _) => first(&["from_number"]),
        ("media", _) => first(&["state", BEGINNING]),
        _ => None,
    };
    Some(match other {
        Some(other) => vec![other],
        None if directed => {
            [Lead::Target("from_me"), Lead::Target("is_group")].into_iter().chain(first(&["ack"])).collect()
        }
        None => vec![],
    })
}

/// The targets as the rows of `wanted`, each with the text of the lead.
fn push_targets(query: &mut QueryBuilder<Postgres>, listing: &ListSource, targets: &[KeyRange], text: Option<&str>) {
    let texts = |part: &dyn Fn(&KeyRange) -> String| targets.iter().map(part).collect::<Vec<String>>();
    query.push_bind(texts(&|target| target.instance_id.as_str().to_owned()));
    query.push(", ").push_bind(targets.iter().map(|target| target.chat_id.clone()).collect::<Vec<_>>());
    query.push(", ").push_bind(targets.iter().map(|it| it.direction.map(|it| it.0)).collect::<Vec<_>>());
    query.push(", ").push_bind(targets.iter().map(|it| it.direction.map(|it| it.1)).collect::<Vec<_>>());
    query.push(", ").push_bind(vec![text; targets.len()]);
    let mut names: Vec<String> = ["instance_id", "chat_id", "from_me", "is_group", "text"].map(str::to_owned).into();
    let after: Vec<&KeysetBound> = targets.iter().map(|target| &target.range.after).collect();
    let before: Vec<&KeysetBound> = targets.iter().map(|target| &target.range.before).collect();
    for (name, bounds) in [("after", after), ("before", before)] {
        query.push(", ").push_bind(bounds.iter().map(|bound| bound.at.to_utc()).collect::<Vec<_>>());
        names.push(format!("{name}_at"));
        for place in 0..listing.rest.len() {
            query.push(", ").push_bind(bounds.iter().map(|bound| bound.rest[place].clone()).collect::<Vec<_>>());
            names.push(format!("{name}_{place}"));
        }
    }
    query.push(format_args!(") AS wanted ({}", names.join(", ")));
}

fn push_bound(query: &mut QueryBuilder<Postgres>, listing: &ListSource, name: &str) {
    for (place, rest) in listing.rest.iter().enumerate() {
        match rest {
            KeyColumn::Text(_) => query.push(format_args!(", wanted.{name}_{place}")),
            KeyColumn::Bytes(_) => query.push(format_args!(", decode(wanted.{name}_{place}, 'hex')")),
        };
    }
}

pub(crate) fn push_condition(query: &mut QueryBuilder<Postgres>, condition: &Condition) {
    match condition {
        Condition::Is(column, text) | Condition::Has(column, text) => {
            query.push(format_args!(" AND {column} = ")).push_bind(text.clone())
        }
        Condition::Flag(column, flag) => query.push(format_args!(" AND {column} = ")).push_bind(*flag),
        Condition::Null(column) => query.push(format_args!(" AND {column} IS NULL")),
        Condition::NotNull(column) => query.push(format_args!(" AND {column} IS NOT NULL")),
        Condition::Contains(column, text) => {
            query.push(format_args!(" AND strpos({column}, ")).push_bind(text.clone()).push(") > 0")
        }
        Condition::Begins(column, text) => {
            query.push(format_args!(" AND starts_with({column}, ")).push_bind(text.clone()).push(")")
        }
        Condition::AtLeast(column, number) => query.push(format_args!(" AND {column} >= ")).push_bind(*number),
        Condition::AtMost(column, number) => query.push(format_args!(" AND {column} <= ")).push_bind(*number),
    };
}
