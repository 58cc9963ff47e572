//! The pages at `/`, `/api/v1` and `/health`: a sentence and links. They show no data and need no token.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, VARY, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse};

use crate::http::dashboard;

/// A page that is the same for everybody: HTML for browsers, and text for all other clients.
pub struct LandingPage {
    title: &'static str,
    text: &'static str,
    /// Paths on the same listener, each with its description.
    links: &'static [(&'static str, &'static str)],
}

/// The page of a listener with the read API.
pub const ROOT: LandingPage = LandingPage {
    title: "buzon",
    text: "buzon keeps what a WhatsApp gateway sends, and is running. These pages are for the machine that it runs on: a \
           proxy in front of it passes on only the webhook and the API.",
    links: &[
        ("/docs/", "the read API, to be tried in the page; it says where a token comes from"),
        ("/openapi.json", "the same for programs"),
        ("/health/ready", "whether events can be taken now"),
        ("/metrics", "numbers for Prometheus"),
    ],
};

/// The page of a listener for events only. Strangers can reach it, so it names nothing.
pub const WEBHOOK: LandingPage =
    LandingPage { title: "Webhook", text: "This receives webhooks; it is running.", links: &[] };

pub const API: LandingPage = LandingPage {
    title: "The read API of buzon",
    text: "Everything below this path is read with a token. The owner's is in the file api-token of the data folder, and \
           buzon token create makes others.",
    links: &[("/docs/", "every part of the API, to be tried in the page"), ("/openapi.json", "the same for programs")],
};

pub const HEALTH: LandingPage = LandingPage {
    title: "Health",
    text: "Two endpoints for whatever monitors this service.",
    links: &[
        ("/health/live", "the process is there"),
        ("/health/ready", "the database answers, and events can be taken"),
    ],
};

/// The page consists of text and links, and nothing else may load or run in it.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl LandingPage {
    pub fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let (content_type, body) =
            if dashboard::is_for_browser(request) { ("text/html", self.html()) } else { ("text/plain", self.plain()) };
        HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-cache"))
            .insert_header((VARY, "Accept"))
            .insert_header((CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .content_type(format!("{content_type}; charset=utf-8"))
            .body(body)
    }

    /// The texts are constants without characters that HTML would interpret.
    fn html(&self) -> String {
        let link = |(path, what): &(&str, &str)| format!("<li><a href=\"{path}\">{path}</a>: {what}</li>\n");
        let links: String = self.links.iter().map(link).collect();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n<ul>\n{links}</ul>\n</html>\n",
            title = self.title,
            text = self.text,
        )
    }

    fn plain(&self) -> String {
        let links = self.links.iter().map(|(path, what)| format!("{path}: {what}\n"));
        format!("{}\n{}", self.text, links.collect::<String>())
    }
}
