//! The page at `/`: static files, the same for everybody, which read the API with the cookie of a session.

use std::fmt::Write;
use std::sync::LazyLock;

use actix_web::http::header::{
    ACCEPT, AcceptEncoding, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, Encoding, Header,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use sha2::{Digest, Sha256};

use crate::http::problem::Problem;

mod files;

use files::{FILES, PageFile, compressed};

/// The policy of what the page may load and run. Trusted Types are required and there is no policy, so that no text can become markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; \
                      connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
const PERMISSIONS: (&str, &str) =
    ("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), interest-cohort=()");
const ONE_ORIGIN: (&str, &str) = ("Cross-Origin-Opener-Policy", "same-origin");
/// The files of a build never change, because its hash is in their path.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// The hash of all files together, which is in the path of each: the files of two builds are never mixed.
static BUILD: LazyLock<String> = LazyLock::new(|| {
    const BYTES: usize = 8;
    let mut hash = Sha256::new();
    for file in &FILES {
        hash.update(file.name);
        hash.update(file.bytes.len().to_le_bytes());
        hash.update(file.bytes);
    }
    hash.update(SHELL);
    hash.finalize()[..BYTES].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
});

/// The page, with `{build}` and `{preload}` to be replaced.
const SHELL: &str = include_str!("page/index.html");

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let scripts = FILES.iter().filter(|file| file.is_preloaded());
    let preload =
        scripts.map(|file| format!("<link rel=\"modulepreload\" href=\"assets/{}/{}\">\n", build(), file.name));
    SHELL.replace("{preload}", &preload.collect::<String>()).replace("{build}", build())
});

/// The page and the files, each compressed once.
static COMPRESSED: LazyLock<(Vec<u8>, [Vec<u8>; FILES.len()])> =
    LazyLock::new(|| (compressed(PAGE.as_bytes()), FILES.each_ref().map(|file| compressed(file.bytes))));

/// Returns the hash of the build of the page.
pub fn build() -> &'static str {
    &BUILD
}

/// Returns true if the client wants a page, as browsers do.
pub fn is_for_browser(request: &HttpRequest) -> bool {
    let mut accepted = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.to_ascii_lowercase().contains("text/html"))
}

/// Answers with bytes, or with the same bytes compressed if the client takes that.
fn send(
    mut response: HttpResponseBuilder,
    request: &HttpRequest,
    plain: &'static [u8],
    gzip: &'static [u8],
) -> HttpResponse {
    response.append_header((VARY, "Accept-Encoding"));
    let accepted = AcceptEncoding::parse(request).ok();
    let chosen = accepted.and_then(|it| it.negotiate([Encoding::gzip(), Encoding::identity()].iter()));
    if chosen == Some(Encoding::gzip()) {
        return response.insert_header((CONTENT_ENCODING, "gzip")).body(gzip);
    }
    response.body(plain)
}

/// Answers `GET /` for browsers.
pub fn page(request: &HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((VARY, "Accept"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header(PERMISSIONS)
        .insert_header(ONE_ORIGIN)
        .content_type("text/html; charset=utf-8");
    send(response, request, PAGE.as_bytes(), &COMPRESSED.0)
}

/// `GET /assets/{build}/{file}`
pub async fn asset(request: HttpRequest, path: Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let (wanted, name) = path.into_inner();
    let number = FILES.iter().position(|file| file.name == name && wanted == build());
    let number = number.ok_or_else(|| Problem::NotFound("there is no such file in this build".to_owned()))?;
    let file: &PageFile = &FILES[number];
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CACHE_CONTROL, IMMUTABLE))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .content_type(file.content_type());
    Ok(send(response, &request, file.bytes, &COMPRESSED.1[number]))
}
