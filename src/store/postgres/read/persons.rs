use async_trait::async_trait;
use sqlx::Postgres;

use crate::StoreError;
use crate::postgres::column;
use crate::read::ReadTransaction;
use crate::read::persons::{PersonId, PersonQueries};
use domain::chat::ChatKey;
use domain::instance::InstanceId;

#[async_trait]
impl PersonQueries for ReadTransaction<Postgres> {
    async fn ids_of(&mut self, instances: &[InstanceId], id: &str) -> Result<Vec<PersonId>, StoreError> {
        Ok(sqlx::query_as!(
            PersonId,
            r#"
            SELECT other.instance_id AS "instance_id: InstanceId", other.alias, other.chat_id
            FROM unnest($1::text[]) AS wanted (instance_id)
            JOIN chat_aliases AS other
                ON other.instance_id = wanted.instance_id
                AND other.chat_id = coalesce(
                    (
                        SELECT own.chat_id
                        FROM chat_aliases AS own
                        WHERE own.instance_id = wanted.instance_id AND own.alias = $2
                    ),
                    $2
                )
            "#,
            column(instances, InstanceId::as_str) as _,
            id,
        )
        .fetch_all(&mut **self)
        .await?)
    }

    async fn conversations(&mut self, ids: &[ChatKey]) -> Result<Vec<PersonId>, StoreError> {
        Ok(sqlx::query_as!(
            PersonId,
            r#"
            SELECT chat_aliases.instance_id AS "instance_id: InstanceId", chat_aliases.alias, chat_aliases.chat_id
            FROM unnest($1::text[], $2::text[]) AS wanted (instance_id, id)
            JOIN chat_aliases ON chat_aliases.instance_id = wanted.instance_id AND chat_aliases.alias = wanted.id
            "#,
            column(ids, |id| id.instance_id.as_str()) as _,
            column(ids, |id| id.chat_id.as_str()) as _,
        )
        .fetch_all(&mut **self)
        .await?)
    }
}
