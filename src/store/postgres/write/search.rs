use std::collections::BTreeMap;
use std::fmt::Write;

use async_trait::async_trait;
use sqlx::PgConnection;

use crate::StoreError;
use crate::postgres::column;
use crate::write::search::SearchRows;
use domain::search::{SearchEntry, SearchPlace};

/// Returns the words with their places, and the facets without places, as text of a `tsvector`. Neither contains quotes
/// or backslashes.
fn vector(entry: &SearchEntry) -> String {
    let mut places = BTreeMap::<&str, Vec<usize>>::new();
    for (word, place) in entry.words.split(' ').zip(1..) {
        places.entry(word).or_default().push(place);
    }
    let mut vector = String::new();
    for (word, places) in places {
        let places: Vec<String> = places.iter().map(usize::to_string).collect();
        write!(vector, "'{word}':{} ", places.join(",")).expect("text can be written");
    }
    vector.extend(entry.facets.iter().map(|facet| format!("'{}' ", facet.as_str())));
    vector
}

#[async_trait]
impl SearchRows for PgConnection {
    async fn insert_words(&mut self, entries: &[SearchEntry]) -> Result<u64, StoreError> {
        let written = sqlx::query!(
            r#"
            INSERT INTO message_search (instance_id, id, occurred_at, seq, words)
            SELECT entry.instance_id, entry.id, entry.occurred_at, entry.seq, entry.words::tsvector
            FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::int8[], $5::text[])
                AS entry (instance_id, id, occurred_at, seq, words)
            JOIN ledger_clock ON ledger_clock.id = 1
            "#,
            column(entries, |it| it.instance_id.as_str()) as _,
            column(entries, |it| it.id.as_str()) as _,
            &column(entries, |it| it.occurred_at.to_utc()),
            &column(entries, |it| it.seq),
            &column(entries, vector),
        )
        .execute(self)
        .await?;
        Ok(written.rows_affected())
    }

    async fn delete_words(&mut self, places: &[SearchPlace]) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            DELETE FROM message_search
            USING unnest($1::text[], $2::timestamptz[], $3::int8[]) AS sought (instance_id, occurred_at, seq)
            WHERE message_search.instance_id = sought.instance_id
                AND message_search.occurred_at = sought.occurred_at
                AND message_search.seq = sought.seq
            "#,
            column(places, |it| it.instance_id.as_str()) as _,
            &column(places, |it| it.occurred_at.to_utc()),
            &column(places, |it| it.seq),
        )
        .execute(self)
        .await?;
        Ok(())
    }
}
