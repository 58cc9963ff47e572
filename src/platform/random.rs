//! Random bytes and numbers from the system.

use std::io;

/// Returns random bytes, good enough for secrets.
///
/// # Errors
/// If the system has no random numbers.
pub fn bytes<const COUNT: usize>() -> io::Result<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    getrandom::fill(&mut bytes)
        .map_err(|error| io::Error::other(format!("the system has no random numbers: {error}")))?;
    Ok(bytes)
}

/// Returns a number from 0 to 1 for jitter, which is 0.5 if the system has no random numbers.
pub fn unit() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
