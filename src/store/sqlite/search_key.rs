//! The keys of `message_search`, which are in the order of time.

use domain::time::timestamp::Timestamp;

/// The number of lower bits of a key, which tell messages of one millisecond apart.
const ORDINAL_BITS: u32 = 22;

/// The time of key 0. With 2009, the keys reach to 2078.
const KEYS_SINCE: Timestamp = Timestamp::from_seconds(1_230_768_000);

/// Returns the first key of a millisecond. All later times than 2078 share the last millisecond.
pub(crate) fn first_key(at: Timestamp) -> i64 {
    let millis = at.millis() - KEYS_SINCE.millis();
    millis.clamp(i64::MIN >> ORDINAL_BITS, i64::MAX >> ORDINAL_BITS) << ORDINAL_BITS
}

/// Returns the last key of a millisecond.
pub(crate) fn last_key(at: Timestamp) -> i64 {
    first_key(at) | ((1 << ORDINAL_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_with_time_as_far_as_they_can() {
        let key = |text: &str| first_key(Timestamp::from_rfc3339(text).unwrap());
        let times = ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2009-01-01T00:00:00Z", "2078-01-01T00:00:00Z"];
        assert!(times.map(key).is_sorted_by(|a, b| a < b));
        assert_eq!(key("2009-01-01T00:00:00.001Z"), 1 << 22);
        assert_eq!(key("2090-01-01T00:00:00Z"), key("9999-01-01T00:00:00Z"));
    }
}
