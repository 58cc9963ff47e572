use async_trait::async_trait;
use sqlx::Postgres;

use crate::StoreError;
use crate::read::ReadTransaction;
use crate::read::messages::versions::{COPIES, CopiesRead, CopyRow, VersionQueries};
use domain::message::MessageKey;
use domain::page::PAGE_BYTES;

#[async_trait]
impl VersionQueries for ReadTransaction<Postgres> {
    async fn copies_of(&mut self, MessageKey { instance_id, id }: &MessageKey) -> Result<CopiesRead, StoreError> {
        let rows = sqlx::query_as!(
            CopyRow,
            r#"
            WITH summed AS MATERIALIZED (
                SELECT
                    seq,
                    sum(size) OVER (ORDER BY seq) AS bytes,
                    row_number() OVER (ORDER BY seq) AS place,
                    count(*) OVER () AS found
                FROM (
                    SELECT seq, coalesce(octet_length(body), 0) AS size
                    FROM events
                    WHERE instance_id = $1
                        AND message_id = $2
                        AND event_type IN ('message_received', 'message_sent', 'message_revoked', 'message_deleted')
                        AND state = 'applied'
                    ORDER BY seq
                    LIMIT $3
                ) AS copy
            )
            SELECT
                events.instance_id AS "instance_id: _", events.body, events.body_sha256,
                events.received_at AS "received_at: _", events.seq, summed.found AS "found!"
            FROM summed
            JOIN events ON events.seq = summed.seq
            WHERE (summed.bytes <= $4 AND summed.place < $3) OR summed.place = 1
            ORDER BY events.seq
            "#,
            instance_id.as_str(),
            id,
            COPIES + 1,
            PAGE_BYTES as i64,
        )
        .fetch_all(&mut **self)
        .await?;
        Ok(CopiesRead::from(rows))
    }
}
