//! A bucket of Amazon S3, or of a server with the same API.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig, StaticCredentialProvider};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::error::BlobError;
use platform::outbound::plain_url;
use platform::tls;

const CONNECT: Duration = Duration::from_secs(10);

/// The retries of a failed request. They are short, because callers with more time retry by themselves.
const RETRIES: usize = 3;
const RETRY_FOR: Duration = Duration::from_secs(30);
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The options for a bucket. Missing ones come from the environment, under the names that Amazon's tools use.
#[derive(Clone, Debug, Default)]
pub struct S3Options {
    /// The server, if it is not Amazon's. `http` is allowed.
    pub endpoint: Option<Url>,
    /// The region, by default `us-east-1`. Most other servers accept any name; Cloudflare R2 requires `auto`.
    pub region: Option<String>,
    /// True if the bucket is in the path (`HOST/BUCKET`) rather than in the host name (`BUCKET.HOST`). By default it is
    /// with an endpoint, and is not at Amazon.
    pub path_style: Option<bool>,
    /// The keys, by default those of the environment (`AWS_ACCESS_KEY_ID` …), of a web identity, of the container, or
    /// of the machine.
    pub keys: Option<S3Keys>,
}

#[derive(Clone, Debug)]
pub struct S3Keys {
    pub access_key_id: String,
    pub secret_access_key: SecretString,
}

/// Opens the bucket without sending a request.
pub(super) fn open(bucket: &str, options: &S3Options) -> Result<AmazonS3, BlobError> {
    tls::install_provider();
    let mut builder = AmazonS3Builder::from_env();
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(keys) = &options.keys {
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential(keys))));
    }
    let endpoint = endpoint(&builder, options)?;
    let path_style = options.path_style.unwrap_or(endpoint.is_some());
    let allow_http = endpoint.as_ref().is_some_and(|url| url.scheme() == "http");
    if let Some(url) = endpoint {
        let url = if path_style { url } else { with_bucket(url, bucket)? };
        // This key has precedence over the others.
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, url.as_str().trim_end_matches('/'));
    }
    let opened = builder
        .with_bucket_name(bucket)
        .with_virtual_hosted_style_request(!path_style)
        // Not every server can delete several files with one request.
        .with_disable_bulk_delete(true)
        .with_client_options(client()?.with_allow_http(allow_http))
        .with_retry(retries())
        .build();
    opened.map_err(unusable)
}

/// Makes a credential without a session token, because one from the environment would belong to other keys.
fn credential(keys: &S3Keys) -> AwsCredential {
    let secret_key = keys.secret_access_key.expose_secret().to_owned();
    AwsCredential { key_id: keys.access_key_id.clone(), secret_key, token: None }
}

fn endpoint(environment: &AmazonS3Builder, options: &S3Options) -> Result<Option<Url>, BlobError> {
    let stated = |key| environment.get_config_value(&key);
    let url = match &options.endpoint {
        Some(url) => Some(url.clone()),
        None => stated(AmazonS3ConfigKey::S3Endpoint)
            .or_else(|| stated(AmazonS3ConfigKey::Endpoint))
            .map(|url| Url::parse(&url).map_err(|error| BlobError::Unusable(format!("the S3 endpoint: {error}"))))
            .transpose()?,
    };
    match url {
        Some(url) if plain_url(url.as_str()).is_none() => {
            Err(BlobError::Unusable("an S3 endpoint is http:// or https:// with a host, without keys, ? and #".into()))
        }
        url => Ok(url),
    }
}

/// Puts the bucket into the host name of the endpoint, where object_store expects it unless path style is used.
fn with_bucket(mut url: Url, bucket: &str) -> Result<Url, BlobError> {
    let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
    match url.set_host(Some(&host)) {
        Ok(()) => Ok(url),
        Err(_) => Err(BlobError::Unusable(format!("{host} is no name of a host; use path style"))),
    }
}

/// Makes the options of the HTTP client. It has no time limits except for connecting (see `deadline`), and trusts the
/// public root certificates beside the machine's, which may have none.
fn client() -> Result<ClientOptions, BlobError> {
    let plain = ClientOptions::new().with_timeout_disabled().with_connect_timeout(CONNECT);
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().try_fold(plain, |options, root| {
        Ok(options.with_root_certificate(Certificate::from_der(root).map_err(unusable)?))
    })
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: RETRY_PAUSE, ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_FOR }
}

fn unusable(error: object_store::Error) -> BlobError {
    BlobError::Unusable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(endpoint: &str, path_style: Option<bool>) -> S3Options {
        let keys = S3Keys { access_key_id: "id".to_owned(), secret_access_key: "secret".into() };
        S3Options { endpoint: Url::parse(endpoint).ok(), region: None, path_style, keys: Some(keys) }
    }

    #[test]
    async fn the_bucket_stands_where_the_style_wants_it() {
        use object_store::signer::{Method, Signer};
        for (options, url) in [
            (options("http://localhost:9000", None), "http://localhost:9000/media/a"),
            (options("https://s3.example.com/", Some(true)), "https://s3.example.com/media/a"),
            (options("https://s3.example.com", Some(false)), "https://media.s3.example.com/a"),
            (options("", None), "https://media.s3.eu-south-2.amazonaws.com/a"),
            (options("", Some(true)), "https://s3.eu-south-2.amazonaws.com/media/a"),
        ] {
            let options = S3Options { region: Some("eu-south-2".to_owned()), ..options };
            let store = open("media", &options).unwrap();
            let signed = store.signed_url(Method::GET, &"a".into(), Duration::from_secs(60)).await.unwrap();
            assert_eq!(signed.as_str().split('?').next(), Some(url));
            assert!(signed.as_str().contains("eu-south-2"));
        }
    }

    #[test]
    fn an_endpoint_with_keys_or_parameters_is_refused_and_the_keys_are_not_shown() {
        for endpoint in ["https://id:pass@s3.example.com", "https://s3.example.com/?a=pass", "ftp://pass.example.com"] {
            let error = open("media", &options(endpoint, None)).expect_err(endpoint).to_string();
            assert!(error.contains("endpoint") && !error.contains("pass"), "{error}");
        }
        let shown = format!("{:?}", options("http://localhost", None));
        assert!(!shown.contains("\"secret\""), "{shown}");
        assert!(open("media", &options("http://127.0.0.1:9000", Some(false))).is_err());
    }
}
