use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};

use super::reading::ReadTransaction;
use crate::StoreError;
use crate::read::listing::{
    Condition, InstanceQueries, KeyColumn, KeyRange, ListSource, PageQuery, Question, Readable, rows_of_index,
};
use crate::read::media_lists::BEGINNING;
use crate::sqlite::SqliteStore;
use domain::instance::InstanceId;
use domain::page::KeysetBound;

#[async_trait]
impl Readable for SqliteStore {
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
            SELECT instance_id AS "instance_id!: String" FROM known WHERE instance_id IS NOT NULL
            "#
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(ids.iter().map(|id| InstanceId::from_store(id)).collect())
    }
}

/// How many targets a statement has; SQLite takes 500.
const TARGETS: usize = 100;

/// The rows that the targets have for a page.
pub(crate) async fn list<R>(
    connection: &mut SqliteConnection,
    listing: &ListSource,
    ask: &PageQuery<'_>,
) -> Result<Vec<R>, StoreError>
where
    R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    let Some(first) = ask.targets.first() else { return Ok(vec![]) };
    let way = Way::of(listing, first, ask.conditions);
    let mut rows = Vec::new();
    for targets in ask.targets.chunks(way.targets()) {
        rows.extend(statement(listing, targets, ask, way).build_query_as().fetch_all(&mut *connection).await?);
    }
    Ok(rows)
}

/// SQLite merges the parts of a union that each have the order of the whole, and reads no more of them than it needs.
fn statement(listing: &ListSource, targets: &[KeyRange], ask: &PageQuery<'_>, way: Way) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("");
    for (place, target) in targets.iter().enumerate() {
        query.push(if place > 0 { " UNION ALL " } else { "" });
        push_target(&mut query, listing, target, ask, way);
    }
    let order = if ask.ascending { "ASC" } else { "DESC" };
    let columns = [listing.at, "instance_id"].into_iter().chain(listing.rest.iter().map(KeyColumn::column));
    let ordered: Vec<String> = columns.map(|column| format!("{} {order}", way.key(column))).collect();
    query.push(format_args!(" ORDER BY {} LIMIT ", ordered.join(", "))).push_bind(ask.limit);
    query
}

fn push_target(
    query: &mut QueryBuilder<Sqlite>,
    listing: &ListSource,
    target: &KeyRange,
    ask: &PageQuery<'_>,
    way: Way,
) {
    let columns = std::iter::once(listing.at).chain(listing.rest.iter().map(KeyColumn::column));
    let columns: Vec<String> = columns.map(|column| way.key(column)).collect();
    let key = columns.join(", ");
    let (from, index) = (listing.table, way.index());
    query.push(format_args!("SELECT {} FROM {from}{index} WHERE instance_id = ", listing.columns));
    query.push_bind(target.instance_id.as_str().to_owned());
    for (sign, bound) in [(">", &target.range.after), ("<", &target.range.before)] {
        query.push(format_args!(" AND ({key}) {sign} ("));
        push_bound(query, listing, bound);
        query.push(")");
    }
    if let Some(chat_id) = &target.chat_id {
        query.push(format_args!(" AND {} = ", way.condition("chat_id"))).push_bind(chat_id.clone());
    }
    if let Some((from_me, is_group)) = target.direction {
        query.push(format_args!(" AND {} = ", way.condition("from_me"))).push_bind(from_me);
        query.push(" AND is_group = ").push_bind(is_group);
    }
    ask.conditions.iter().for_each(|condition| push_condition(query, condition, way));
    if let Way::InOrder(column, _) = way
        && let Some(rows) = rows_of_index(listing.table, column)
    {
        query.push(format_args!(" AND {rows}"));
    }
}

/// How rows are found. Without statistics SQLite often chooses an index that leaves far more rows than another, so it is
/// told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// By what the statement says besides: of a list, in its order, by its own index.
    Plain,
    /// In the order of the list, by the index that begins with the instance and this column.
    InOrder(&'static str, &'static str),
    /// All that have this column's value, and then sorted: they are few, and may be anywhere in the list.
    Sorted(&'static str),
}

impl Way {
    /// The first of the ways to read the listing that there is a condition for. The fewer rows one leaves, the earlier
    /// it stands.
    fn of(listing: &ListSource, target: &KeyRange, conditions: &[Condition]) -> Self {
        use Way::{InOrder, Sorted};
        let ways: &[Self] = match (listing.table, listing.at) {
            ("messages", "occurred_at") => &[
                InOrder("quoted_message_id", "messages_quoted"),
                InOrder("chat_id", "messages_chat"),
                InOrder("from_id", "messages_from"),
                InOrder("to_id", "messages_to"),
                InOrder("media_url", "messages_media"),
                InOrder("ack", "messages_ack"),
                InOrder("type", "messages_type"),
                InOrder("status", "messages_status"),
                InOrder("from_me", "messages_direction"),
            ],
            ("messages", _) => &[Sorted("quoted_message_id"), Sorted("chat_id")],
            ("chats", _) => &[Sorted("contact")],
            ("media", _) => &[
                Sorted("message_id"),
                InOrder("state", "media_listed_by_state"),
                InOrder(BEGINNING, "media_listed_by_type"),
            ],
            ("message_acks", _) => &[Sorted("message_id"), InOrder("ack", "message_acks_word")],
            _ => &[Sorted("message_id")],
        };
        let asked = |way: &&Self| match way {
            Self::InOrder("chat_id", _) | Self::Sorted("chat_id") => target.chat_id.is_some(),
            Self::InOrder("from_me", _) => target.direction.is_some(),
            Self::InOrder(column, _) | Self::Sorted(column) => conditions.iter().any(|it| it.finds(column)),
            Self::Plain => true,
        };
        ways.iter().find(asked).copied().unwrap_or(Self::Plain)
    }

    /// What follows the table's name.
    fn index(self) -> String {
        match self {
            Self::InOrder(_, index) => format!(" INDEXED BY {index}"),
            Self::Plain | Self::Sorted(_) => String::new(),
        }
    }

    /// What is sorted has no order to be merged by: each target is a statement of its own.
    fn targets(self) -> usize {
        match self {
            Self::Sorted(_) => 1,
            Self::Plain | Self::InOrder(..) => TARGETS,
        }
    }

    /// A column of the sort key. Behind a plus sign it is no key of an index.
    fn key(self, column: &str) -> String {
        match self {
            Self::Sorted(_) => format!("+{column}"),
            Self::Plain | Self::InOrder(..) => column.to_owned(),
        }
    }

    /// The column of a condition.
    fn condition(self, column: &str) -> String {
        match self {
            Self::Sorted(chosen) if chosen != column => format!("+{column}"),
            _ => column.to_owned(),
        }
    }
}

impl Condition {
    /// Whether an index on `column` finds the rows.
    fn finds(&self, column: &str) -> bool {
        matches!(self, Self::Is(known, _) | Self::NotNull(known) if *known == column)
    }
}

fn push_bound(query: &mut QueryBuilder<Sqlite>, listing: &ListSource, bound: &KeysetBound) {
    query.push_bind(bound.at.to_rfc3339());
    for (rest, part) in listing.rest.iter().zip(&bound.rest) {
        match rest {
            KeyColumn::Text(_) => query.push(", ").push_bind(part.clone()),
            KeyColumn::Bytes(_) => query.push(", unhex(").push_bind(part.clone()).push(")"),
        };
    }
}

pub(crate) fn push_condition(query: &mut QueryBuilder<Sqlite>, condition: &Condition, way: Way) {
    match condition {
        Condition::Is(column, text) | Condition::Has(column, text) => {
            query.push(format_args!(" AND {} = ", way.condition(column))).push_bind(text.clone())
        }
        Condition::Flag(column, flag) => query.push(format_args!(" AND {} = ", way.condition(column))).push_bind(*flag),
        Condition::Null(column) => query.push(format_args!(" AND {} IS NULL", way.condition(column))),
        Condition::NotNull(column) => query.push(format_args!(" AND {} IS NOT NULL", way.condition(column))),
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

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row};

    use super::*;
    use crate::MessageFilter;
    use crate::read::message_filter::ListPart;
    use crate::read::message_reports::{BY_ARRIVAL, BY_TIME};
    use crate::sqlite::MIGRATIONS;
    use domain::page::{Paging, SortKey, SortOrder};

    /// What each condition is found by, those that leave the fewest rows first.
    const INDEXES: [(&str, &str); 7] = [
        ("quoted_message_id", "messages_quoted"),
        ("from_id", "messages_from"),
        ("to_id", "messages_to"),
        ("media_url", "messages_media"),
        ("ack", "messages_ack"),
        ("type", "messages_type"),
        ("status", "messages_status"),
    ];

    async fn database() -> SqliteConnection {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        MIGRATIONS.run(&mut connection).await.unwrap();
        connection
    }

    async fn plan(
        connection: &mut SqliteConnection,
        listing: &ListSource,
        target: KeyRange,
        conditions: &[Condition],
    ) -> String {
        let ask = PageQuery { targets: &[], conditions, ascending: false, limit: 51 };
        let way = Way::of(listing, &target, conditions);
        let targets = vec![target; way.targets().min(3)];
        let text = format!("EXPLAIN QUERY PLAN {}", statement(listing, &targets, &ask, way).sql().as_str());
        let rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(connection).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join(", ")
    }

    fn target(listing: &ListSource) -> KeyRange {
        let paging =
            Paging::<SortKey> { order: SortOrder::NewestFirst, limit: 50, cursor: None, since: None, until: None };
        KeyRange::new(InstanceId::new("7").unwrap(), &paging, listing)
    }

    /// Everything that messages can be filtered by, beside their chat.
    const FILTERS: [fn(&mut MessageFilter); 11] = [
        |filter| filter.from_id = Some(String::new()),
        |filter| filter.to_id = Some(String::new()),
        |filter| filter.kind = Some(String::new()),
        |filter| filter.ack = Some(String::new()),
        |filter| filter.status = Some(String::new()),
        |filter| filter.quoted_message_id = Some(String::new()),
        |filter| filter.has_media = Some(true),
        |filter| filter.has_media = Some(false),
        |filter| filter.from_me = Some(true),
        |filter| filter.kind = Some("text".to_owned()),
        |filter| filter.ack = Some("pending".to_owned()),
    ];

    #[tokio::test]
    async fn no_combination_of_filters_walks_over_all_messages_or_sorts_more_than_a_few() {
        let mut connection = database().await;
        for chosen in 0..1_u32 << FILTERS.len() {
            let mut filter = MessageFilter::default();
            let asked = FILTERS.iter().enumerate().filter(|(place, _)| chosen >> place & 1 == 1);
            asked.for_each(|(_, set)| set(&mut filter));
            for (listing, chat) in [(&BY_TIME, false), (&BY_TIME, true), (&BY_ARRIVAL, false), (&BY_ARRIVAL, true)] {
                filter.chat_id = chat.then(String::new);
                let target = KeyRange { chat_id: filter.chat_id.clone(), ..target(listing) };
                for ListPart { targets, conditions } in filter.parts(listing, vec![target]) {
                    let in_chat = targets[0].chat_id.is_some();
                    let directed = targets[0].direction.is_some();
                    let plan = plan(&mut connection, listing, targets[0].clone(), &conditions).await;
                    let by_arrival = listing.at == "received_at";
                    let few = filter.quoted_message_id.is_some();
                    assert!(plan.contains("SEARCH messages USING ") && !plan.contains("SCAN"), "{filter:?} {plan}");
                    assert_eq!(plan.contains("TEMP B-TREE"), by_arrival && (chat || few), "{filter:?} {plan}");
                    let first = INDEXES.iter().find(|(column, _)| conditions.iter().any(|it| it.finds(column)));
                    let index = match first {
                        Some((_, index)) if few || !by_arrival && !in_chat => index,
                        _ if in_chat => "messages_chat",
                        _ if by_arrival => "messages_received",
                        _ if directed => "messages_direction",
                        _ => "messages_occurred",
                    };
                    assert!(plan.contains(&format!("INDEX {index} ")), "{filter:?} {index} {plan}");
                    let whole = "(instance_id=? AND from_me=? AND is_group=? AND ack=? AND (occurred_at";
                    assert!(*index != *"messages_ack" || plan.contains(whole), "{filter:?} {plan}");
                }
            }
        }
    }

    #[tokio::test]
    async fn acks_of_one_word_have_an_index_in_the_order_of_their_arrival() {
        let mut connection = database().await;
        let rest = &[KeyColumn::Text("message_id"), KeyColumn::Text("ack")];
        let listing = ListSource { table: "message_acks", columns: "*", at: "received_at", rest };
        let plan = plan(&mut connection, &listing, target(&listing), &[Condition::Is("ack", String::new())]).await;
        assert!(plan.contains("INDEX message_acks_word (instance_id=? AND ack=?"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[tokio::test]
    async fn what_belongs_to_one_message_or_one_person_is_found_by_it() {
        let mut connection = database().await;
        const OF_MESSAGE: &[KeyColumn] = &[KeyColumn::Text("message_id")];
        const CHAT: &[KeyColumn] = &[KeyColumn::Text("chat_id")];
        for (table, at, rest, column) in [
            ("message_acks", "received_at", OF_MESSAGE, "message_id"),
            ("message_reactions", "reacted_at", OF_MESSAGE, "message_id"),
            ("media", "occurred_at", OF_MESSAGE, "message_id"),
            ("chats", "last_message_at", CHAT, "contact"),
            ("chats", "waiting_since", CHAT, "contact"),
        ] {
            let listing = ListSource { table, columns: "*", at, rest };
            let asked = [Condition::Is(column, String::new()), Condition::NotNull(at)];
            let plan = plan(&mut connection, &listing, target(&listing), &asked).await;
            assert!(plan.contains("instance_id=?") && plan.contains(&format!("{column}=?")), "{table} {plan}");
        }
    }
}
