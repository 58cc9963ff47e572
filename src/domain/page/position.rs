//! Positions of the feed. A position is valid in one history of one database: a restored database assigns numbers again
//! that it had assigned before, to other events, and a reader that continued by the number alone would miss those.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// The history of a database: a sequence of numbers none of which is ever assigned again. Each restore begins another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History([u8; History::BYTES]);

/// A position of the feed: everything up to a number of a history was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub history: History,
    pub seq: i64,
}

/// The place after which a reader of the feed goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedStart {
    Beginning,
    After(Position),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a position that the feed or the stream gave, or {} to read from the first event on",
    FeedStart::BEGINNING
)]
pub struct UnknownPosition;

impl History {
    const BYTES: usize = 8;

    /// Returns the history that a database names by its id and its epoch, which every restore renews.
    pub fn new(database_id: &str, epoch: &str) -> Self {
        let hash: [u8; 32] =
            Sha256::new().chain_update(database_id).chain_update("/").chain_update(epoch).finalize().into();
        let mut history = [0; Self::BYTES];
        history.copy_from_slice(&hash[..Self::BYTES]);
        Self(history)
    }
}

impl Position {
    /// Returns the position as opaque text.
    pub fn encode(&self) -> String {
        let mut bytes = [0; 2 * History::BYTES];
        bytes[..History::BYTES].copy_from_slice(&self.history.0);
        bytes[History::BYTES..].copy_from_slice(&self.seq.to_be_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads the text that [`Position::encode`] writes.
    pub fn decode(text: &str) -> Result<Self, UnknownPosition> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| UnknownPosition)?;
        let (history, seq) = bytes.split_first_chunk().ok_or(UnknownPosition)?;
        let seq = seq.try_into().map(i64::from_be_bytes).map_err(|_| UnknownPosition)?;
        if seq < 0 { Err(UnknownPosition) } else { Ok(Self { history: History(*history), seq }) }
    }
}

impl FeedStart {
    const BEGINNING: &str = "beginning";

    /// Reads a position, or the word for the beginning.
    pub fn parse(text: &str) -> Result<Self, UnknownPosition> {
        if text == Self::BEGINNING { Ok(Self::Beginning) } else { Position::decode(text).map(Self::After) }
    }

    /// Returns the number after which a reader goes on in a database with this history and this latest number. `None`
    /// means that the position is of another history. A number that was not assigned yet is of another one too: the
    /// database lost numbers without a restore that says so.
    pub fn number(self, history: History, latest: i64) -> Option<i64> {
        match self {
            Self::Beginning => Some(0),
            Self::After(position) => (position.history == history && position.seq <= latest).then_some(position.seq),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written_and_nothing_else_is_one() {
        let history = History::new("a", "1");
        for seq in [0, 1, 4711, i64::MAX] {
            let position = Position { history, seq };
            assert_eq!(FeedStart::parse(&position.encode()), Ok(FeedStart::After(position)));
        }
        let text = Position { history, seq: 4711 }.encode();
        let negative = Position { history, seq: -1 }.encode();
        let (padded, longer) = (format!("{text}=="), format!("{text}A"));
        for other in ["", "0", "4711", "-1", "start", &text[1..], &padded, &longer, &negative] {
            assert_eq!(FeedStart::parse(other), Err(UnknownPosition), "{other}");
        }
        assert_eq!(FeedStart::parse("beginning"), Ok(FeedStart::Beginning));
    }

    #[test]
    fn a_position_is_valid_in_its_history_up_to_the_latest_number() {
        let (ours, latest) = (History::new("a", "1"), 9);
        let after = |history, seq| FeedStart::After(Position { history, seq });
        for (start, expected) in [
            (FeedStart::Beginning, Some(0)),
            (after(ours, 0), Some(0)),
            (after(ours, 9), Some(9)),
            (after(ours, 10), None),
            (after(History::new("a", "2"), 3), None),
            (after(History::new("b", "1"), 3), None),
            (after(History::new("a/1", ""), 3), None),
        ] {
            assert_eq!(start.number(ours, latest), expected, "{start:?}");
        }
    }
}
