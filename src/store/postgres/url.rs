//! The URL of a PostgreSQL database, and what of it may be shown.

use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use url::Url;

use crate::store::DatabaseUrlError;

/// What may follow the `?`: the driver ignores all else, and logs its value.
const PARAMETERS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// Whether the driver can take it as it is meant. No error quotes it.
pub(in crate::store) fn check(text: &str) -> Result<(), DatabaseUrlError> {
    let wrong = |error: &dyn std::fmt::Display| DatabaseUrlError::Postgres(error.to_string());
    let url = Url::parse(text).map_err(|error| wrong(&error))?;
    // What stands before an unescaped slash or number sign ends up there, the password among it.
    if url.path().contains('@') || url.fragment().is_some() {
        return Err(DatabaseUrlError::Unescaped);
    }
    if let Some((key, _)) = url.query_pairs().find(|(key, _)| !PARAMETERS.contains(&key.as_ref())) {
        return Err(DatabaseUrlError::Parameter(key.escape_debug().to_string()));
    }
    PgConnectOptions::from_str(text).map(|_| ()).map_err(|error| wrong(&error))
}

/// Without user and password, and without parameters, which may hold them too.
pub(in crate::store) fn shown(url: &SecretString) -> String {
    match Url::parse(url.expose_secret()) {
        Ok(url) => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("postgres://{}{port}{}", url.host_str().unwrap_or_default(), url.path())
        }
        Err(_) => "postgres://".to_owned(),
    }
}

/// Whether the URL holds a password.
pub(in crate::store) fn has_password(url: &SecretString) -> bool {
    let holds = |url: Url| url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password");
    Url::parse(url.expose_secret()).is_ok_and(holds)
}

/// How the driver connects.
pub(super) fn options(url: &SecretString) -> Result<PgConnectOptions, sqlx::Error> {
    Ok(PgConnectOptions::from_str(url.expose_secret())?.application_name("buzon").disable_statement_logging())
}

/// The same database for another user.
pub(super) fn of_role(url: &SecretString, user: &str, password: &SecretString) -> SecretString {
    let Ok(mut of_role) = Url::parse(url.expose_secret()) else { return url.clone() };
    let kept: Vec<(String, String)> = of_role
        .query_pairs()
        .filter(|(key, _)| !["user", "password", "options"].contains(&key.as_ref()))
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    of_role.set_query(None);
    if !kept.is_empty() {
        of_role.query_pairs_mut().extend_pairs(kept);
    }
    // A URL without a host takes neither; such a one names its host among the parameters.
    let _ = of_role.set_username(user);
    let _ = of_role.set_password(Some(password.expose_secret()));
    String::from(of_role).into()
}
