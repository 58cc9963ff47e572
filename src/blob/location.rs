//! The location of a media or backup store, as a URL.

use std::fmt;
use std::path::{Component, PathBuf};

/// A folder of this machine, or a prefix in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobLocation {
    Folder(PathBuf),
    /// `prefix` has no slash at its ends, and may be empty.
    Bucket {
        bucket: String,
        prefix: String,
    },
}

/// The reasons why a text is not a location.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    #[error("expected file:///PATH or s3://BUCKET/PREFIX")]
    Scheme,
    #[error("a folder has an absolute path, without . and ..: file:///var/lib/buzon/media")]
    Folder,
    #[error("a URL of media has neither ? nor #")]
    Parameters,
    #[error("keys do not belong in the URL: they have settings of their own")]
    Credentials,
    #[error("a bucket's name has letters, digits, hyphens, dots and underscores only: s3://my-bucket/media")]
    Bucket,
    #[error("a prefix has letters, digits and -_.= between single slashes, without . and ..: s3://my-bucket/media")]
    Prefix,
}

impl BlobLocation {
    /// Parses a URL. The path of a folder is taken literally: `%20` is three characters.
    pub fn parse(url: &str) -> Result<Self, LocationError> {
        if url.contains(['?', '#']) {
            return Err(LocationError::Parameters);
        }
        match url.split_once("://") {
            Some(("file", path)) => Self::folder(path),
            Some(("s3", rest)) => Self::bucket(rest),
            _ => Err(LocationError::Scheme),
        }
    }

    /// Returns the location of `name`, a single path segment, in this one.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::Folder(path) => Self::Folder(path.join(name)),
            Self::Bucket { bucket, prefix } => {
                let prefix = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
                Self::Bucket { bucket: bucket.clone(), prefix }
            }
        }
    }

    fn folder(path: &str) -> Result<Self, LocationError> {
        let odd = path.split('/').any(|part| part == "." || part == "..") || path.contains('\0');
        let path: PathBuf = path.into();
        let named = path.components().any(|part| matches!(part, Component::Normal(_)));
        (path.is_absolute() && named && !odd).then_some(Self::Folder(path)).ok_or(LocationError::Folder)
    }

    fn bucket(rest: &str) -> Result<Self, LocationError> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if rest.contains('@') {
            return Err(LocationError::Credentials);
        }
        if !is_word(bucket, "-._") || !bucket.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            return Err(LocationError::Bucket);
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let part = |part: &str| is_word(part, "-._=") && part != "." && part != "..";
        if !prefix.is_empty() && !prefix.split('/').all(part) {
            return Err(LocationError::Prefix);
        }
        Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

fn is_word(text: &str, others: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

impl fmt::Display for BlobLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file://{}", path.display()),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_buckets_are_understood_and_written_back() {
        for (url, shown) in [
            ("file:///var/lib/buzon/media", "file:///var/lib/buzon/media"),
            ("file:///with space/100%", "file:///with space/100%"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("s3://my-bucket.v2/a/b_c=1/", "s3://my-bucket.v2/a/b_c=1"),
        ] {
            assert_eq!(BlobLocation::parse(url).map(|location| location.to_string()).as_deref(), Ok(shown), "{url}");
        }
    }

    #[test]
    fn what_names_no_place_says_why() {
        for (url, error) in [
            ("", LocationError::Scheme),
            ("/var/lib/buzon", LocationError::Scheme),
            ("file:/var", LocationError::Scheme),
            ("gs://bucket", LocationError::Scheme),
            ("https://bucket.s3.amazonaws.com", LocationError::Scheme),
            ("S3://bucket", LocationError::Scheme),
            ("file://media", LocationError::Folder),
            ("file://localhost/media", LocationError::Folder),
            ("file:///", LocationError::Folder),
            ("file:///var/../etc", LocationError::Folder),
            ("file:///var/./media", LocationError::Folder),
            ("file:///var/\0", LocationError::Folder),
            ("file:///var?x", LocationError::Parameters),
            ("s3://bucket#x", LocationError::Parameters),
            ("s3://bucket/a?region=x", LocationError::Parameters),
            ("s3://key:secret@bucket/a", LocationError::Credentials),
            ("s3://", LocationError::Bucket),
            ("s3:///prefix", LocationError::Bucket),
            ("s3://bucket:9000/a", LocationError::Bucket),
            ("s3://../a", LocationError::Bucket),
            ("s3://bucket/../a", LocationError::Prefix),
            ("s3://bucket/a//b", LocationError::Prefix),
            ("s3://bucket//a", LocationError::Prefix),
            ("s3://bucket/a b", LocationError::Prefix),
            ("s3://bucket/%2e%2e", LocationError::Prefix),
        ] {
            assert_eq!(BlobLocation::parse(url), Err(error), "{url}");
        }
    }
}
