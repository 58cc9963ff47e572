//! A client of server-sent events that shows every line of them.

use buzon::domain::page::position::Position;
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use tokio::time::timeout;

use crate::support::PATIENCE;

/// An open stream.
pub struct Stream {
    response: Response,
    text: String,
}

/// The lines between two empty lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// The number in the position after the frame.
    pub id: Option<i64>,
    pub event: Option<String>,
    pub data: Option<Value>,
    pub retry: Option<String>,
    pub comment: Option<String>,
}

impl Stream {
    /// Opens the stream, and asserts that the answer is one.
    pub async fn open(request: RequestBuilder) -> Self {
        let response = timeout(PATIENCE, request.send()).await.expect("it answers").expect("it answers");
        assert_eq!(response.status(), 200);
        Self { response, text: String::new() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().expect("it is text"))
    }

    /// Returns the next frame, or `None` at the stream's orderly end.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let frame = Frame::read(frame);
                self.text = rest.to_owned();
                return Some(frame);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("there is something new");
            let Some(chunk) = chunk.expect("it does not break off") else {
                assert_eq!(self.text, "", "it ends between two frames");
                return None;
            };
            self.text.push_str(std::str::from_utf8(&chunk).expect("a chunk is whole frames"));
        }
    }

    /// Returns the next frame that is an event.
    pub async fn event(&mut self) -> Frame {
        loop {
            let frame = self.frame().await.expect("the stream does not end");
            if frame.data.is_some() {
                return frame;
            }
        }
    }

    /// Returns the numbers of the next events, up to and including this one.
    pub async fn numbers_to(&mut self, last: i64) -> Vec<i64> {
        let mut numbers = Vec::new();
        while numbers.last() != Some(&last) {
            numbers.push(self.event().await.id.expect("an event has a number"));
        }
        numbers
    }

    /// Waits for the orderly end.
    pub async fn end(&mut self) {
        while self.frame().await.is_some() {}
    }
}

impl Frame {
    fn read(text: &str) -> Self {
        let mut frame = Self::default();
        for line in text.lines() {
            let (name, value) = line.split_once(':').expect("a line has a colon");
            let value = value.trim_start().to_owned();
            match name {
                "id" => frame.id = Some(Position::decode(&value).expect("an id is a position").seq),
                "event" => frame.event = Some(value),
                "data" => frame.data = Some(serde_json::from_str(&value).expect("data is JSON")),
                "retry" => frame.retry = Some(value),
                "" => frame.comment = Some(value),
                _ => panic!("unexpected line {line}"),
            }
        }
        frame
    }
}
