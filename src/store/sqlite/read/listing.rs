use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};

use crate::StoreError;
use crate::error::in_table;
use crate::read::ReadTransaction;
use crate::read::acks::{AckReport, AckReportRow};
use crate::read::chats::ChatReport;
use crate::read::index::{Index, IndexOrder};
use crate::read::listing::{
    Condition, KeyColumn, KeyRange, KeyValue, ListQueries, ListSource, ListedMessage, ListedMessageRow, PageQuery,
};
use crate::read::media::{JobReport, JobReportRow};
use crate::read::reactions::{ReactionReportRow, reaction};
use domain::message::reaction::MessageReaction;
use domain::page::{KeyPart, KeysetBound};

#[async_trait]
impl ListQueries for ReadTransaction<Sqlite> {
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

/// The number of ranges in a statement. SQLite takes 500 parts of a union.
const RANGES: usize = 100;

/// Returns the rows that the ranges have for a page.
async fn list<R>(connection: &mut SqliteConnection, query: &PageQuery) -> Result<Vec<R>, StoreError>
where
    R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    let mut rows = Vec::new();
    for ranges in query.ranges.chunks(ranges_together(query.index)) {
        let found = statement(query, ranges).build_query_as().fetch_all(&mut *connection).await;
        rows.extend(found.map_err(StoreError::from).map_err(in_table(query.source.table))?);
    }
    Ok(rows)
}

/// Returns the number of ranges in a statement. Rows that are sorted cannot be merged, so each range is a statement.
fn ranges_together(index: &Index) -> usize {
    match index.order {
        IndexOrder::Sorted => 1,
        IndexOrder::Indexed => RANGES,
    }
}

/// SQLite merges the parts of a union that each have the order of the whole, and reads no more of them than it needs.
fn statement(query: &PageQuery, ranges: &[KeyRange]) -> QueryBuilder<Sqlite> {
    let (source, plus) = (query.source, hidden(query.index));
    let mut statement = QueryBuilder::new("");
    for (place, range) in ranges.iter().enumerate() {
        statement.push(if place > 0 { " UNION ALL " } else { "" });
        push_range(&mut statement, query, range);
    }
    let order = if query.ascending { "ASC" } else { "DESC" };
    let ordered: Vec<String> = source.order().iter().map(|column| format!("{plus}{column} {order}")).collect();
    statement.push(format_args!(" ORDER BY {} LIMIT ", ordered.join(", "))).push_bind(query.limit);
    statement
}

fn push_range(statement: &mut QueryBuilder<Sqlite>, query: &PageQuery, range: &KeyRange) {
    let PageQuery { source, index, .. } = query;
    let plus = hidden(index);
    let columns = std::iter::once(source.at).chain(source.rest.iter().map(KeyColumn::column));
    let key = columns.map(|column| format!("{plus}{column}")).collect::<Vec<String>>().join(", ");
    statement.push(format_args!("SELECT {} FROM {}", source.columns, source.table));
    if let Some(name) = index.name {
        statement.push(format_args!(" INDEXED BY {name}"));
    }
    statement.push(" WHERE instance_id = ").push_bind(range.instance_id.clone());
    for (sign, bound) in [(">", &range.range.after), ("<", &range.range.before)] {
        statement.push(format_args!(" AND ({key}) {sign} ("));
        push_bound(statement, source, bound);
        statement.push(")");
    }
    for (column, value) in &range.equal {
        let plus = if index.leading.contains(column) { "" } else { plus };
        statement.push(format_args!(" AND {plus}{column} = "));
        match value {
            KeyValue::Text(text) => statement.push_bind(text.clone()),
            KeyValue::Flag(flag) => statement.push_bind(*flag),
        };
    }
    query.conditions.iter().for_each(|condition| push_condition(statement, condition, plus));
    if let Some(rows) = index.rows() {
        statement.push(format_args!(" AND {rows}"));
    }
}

/// Returns the prefix of columns that must not lead to another index. SQLite uses no index for a column with a plus
/// sign.
fn hidden(index: &Index) -> &'static str {
    match index.order {
        IndexOrder::Sorted => "+",
        IndexOrder::Indexed => "",
    }
}

fn push_bound(statement: &mut QueryBuilder<Sqlite>, source: &ListSource, bound: &KeysetBound) {
    statement.push_bind(bound.at);
    for (column, part) in source.rest.iter().zip(&bound.rest) {
        match (column, part) {
            (KeyColumn::Bytes(_), KeyPart::Text(digits)) => {
                statement.push(", unhex(").push_bind(digits.clone()).push(")")
            }
            (_, KeyPart::Text(text)) => statement.push(", ").push_bind(text.clone()),
            (_, KeyPart::Number(number)) => statement.push(", ").push_bind(*number),
        };
    }
}

/// Adds a condition; `plus` is put before a column that an index could be read by.
pub(crate) fn push_condition(statement: &mut QueryBuilder<Sqlite>, condition: &Condition, plus: &str) {
    match condition {
        Condition::Is(column, text) => statement.push(format_args!(" AND {plus}{column} = ")).push_bind(text.clone()),
        Condition::Flag(column, flag) => statement.push(format_args!(" AND {plus}{column} = ")).push_bind(*flag),
        Condition::OneOf(column, words) => {
            push_words(statement.push(format_args!(" AND {plus}{column} IN (")), words).push(")")
        }
        Condition::Null(column) => statement.push(format_args!(" AND {plus}{column} IS NULL")),
        Condition::NotNull(column) => statement.push(format_args!(" AND {plus}{column} IS NOT NULL")),
        Condition::Contains(column, text) => {
            statement.push(format_args!(" AND instr({column}, ")).push_bind(text.clone()).push(") > 0")
        }
        Condition::Begins(column, text) => statement
            .push(format_args!(" AND substr({column}, 1, length("))
            .push_bind(text.clone())
            .push(")) = ")
            .push_bind(text.clone()),
        Condition::AtLeast(column, number) => statement.push(format_args!(" AND {column} >= ")).push_bind(*number),
        Condition::AtMost(column, number) => statement.push(format_args!(" AND {column} <= ")).push_bind(*number),
    };
}

fn push_words<'s>(statement: &'s mut QueryBuilder<Sqlite>, words: &[&'static str]) -> &'s mut QueryBuilder<Sqlite> {
    for (place, word) in words.iter().enumerate() {
        statement.push(if place > 0 { ", " } else { "" }).push_bind(*word);
    }
    statement
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row};

    use super::*;
    use crate::MessageFilter;
    use crate::read::acks::ACKS;
    use crate::read::chats::{BY_LATEST, BY_WAITING};
    use crate::read::index::{ACK_WORD, CHATS_LATEST, CHATS_WAITING, OF_CONTACT, OF_MESSAGE, REACTIONS_OF_PERSON};
    use crate::read::media::MEDIA;
    use crate::read::messages::{BY_ARRIVAL, BY_TIME};
    use crate::read::reactions::REACTIONS;
    use crate::sqlite::MIGRATIONS;
    use domain::chat::chat_kind::ChatKinds;
    use domain::instance::InstanceId;
    use domain::page::{Paging, SortKey, SortOrder};

    /// The index of each column, in the order of how few rows they leave.
    const INDEXES: [(&str, &str); 8] = [
        ("quoted_message_id", "messages_quoted"),
        ("from_id", "messages_from"),
        ("to_id", "messages_to"),
        ("group_sender", "messages_author"),
        ("media_url", "messages_media"),
        ("ack", "messages_ack"),
        ("type", "messages_type"),
        ("status", "messages_status"),
    ];

    const PAGING: Paging<SortKey> =
        Paging { order: SortOrder::NewestFirst, limit: 50, cursor: None, since: None, until: None };

    async fn database() -> SqliteConnection {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        MIGRATIONS.run(&mut connection).await.unwrap();
        connection
    }

    async fn plan(connection: &mut SqliteConnection, query: &PageQuery) -> String {
        let ranges = vec![query.ranges[0].clone(); ranges_together(query.index).min(3)];
        let text = format!("EXPLAIN QUERY PLAN {}", statement(query, &ranges).sql().as_str());
        let rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(connection).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join(", ")
    }

    fn range(source: &ListSource) -> KeyRange {
        KeyRange::new(InstanceId::new("7").unwrap(), &PAGING, source)
    }

    /// Everything that messages can be filtered by, beside their chat.
    const FILTERS: [fn(&mut MessageFilter); 13] = [
        |filter| filter.from_id = Some("1@c.us".to_owned()),
        |filter| filter.to_id = Some("1@c.us".to_owned()),
        |filter| filter.author = Some("1@c.us".to_owned()),
        |filter| filter.kind = Some(String::new()),
        |filter| filter.ack = Some(String::new()),
        |filter| filter.status = Some(String::new()),
        |filter| filter.quoted_message_id = Some(String::new()),
        |filter| filter.has_media = Some(true),
        |filter| filter.has_media = Some(false),
        |filter| filter.from_me = Some(true),
        |filter| filter.kinds = Some(ChatKinds::conversations()),
        |filter| filter.kind = Some("text".to_owned()),
        |filter| filter.ack = Some("pending".to_owned()),
    ];

    #[test]
    async fn no_combination_of_filters_walks_over_all_messages_or_sorts_more_than_a_few() {
        let mut connection = database().await;
        for chosen in 0..1_u32 << FILTERS.len() {
            let mut filter = MessageFilter::default();
            let asked = FILTERS.iter().enumerate().filter(|(place, _)| chosen >> place & 1 == 1);
            asked.for_each(|(_, set)| set(&mut filter));
            for (source, chat) in [(&BY_TIME, false), (&BY_TIME, true), (&BY_ARRIVAL, false), (&BY_ARRIVAL, true)] {
                let range = if chat { range(source).with("chat_id", "".into()) } else { range(source) };
                for query in filter.queries(source, vec![range], &PAGING) {
                    let plan = plan(&mut connection, &query).await;
                    let equal = |column: &str| query.ranges[0].equal.iter().any(|(known, _)| *known == column);
                    let by_arrival = source.at == "received_at";
                    let few = filter.quoted_message_id.is_some();
                    assert!(plan.contains("SEARCH messages USING ") && !plan.contains("SCAN"), "{filter:?} {plan}");
                    assert_eq!(plan.contains("TEMP B-TREE"), by_arrival && (chat || few), "{filter:?} {plan}");
                    let with_file = filter.has_media == Some(true);
                    let found_by = |column: &str| equal(column) || column == "media_url" && with_file;
                    let first = INDEXES.iter().find(|(column, _)| found_by(column));
                    let index = match first {
                        Some((_, index)) if few || !by_arrival && !equal("chat_id") => index,
                        _ if equal("chat_id") => "messages_chat",
                        _ if by_arrival => "messages_received",
                        _ if equal("from_me") => "messages_direction",
                        _ => "messages_occurred",
                    };
                    assert!(plan.contains(&format!("INDEX {index} ")), "{filter:?} {index} {plan}");
                    let whole = "(instance_id=? AND from_me=? AND kind=? AND ack=? AND (occurred_at";
                    assert!(*index != *"messages_ack" || plan.contains(whole), "{filter:?} {plan}");
                    // The ranges and the conditions together say all that the filter does.
                    let said = query.conditions.len() + query.ranges[0].equal.len();
                    assert!(said >= filter.conditions().len(), "{filter:?} {:?}", query.conditions);
                }
            }
        }
    }

    #[test]
    async fn acks_of_one_word_and_reactions_of_one_person_have_an_index_in_the_order_of_the_list() {
        let mut connection = database().await;
        for (source, index, column) in [(&ACKS, &ACK_WORD, "ack"), (&REACTIONS, &REACTIONS_OF_PERSON, "from_number")] {
            let conditions = vec![Condition::Is(column, String::new())];
            let query = PageQuery::new(source, index, vec![range(source)], conditions, &PAGING);
            let plan = plan(&mut connection, &query).await;
            let found = format!("INDEX {} (instance_id=? AND {column}=?", index.name.unwrap());
            assert!(plan.contains(&found), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
    }

    #[test]
    async fn chats_of_any_kinds_have_an_index_in_the_order_of_the_list() {
        let mut connection = database().await;
        for (source, index, found) in [
            (&BY_LATEST, &CHATS_LATEST, "chats_latest (instance_id=? AND kind=? AND (last_message_at,chat_id)"),
            (&BY_WAITING, &CHATS_WAITING, "chats_waiting (instance_id=? AND (waiting_since,chat_id)"),
        ] {
            let kinds = Condition::kinds(&ChatKinds::conversations());
            let conditions = vec![Condition::NotNull(source.at), kinds];
            let query = PageQuery::new(source, index, vec![range(source)], conditions, &PAGING);
            let plan = plan(&mut connection, &query).await;
            assert!(plan.contains(found) && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }

    #[test]
    async fn what_belongs_to_one_message_or_one_person_is_found_by_it() {
        let mut connection = database().await;
        for source in [&ACKS, &REACTIONS, &MEDIA, &BY_LATEST, &BY_WAITING] {
            let (index, column) = match source.table {
                "chats" => (&OF_CONTACT, "contact"),
                _ => (&OF_MESSAGE, "message_id"),
            };
            let conditions = vec![Condition::Is(column, String::new()), Condition::NotNull(source.at)];
            let query = PageQuery::new(source, index, vec![range(source)], conditions, &PAGING);
            let plan = plan(&mut connection, &query).await;
            let found = plan.contains("instance_id=?") && plan.contains(&format!("{column}=?"));
            assert!(found, "{} {plan}", source.table);
        }
    }
}
