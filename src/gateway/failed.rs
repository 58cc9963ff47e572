//! The gateway's list of failed deliveries.

use serde::Serialize;
use serde_json::Value;

use domain::time::timestamp::Timestamp;

/// An event that the gateway could not deliver and keeps. The fields have the names and values of its list
/// (`GET /api/webhook-dlq`, blog/webhook-dlq-reintentos).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedDelivery {
    pub id: String,
    pub created_at: Option<String>,
    pub attempts: Option<u64>,
    pub next_retry_at: Option<String>,
    pub status: Option<String>,
    pub last_error: Option<String>,
    pub endpoint: Option<String>,
}

/// The values of `status` for a delivery that has succeeded since.
const ARRIVED: [&str; 4] = ["delivered", "success", "succeeded", "resolved"];

impl FailedDelivery {
    /// Reads the list. The form of its entries is published, but not what surrounds them, so the list is the answer
    /// itself or the only list in it. Returns `None` for anything else, and if an entry has no id.
    pub(super) fn list(answer: &Value) -> Option<Vec<Self>> {
        entries(answer)?.iter().map(Self::read).collect()
    }

    fn read(entry: &Value) -> Option<Self> {
        let field = |name: &str| text(entry.get(name)?);
        Some(Self {
            id: field("id").filter(|id| !id.is_empty())?,
            created_at: field("created_at"),
            attempts: field("attempts").and_then(|attempts| attempts.parse().ok()),
            next_retry_at: field("next_retry_at"),
            status: field("status"),
            last_error: field("last_error"),
            endpoint: field("endpoint"),
        })
    }

    /// Returns whether the delivery is still to come, as far as the gateway says.
    pub fn is_due(&self) -> bool {
        let status = self.status.as_deref().unwrap_or_default().trim();
        !ARRIVED.iter().any(|word| status.eq_ignore_ascii_case(word))
    }

    /// Returns when the delivery failed for the first time, if that can be read.
    fn created(&self) -> Option<Timestamp> {
        let text = self.created_at.as_deref()?.trim();
        Timestamp::from_person(text).or_else(|| Timestamp::from_utc_text(text))
    }
}

fn entries(answer: &Value) -> Option<&Vec<Value>> {
    match answer {
        Value::Array(entries) => Some(entries),
        Value::Object(fields) => {
            let mut lists = fields.values().filter_map(entries);
            lists.next().filter(|_| lists.next().is_none())
        }
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Sorts the oldest first, because their files are the next that the gateway deletes.
pub fn oldest_first(deliveries: &mut [FailedDelivery]) {
    let unknown = Timestamp::MAX;
    deliveries.sort_by_cached_key(|delivery| {
        (delivery.created().unwrap_or(unknown), delivery.id.parse().unwrap_or(u64::MAX), delivery.id.clone())
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(answer: &Value) -> Option<Vec<String>> {
        let mut list = FailedDelivery::list(answer)?;
        oldest_first(&mut list);
        Some(list.into_iter().map(|delivery| delivery.id).collect())
    }

    #[test]
    fn the_list_is_the_answer_or_the_only_list_in_it() {
        let entry = json!({"id": 7, "endpoint": "https://x/webhook", "last_error": "HTTP 503", "attempts": 3,
            "next_retry_at": null, "status": "pending", "created_at": "2024-08-27T00:00:00Z"});
        for answer in [json!([entry]), json!({"ok": true, "items": [entry]}), json!({"data": {"rows": [entry]}})] {
            assert_eq!(ids(&answer), Some(vec!["7".to_owned()]), "{answer}");
        }
        assert_eq!(ids(&json!({"ok": true, "data": []})), Some(vec![]));
        for unknown in [json!({}), json!(null), json!({"a": [], "b": []}), json!([{"endpoint": "x"}]), json!(["7"])] {
            assert_eq!(ids(&unknown), None, "{unknown}");
        }
    }

    #[test]
    fn the_oldest_comes_first_however_its_time_is_written() {
        let list = json!([
            {"id": 12, "created_at": "no time"},
            {"id": 9},
            {"id": "c", "created_at": 1_724_716_803},
            {"id": "b", "created_at": "2024-08-27 00:00:02"},
            {"id": "a", "created_at": "2024-08-26T19:00:01-05:00"},
        ]);
        assert_eq!(ids(&list), Some(["a", "b", "c", "9", "12"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_has_arrived_since_is_not_due() {
        let with = |status: Value| FailedDelivery::read(&json!({"id": 1, "status": status})).unwrap().is_due();
        assert!(with(json!("pending")) && with(json!("failed")) && with(json!(null)) && with(json!("exhausted")));
        assert!(!with(json!("Delivered")) && !with(json!("resolved")));
    }
}
