//! The URL of a PostgreSQL database, and the part of it that may be shown.

use std::path::Path;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use url::Url;

use crate::DatabaseUrlError;

/// The parameters that may follow the `?`. The driver ignores all others, and logs their values.
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

/// Checks that the driver reads the URL as it is meant. No error quotes the URL.
pub(crate) fn check(text: &str) -> Result<(), DatabaseUrlError> {
    let misplaced = misplaced(text);
    let wrong = |error: &dyn std::fmt::Display| match misplaced {
        true => DatabaseUrlError::Unescaped,
        false => DatabaseUrlError::Postgres(error.to_string()),
    };
    let url = Url::parse(text).map_err(|error| wrong(&error))?;
    if url.path().contains('@') || url.fragment().is_some() || has_bare_percent(text) {
        return Err(DatabaseUrlError::Unescaped);
    }
    match url.query_pairs().find(|(key, _)| !PARAMETERS.contains(&key.as_ref())) {
        Some(_) if misplaced => Err(DatabaseUrlError::Unescaped),
        Some((key, _)) => Err(DatabaseUrlError::Parameter(key.escape_debug().to_string())),
        None => PgConnectOptions::from_str(text).map(|_| ()).map_err(|error| wrong(&error)),
    }
}

/// True if an `@` comes after the host. The text before it may be a password that an unescaped slash, question mark or
/// number sign has torn apart.
fn misplaced(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.find(['/', '?', '#']).is_some_and(|end| rest[end..].contains('@'))
}

/// True if a percent sign is not part of a valid escape of UTF-8. psql refuses such a URL, since nobody can tell a
/// literal percent sign from the beginning of an escape.
fn has_bare_percent(text: &str) -> bool {
    let mut after = text.split('%').skip(1);
    let bare = after.any(|after| after.len() < 2 || !after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
    bare || percent_decode_str(text).decode_utf8().is_err()
}

/// Returns the URL without user, password and parameters, which may hold a password too.
pub(crate) fn shown(url: &SecretString) -> String {
    match Url::parse(url.expose_secret()) {
        Ok(url) => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("postgres://{}{port}{}", url.host_str().unwrap_or_default(), url.path())
        }
        Err(_) => "postgres://".to_owned(),
    }
}

/// True if the URL holds a password.
pub(crate) fn has_password(url: &SecretString) -> bool {
    let holds = |url: Url| url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password");
    Url::parse(url.expose_secret()).is_ok_and(holds)
}

/// The folder of the server's socket on Debian.
const SOCKETS: &str = "/var/run/postgresql";

/// Returns the driver's options. If nobody names a host, the driver falls back to TCP while the server's socket is not
/// there; psql does not, and an error would name a place that nobody has configured.
pub(super) fn options(url: &SecretString) -> Result<PgConnectOptions, sqlx::Error> {
    let options =
        PgConnectOptions::from_str(url.expose_secret())?.application_name("buzon").disable_statement_logging();
    let names_host = Url::parse(url.expose_secret())
        .is_ok_and(|url| url.has_host() || url.query_pairs().any(|(key, _)| key == "host" || key == "hostaddr"));
    let is_named = names_host || std::env::var_os("PGHOST").is_some() || options.get_socket().is_some();
    let is_socket = !is_named && !options.get_host().starts_with('/') && Path::new(SOCKETS).is_dir();
    Ok(if is_socket { options.host(SOCKETS) } else { options })
}

/// Returns the URL of the same database with this schema, whose name needs no quotes. Other options stay.
pub(super) fn of_schema(url: &SecretString, schema: &str) -> SecretString {
    let Ok(mut of_schema) = Url::parse(url.expose_secret()) else { return url.clone() };
    let (options, kept): (Vec<(String, String)>, Vec<_>) =
        of_schema.query_pairs().into_owned().partition(|(key, _)| key == "options");
    let others = options.iter().flat_map(|(_, value)| value.split(" -c ")).map(|it| it.trim_start_matches("-c "));
    let others = others.filter(|it| !it.trim().is_empty() && !it.trim_start().starts_with("search_path="));
    let options = others.map(|it| format!("-c {it} ")).collect::<String>() + &format!("-c search_path={schema}");
    let query: Vec<String> = kept.iter().chain([&("options".to_owned(), options)]).map(pair).collect();
    of_schema.set_query(Some(&query.join("&")));
    String::from(of_schema).into()
}

/// The characters of a parameter that are encoded.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'/');

/// Writes a parameter with spaces as `%20`, which every program that reads such URLs understands, unlike `+`.
fn pair((key, value): &(String, String)) -> String {
    format!("{key}={}", utf8_percent_encode(value, RESERVED))
}

/// Returns the URL of the same database for another user.
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
    let password = password.expose_secret();
    // A Debian server accepts no password on its socket.
    if !of_role.has_host()
        && of_role.query_pairs().all(|(key, _)| key != "host")
        && of_role.set_host(Some("localhost")).is_err()
    {
        return url.clone();
    }
    // Without a host, a URL cannot hold user and password before it.
    if of_role.set_username(user).is_err() || of_role.set_password(Some(password)).is_err() {
        of_role.query_pairs_mut().append_pair("user", user).append_pair("password", password);
    }
    String::from(of_role).into()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn refusal(url: &str) -> String {
        check(url).expect_err(url).to_string()
    }

    #[test]
    fn a_password_that_is_not_escaped_is_told_how_to_be() {
        let sentence = DatabaseUrlError::Unescaped.to_string();
        assert!(sentence.contains("written with %"), "{sentence}");
        for (sign, escape) in [("/", "%2F"), ("@", "%40"), ("#", "%23"), ("?", "%3F"), (":", "%3A"), ("%", "%25")] {
            assert!(sentence.contains(&format!("{sign} is {escape}")), "{sign}");
        }
        for password in [
            "p@ss:w/rd",
            "p/ss",
            "p#ss",
            "p?ss",
            "12/3",
            "12?3",
            "12#3",
            "1?a=b",
            "p%",
            "p%rd",
            "50%!",
            "%zz",
            "a%2",
            "p@/x",
            "%ff",
        ] {
            for host in ["db.example.com", "db.example.com:5432", "localhost"] {
                assert_eq!(refusal(&format!("postgres://buzon:{password}@{host}/mail")), sentence, "{password}");
            }
        }
    }

    #[test]
    fn what_has_one_meaning_is_taken_and_other_mistakes_have_their_own_words() {
        for (url, password) in [
            ("postgres://u:p%40ss%3Aw%2Frd@h/d", "p@ss:w/rd"),
            ("postgres://u:p@ss@h/d", "p@ss"),
            ("postgres://u:p:ss@h/d", "p:ss"),
            ("postgres:///d?user=u&password=p@ss", "p@ss"),
        ] {
            check(url).expect(url);
            let options = PgConnectOptions::from_str(url).expect(url);
            assert!(format!("{options:?}").contains(&format!("password: Some({password:?})")), "{url}");
        }
        for (url, said) in [
            ("postgres://u:p@h:port/d", "invalid port number"),
            ("postgres://u@h/d?sslmod=require", "there is no parameter sslmod"),
        ] {
            assert!(refusal(url).contains(said), "{url}: {}", refusal(url));
        }
    }

    /// libpq does the same. The driver takes its user from a crate that knows none unless the feature `std` is on.
    #[test]
    fn who_is_not_named_is_the_user_of_the_system() {
        let whoami = Command::new("id").arg("-un").output().expect("it runs");
        let whoami = String::from_utf8(whoami.stdout).expect("it is text");
        if std::env::var_os("PGUSER").is_none() {
            let options = options(&"postgres:///buzon".to_owned().into()).expect("it is a URL");
            assert_eq!((options.get_username(), options.get_database()), (whoami.trim(), Some("buzon")));
        }
        let named = options(&"postgres:///buzon?host=/run/pg&user=me".to_owned().into()).expect("it is a URL");
        assert_eq!(named.get_username(), "me");
    }

    #[test]
    fn a_schema_has_a_place_beside_other_options() {
        for (url, of) in [
            ("postgres://buzon:secret@db/mail", "postgres://buzon:secret@db/mail?options=-c%20search_path%3Dsales"),
            (
                "postgres:///mail?host=/run/pg&options=-c%20jit%3Doff%20-c%20search_path%3Dold",
                "postgres:///mail?host=/run/pg&options=-c%20jit%3Doff%20-c%20search_path%3Dsales",
            ),
        ] {
            let of_schema = of_schema(&url.to_owned().into(), "sales");
            assert_eq!(of_schema.expose_secret(), of);
            check(of).expect(of);
        }
    }

    #[test]
    fn a_role_has_a_place_in_a_url_with_a_host_and_in_one_without() {
        for (url, of) in [
            ("postgres://buzon:secret@db/mail", "postgres://reader:p@db/mail"),
            ("postgres:///mail", "postgres://reader:p@localhost/mail"),
            ("postgres:///mail?host=/run/pg&user=buzon", "postgres:///mail?host=%2Frun%2Fpg&user=reader&password=p"),
        ] {
            let role = of_role(&url.to_owned().into(), "reader", &"p".to_owned().into());
            assert_eq!(role.expose_secret(), of);
        }
    }
}
