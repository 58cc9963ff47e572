//! Bodies that have broken decoders and databases.

/// Returns bodies with the state and the reason that the ledger must give them.
pub fn hostile() -> Vec<(Vec<u8>, &'static str)> {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let message = |fields: &str| format!(r#"{{"event_type":"message_received",{fields}}}"#).into_bytes();
    let incompressible: String =
        (0..3_000_u32).map(|n| char::from(33 + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90)).collect();
    let incompressible = incompressible.replace(['"', '\\'], "x");
    vec![
        (b"".to_vec(), "quarantined|not_json"),
        (b"\0\0\0".to_vec(), "quarantined|not_json"),
        (b"\xFF\xFE\x00".to_vec(), "quarantined|not_json"),
        (b"<html></html>".to_vec(), "quarantined|not_json"),
        (b"event_type=message_received&id=1".to_vec(), "quarantined|not_json"),
        (b"{\"event_type\":\"message_received\",\"id\":\"cut".to_vec(), "quarantined|not_json"),
        (b"[]".to_vec(), "quarantined|not_an_object"),
        (b"null".to_vec(), "quarantined|not_an_object"),
        (deep(100_000).into_bytes(), "quarantined|not_an_object"),
        (b"{}".to_vec(), "quarantined|missing:event_type"),
        (message(r#""id":"a\u0000b""#), "quarantined|unusable:id"),
        (message(r#""id":"\ud800""#), "quarantined|unusable:id"),
        (message(r#""id":123456789012345678901234567890"#), "quarantined|unusable:id"),
        (message(r#""id":1e400"#), "quarantined|unusable:id"),
        (message(r#""id":{"_serialized":"x"}"#), "quarantined|unusable:id"),
        (message(&format!(r#""id":"{incompressible}""#)), "quarantined|too_long:id"),
        (message(&format!(r#""id":"h1","chat_id":"{incompressible}""#)), "quarantined|too_long:chat_id"),
        (message(&format!(r#""id":"h2","ack":"{incompressible}""#)), "quarantined|too_long:ack"),
        (message(r#""id":"h3","body":"a\u0000b","vcard":"\ud83d""#), "applied|repaired:body,vcard"),
        (b"{\"event_type\":\"message_received\",\"id\":\"h4\",\"body\":\"caf\xE9\"}".to_vec(), "applied|repaired:body"),
        (b"\xEF\xBB\xBF{\"event_type\":\"message_received\",\"id\":\"h5\"}".to_vec(), "applied|NULL"),
        (message(r#""id":"h6","latitude":1e400,"longitude":2"#), "applied|unusable:latitude,longitude"),
        (message(&format!(r#""id":"h7","body":{},"extra":{}"#, deep(200), deep(50_000))), "applied|unusable:body"),
        (message(r#""id":"h8","timestamp":99999999999999999999"#), "applied|unusable:timestamp"),
        (message(r#""id":"h9","timestamp":-1,"from_me":"maybe""#), "applied|unusable:from_me,timestamp"),
        (message(r#""id":"first","id":"h10","from_me":1,"from_me":"0""#), "applied|NULL"),
        (message(r#""id":7,"from_me":true,"timestamp":"1724716800000","body":5"#), "applied|NULL"),
        (message(&format!(r#""id":"{}""#, "ñ".repeat(256))), "applied|NULL"),
        (message(&format!(r#""id":"{}","chat_id":"{}""#, "x".repeat(512), &incompressible[..512])), "applied|NULL"),
        (message(r#""id":"'; DROP TABLE messages; --","body":"Robert'); --""#), "applied|NULL"),
        (message(&format!(r#""id":"h11","body":"{}""#, "a\u{301}👩‍👩‍👧‍👦\u{202E}".repeat(5_000))), "applied|NULL"),
        (br#"{"event_type":"message_received\u0000","id":"h12"}"#.to_vec(), "ignored|repaired:event_type"),
        (br#"{"event_type":["message_received"],"id":"h13"}"#.to_vec(), "quarantined|unusable:event_type"),
        (
            br#"{"event_type":"message_reaction","message_id":"h3","from_number":"5","reaction":{}}"#.to_vec(),
            "quarantined|unusable:reaction",
        ),
    ]
}
