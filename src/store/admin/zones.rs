//! The time zone in which people read days and hours, as the views know it.

use async_trait::async_trait;

use crate::StoreError;
use domain::time::timestamp::Timestamp;
use domain::time::zone::Zone;

/// The contract of the time zone.
#[async_trait]
pub trait ZoneStore: Send + Sync {
    /// Returns the name of the zone of the views.
    async fn time_zone(&self) -> Result<String, StoreError>;

    /// Gives the views this zone. Returns whether that changed anything: the name, or the offsets.
    async fn set_time_zone(&self, zone: &Zone) -> Result<bool, StoreError>;
}

/// The time from which the views know offsets. A machine without a clock of its own begins with 1970.
const SINCE: Timestamp = Timestamp::from_millis(0);
/// The end of what they know: the year 2100.
const UNTIL: Timestamp = Timestamp::from_millis(4_102_444_800_000);

/// The columns of a row of `time_zone_offsets`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct OffsetColumns {
    pub(crate) since: Timestamp,
    pub(crate) offset_seconds: i32,
    /// The first local day that begins under this offset, such as 2024-08-27.
    pub(crate) first_day: String,
}

/// Returns the rows of a zone, in the order of time.
pub(crate) fn rows(zone: &Zone) -> Vec<OffsetColumns> {
    let row = |since: Timestamp, seconds| OffsetColumns {
        since,
        offset_seconds: seconds,
        first_day: zone.first_day(since).to_string(),
    };
    zone.offsets(SINCE, UNTIL).into_iter().map(|offset| row(offset.since, offset.seconds)).collect()
}
