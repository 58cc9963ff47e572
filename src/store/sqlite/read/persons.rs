use async_trait::async_trait;
use sqlx::Sqlite;

use crate::StoreError;
use crate::read::ReadTransaction;
use crate::read::persons::{PersonId, PersonQueries};
use crate::sqlite::json;
use domain::chat::ChatKey;
use domain::instance::InstanceId;

#[async_trait]
impl PersonQueries for ReadTransaction<Sqlite> {
    async fn ids_of(&mut self, instances: &[InstanceId], id: &str) -> Result<Vec<PersonId>, StoreError> {
        Ok(sqlx::query_as!(
            PersonId,
            r#"
            SELECT
                other.instance_id AS "instance_id!: InstanceId",
                other.alias AS "alias!: String",
                other.chat_id AS "chat_id!: String"
            FROM json_each(?1) AS wanted
            CROSS JOIN chat_aliases AS other
                ON other.instance_id = wanted.value
                AND other.chat_id = coalesce(
                    (SELECT chat_id FROM chat_aliases WHERE instance_id = wanted.value AND alias = ?2),
                    ?2
                )
            "#,
            json(instances.iter().map(InstanceId::as_str)),
            id,
        )
        .fetch_all(&mut **self)
        .await?)
    }

    async fn conversations(&mut self, ids: &[ChatKey]) -> Result<Vec<PersonId>, StoreError> {
        Ok(sqlx::query_as!(
            PersonId,
            r#"
            SELECT
                chat_aliases.instance_id AS "instance_id!: InstanceId",
                chat_aliases.alias AS "alias!: String",
                chat_aliases.chat_id AS "chat_id!: String"
            FROM json_each(?1) AS wanted
            CROSS JOIN chat_aliases
                ON chat_aliases.instance_id = wanted.value ->> 'instance_id'
                AND chat_aliases.alias = wanted.value ->> 'chat_id'
            "#,
            json(ids),
        )
        .fetch_all(&mut **self)
        .await?)
    }
}
