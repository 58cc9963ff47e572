//! The task that moves messages to the conversations of their persons, piece by piece, after more has become known about
//! who is who.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug;

use store::Store;

/// The time between two looks whether there is something to move.
const IDLE: Duration = Duration::from_secs(1);

/// The time that a piece may take. Events wait meanwhile.
const PIECE: Duration = Duration::from_millis(12);

/// The most messages of a piece.
const MOST: u32 = 512;

/// Moves what there is to move, for ever. Between two pieces, events have as much time as a piece took.
pub async fn move_messages(store: Arc<dyn Store>) {
    let mut limit = 32;
    loop {
        let begun = Instant::now();
        let more = match store.is_moving().await {
            Ok(true) => store.move_messages(limit).await,
            other => other,
        };
        let took = begun.elapsed();
        match more {
            Ok(true) => {
                limit = paced(limit, took);
                tokio::time::sleep(took).await;
            }
            Ok(false) => tokio::time::sleep(IDLE).await,
            Err(error) => {
                debug!(%error, "messages of a person were not moved; it will be tried again");
                tokio::time::sleep(IDLE).await;
            }
        }
    }
}

/// Returns the size of the next piece, after one of this size took so long. It comes near to what takes the time of a piece,
/// and never to more than twice the last one.
fn paced(limit: u32, took: Duration) -> u32 {
    let fits = f64::from(limit) * PIECE.as_secs_f64() / took.as_secs_f64().max(f64::EPSILON);
    (fits as u32).clamp(limit / 2, limit * 2).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_piece_is_followed_by_a_smaller_one_and_a_quick_one_by_a_larger_one() {
        assert_eq!(paced(32, PIECE * 2), 16);
        assert_eq!(paced(32, PIECE * 9), 16);
        assert_eq!(paced(30, PIECE * 3 / 2), 20);
        assert_eq!(paced(1, PIECE * 9), 1);
        assert_eq!(paced(32, PIECE * 2 / 3), 48);
        assert_eq!(paced(32, PIECE / 9), 64);
        assert_eq!(paced(MOST, Duration::ZERO), MOST);
    }
}
