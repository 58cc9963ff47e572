use async_trait::async_trait;

use crate::StoreError;
use crate::admin::zones::{OffsetColumns, ZoneStore, rows};
use crate::postgres::{PostgresStore, column};
use domain::time::timestamp::Timestamp;
use domain::time::zone::Zone;

impl PostgresStore {
    async fn stored_offsets(&self) -> Result<Vec<OffsetColumns>, StoreError> {
        Ok(sqlx::query_as!(
            OffsetColumns,
            r#"
            SELECT since AS "since: Timestamp", offset_seconds, first_day::text AS "first_day!"
            FROM time_zone_offsets
            ORDER BY since
            "#
        )
        .fetch_all(&self.read_pool)
        .await?)
    }
}

#[async_trait]
impl ZoneStore for PostgresStore {
    async fn time_zone(&self) -> Result<String, StoreError> {
        let name = sqlx::query_scalar!("SELECT time_zone FROM installation").fetch_one(&self.read_pool).await?;
        Ok(name)
    }

    async fn set_time_zone(&self, zone: &Zone) -> Result<bool, StoreError> {
        let (name, rows) = (zone.name(), rows(zone));
        if self.time_zone().await? == name && self.stored_offsets().await? == rows {
            return Ok(false);
        }
        let mut unit = self.begin(&self.job_writer).await?;
        // The process that locks this row writes the offsets, and the others wait here.
        sqlx::query!("UPDATE installation SET time_zone = $1", name).execute(&mut *unit).await?;
        sqlx::query!("DELETE FROM time_zone_offsets AS stored").execute(&mut *unit).await?;
        sqlx::query!(
            r#"
            INSERT INTO time_zone_offsets (since, offset_seconds, first_day)
            SELECT since, offset_seconds, first_day::date
            FROM unnest($1::timestamptz[], $2::int4[], $3::text[]) AS zone (since, offset_seconds, first_day)
            "#,
            column(&rows, |row| row.since) as _,
            column(&rows, |row| row.offset_seconds) as _,
            column(&rows, |row| row.first_day.as_str()) as _,
        )
        .execute(&mut *unit)
        .await?;
        unit.commit().await?;
        Ok(true)
    }
}
