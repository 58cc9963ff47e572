use async_trait::async_trait;

use crate::StoreError;
use crate::admin::zones::{OffsetColumns, ZoneStore, rows};
use crate::sqlite::{SqliteStore, json};
use domain::time::timestamp::Timestamp;
use domain::time::zone::Zone;

impl SqliteStore {
    async fn stored_offsets(&self) -> Result<Vec<OffsetColumns>, StoreError> {
        Ok(sqlx::query_as!(
            OffsetColumns,
            r#"
            SELECT since AS "since: Timestamp", offset_seconds AS "offset_seconds: i32", first_day
            FROM time_zone_offsets
            ORDER BY since
            "#
        )
        .fetch_all(&self.read_pool)
        .await?)
    }
}

#[async_trait]
impl ZoneStore for SqliteStore {
    async fn time_zone(&self) -> Result<String, StoreError> {
        let name =
            sqlx::query_scalar!("SELECT time_zone FROM installation WHERE id = 1").fetch_one(&self.read_pool).await?;
        Ok(name)
    }

    async fn set_time_zone(&self, zone: &Zone) -> Result<bool, StoreError> {
        let (name, rows) = (zone.name(), rows(zone));
        if self.time_zone().await? == name && self.stored_offsets().await? == rows {
            return Ok(false);
        }
        let mut unit = self.begin().await?;
        sqlx::query!("UPDATE installation SET time_zone = ?1 WHERE id = 1", name).execute(&mut **unit).await?;
        sqlx::query!("DELETE FROM time_zone_offsets").execute(&mut **unit).await?;
        sqlx::query!(
            r#"
            INSERT INTO time_zone_offsets (since, offset_seconds, first_day)
            SELECT value ->> 'since', value ->> 'offset_seconds', value ->> 'first_day'
            FROM json_each(?1)
            "#,
            json(rows),
        )
        .execute(&mut **unit)
        .await?;
        unit.commit().await?;
        Ok(true)
    }
}
