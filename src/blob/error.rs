//! The errors of a media or backup store, in words for people. They contain no keys, no signed URLs and no bodies of a
//! server's answers.

use std::error::Error;
use std::fmt;
use std::io;
use std::iter::successors;
use std::time::Duration;

/// The longest text, in characters.
const LONGEST: usize = 300;

/// An error of a media or backup store.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    NotFound,
    /// Nothing can be stored until somebody makes room.
    Full(String),
    /// The file has another size than expected.
    Size {
        stated: u64,
        found: u64,
    },
    /// The settings are wrong, and a retry is useless.
    Unusable(String),
    /// Any other error. A retry may help.
    Unavailable(String),
}

/// Names the media store, which most errors are about.
impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.of("the media store"))
    }
}

impl BlobError {
    /// Returns the text of the error with this name of the store.
    pub fn of(&self, store: &str) -> String {
        match self {
            Self::NotFound => format!("there is no such file in {store}"),
            Self::Full(reason) => format!("{store} is full: {reason}"),
            Self::Size { stated, found } => format!("the file has {found} bytes, where {stated} are expected"),
            Self::Unusable(reason) => format!("{store} cannot be used: {reason}"),
            Self::Unavailable(reason) => format!("{store} does not work: {reason}"),
        }
    }
}

impl BlobError {
    pub(super) fn late(limit: Duration) -> Self {
        Self::Unavailable(format!("no answer within {} s", limit.as_secs()))
    }

    /// Returns `None` if the file of a request does not exist.
    pub(super) fn if_found<T>(answer: Result<T, Self>) -> Result<Option<T>, Self> {
        match answer {
            Err(Self::NotFound) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Returns the error of a write. For a write, "not found" cannot mean the file.
    pub(super) fn of_write(self) -> Self {
        match self {
            Self::NotFound => Self::Unavailable("there is no such bucket or folder".to_owned()),
            other => other,
        }
    }
}

impl From<object_store::Error> for BlobError {
    fn from(error: object_store::Error) -> Self {
        if is_full(&error) {
            return Self::Full(reason(&error));
        }
        match error {
            // If the bucket does not exist, the answer to any request for a file is 404 too.
            object_store::Error::NotFound { .. } if !error.to_string().contains("NoSuchBucket") => Self::NotFound,
            error => Self::Unavailable(reason(&error)),
        }
    }
}

impl From<io::Error> for BlobError {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full(error.to_string()) } else { Self::Unavailable(error.to_string()) }
    }
}

/// Returns whether a disk or quota was full, or a file had reached its maximum size.
pub fn is_disk_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Returns whether there was no room left on a disk, in a quota, or at a server, which then answers 507.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| match cause.downcast_ref::<io::Error>() {
        Some(cause) => is_disk_full(cause),
        None => cause.to_string().contains("status code: 507"),
    })
}

/// Returns the error and its causes.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |error| (*error).source())
}

/// Returns one line with the request or the operation on the disk, and its root cause.
fn reason(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    let cause = texts.last().map(|text| without_body(text)).unwrap_or_default();
    let tried = texts.iter().find_map(|text| request(text)).or_else(|| texts.get(1).map(|text| without_body(text)));
    let line = match tried {
        Some(tried) if tried.contains(&cause) => tried,
        Some(tried) => format!("{tried}: {cause}"),
        None => cause,
    };
    line.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
}

/// Returns `PUT http://host/path` from object_store's text "Error performing PUT http://host/path?query in 3s …".
fn request(text: &str) -> Option<String> {
    let mut words = text.strip_prefix("Error performing ")?.split(' ');
    let (method, url) = (words.next()?, words.next()?);
    url.contains("://").then(|| format!("{method} {}", url.split('?').next().unwrap_or_default()))
}

/// Returns the status of an answer and the error code from its body, without the rest of the body. Other texts stay as
/// they are.
fn without_body(text: &str) -> String {
    let (status, body) = if let Some(answer) = text.strip_prefix("Server returned non-2xx status code: ") {
        answer.split_once(": ").unwrap_or((answer, ""))
    } else if let Some(body) = text.strip_prefix("Server returned error response: ") {
        ("200 with an error", body)
    } else {
        return text.to_owned();
    };
    let code = body.split_once("<Code>").and_then(|(_, rest)| Some(rest.split_once("</Code>")?.0));
    code.map_or_else(|| status.to_owned(), |code| format!("{status} ({code})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("Unable to copy data to file: {source}")]
    struct Copying {
        source: io::Error,
    }

    fn of_disk(number: i32) -> BlobError {
        let source = Box::new(Copying { source: io::Error::from_raw_os_error(number) });
        object_store::Error::Generic { store: "LocalFileSystem", source }.into()
    }

    #[test]
    fn a_full_disk_an_exhausted_quota_and_a_file_too_large_are_told_apart_from_other_trouble() {
        use rustix::io::Errno;
        for full in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
            assert!(matches!(of_disk(full.raw_os_error()), BlobError::Full(_)), "{full}");
            let bare = io::Error::from_raw_os_error(full.raw_os_error());
            assert!(matches!(BlobError::from(bare), BlobError::Full(_)), "{full}");
        }
        for other in [Errno::IO, Errno::ACCESS, Errno::ROFS] {
            assert!(matches!(of_disk(other.raw_os_error()), BlobError::Unavailable(_)), "{other}");
        }
    }

    #[test]
    fn the_text_names_the_failure_of_the_disk() {
        let text = of_disk(rustix::io::Errno::NOSPC.raw_os_error()).to_string();
        assert_eq!(text, "the media store is full: Unable to copy data to file: No space left on device (os error 28)");
    }

    #[test]
    fn a_bucket_that_is_not_there_is_no_missing_file() {
        let of_answer = |answer: &str| {
            let (path, source) = ("ab/abcd".to_owned(), answer.into());
            BlobError::from(object_store::Error::NotFound { path, source })
        };
        let missing = "Server returned non-2xx status code: 404 Not Found: <Error><Code>NoSuchKey</Code></Error>";
        assert!(matches!(of_answer(missing), BlobError::NotFound));
        assert!(matches!(of_answer(missing).of_write(), BlobError::Unavailable(_)));
        let error = of_answer(&missing.replace("NoSuchKey", "NoSuchBucket"));
        assert_eq!(error.to_string(), "the media store does not work: 404 Not Found (NoSuchBucket)");
    }

    #[test]
    fn of_a_servers_answer_only_status_and_code_are_told() {
        let body = "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?><Error>\
            <Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>";
        assert_eq!(without_body(body), "403 Forbidden (SignatureDoesNotMatch)");
        assert_eq!(
            without_body("Server returned non-2xx status code: 502 Bad Gateway: no <b>nginx"),
            "502 Bad Gateway"
        );
        let performing = "Error performing GET http://h/b/k?X-Amz-Signature=1 in 3ms - Server returned";
        assert_eq!(request(performing).as_deref(), Some("GET http://h/b/k"));
        assert_eq!(request("Error performing list request: Error performing GET http://h/b in 3ms"), None);
    }
}
