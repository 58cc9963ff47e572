//! JSON responses.

use std::io;

use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

const IS_JSON: &str = "responses are JSON";

/// Encodes `value` as JSON with a line end, so that at a terminal the prompt has a line of its own.
pub fn json_line(value: &impl Serialize) -> Vec<u8> {
    let mut body = serde_json::to_vec(value).expect(IS_JSON);
    body.push(b'\n');
    body
}

/// Completes `response` with `value` as JSON.
pub fn json(response: &mut HttpResponseBuilder, value: &impl Serialize) -> HttpResponse {
    response.content_type("application/json").body(json_line(value))
}

/// Returns the number of bytes of `value` as JSON.
pub fn encoded_len(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect(IS_JSON);
    count.0
}
