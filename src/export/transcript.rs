//! A message as people read it, in HTML and in plain text. Strangers wrote it: in HTML everything is escaped, the page
//! has no script and asks no network, and its policy says so to the browser.

use domain::media::StoredFile;
use domain::media::media_type::is_inline_safe;
use domain::time::zone::Zone;
use domain::vcard::cards;
use platform::terminal::escaped;
use sha2::{Digest, Sha256};
use store::MessageReport;

/// The policy of a page. A browser takes the files beside a page on a disk for `file:`.
const POLICY: &str = "default-src 'none'; img-src 'self' file:; media-src 'self' file:; style-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";
const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:46em;margin:1em auto;padding:0 1em;\
                     background:#efeae2;color:#111}\
                     article{background:#fff;border-radius:8px;padding:.4em .7em;margin:.4em 15% .4em 0}\
                     article.me{background:#d9fdd3;margin:.4em 0 .4em 15%}\
                     article.service{background:none;text-align:center;font-size:.9em}\
                     header,footer,small{color:#555}p{margin:.2em 0;white-space:pre-wrap;overflow-wrap:anywhere}\
                     img,video{max-width:100%;max-height:30em}";

/// The head of a conversation.
pub struct TranscriptHead {
    pub title: String,
    /// The zone of its times.
    pub zone: Zone,
}

/// A message with its file, if that is stored, and the name that the file has beside the page.
pub struct Transcript<'m> {
    pub message: &'m MessageReport,
    pub file: Option<(String, &'m StoredFile)>,
    pub zone: &'m Zone,
}

impl Transcript<'_> {
    /// Returns the beginning of a page.
    pub fn opening(head: &TranscriptHead, previous: Option<&str>) -> String {
        let title = html(&head.title);
        let previous = previous.map(|name| format!("<nav><a href=\"{name}\">←</a></nav>\n")).unwrap_or_default();
        format!(
            "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             </head>\n<body>\n<header><h1>{title}</h1><p>{zone}</p></header>\n{previous}",
            zone = html(head.zone.name()),
        )
    }

    /// Returns the end of a page.
    pub fn closing(next: Option<&str>) -> String {
        let next = next.map(|name| format!("<nav><a href=\"{name}\">→</a></nav>\n")).unwrap_or_default();
        format!("{next}</body>\n</html>\n")
    }

    /// Returns the message as an element of the page.
    pub fn html(&self) -> String {
        let MessageReport { id, fields, is_service, .. } = self.message;
        let class = match (is_service, fields.from_me) {
            (true, _) => "service",
            (false, true) => "me",
            (false, false) => "other",
        };
        let mut out = format!("<article class=\"{class}\" id=\"{}\">\n", anchor(id));
        out +=
            &format!("<small>{} · {}</small>\n", html(&self.sender()), self.zone.clock_text(self.message.occurred_at));
        if let Some(quoted) = &fields.quoted_message_id {
            out += &format!("<small><a href=\"#{}\">↪</a></small>\n", anchor(quoted));
        }
        if let Some((name, file)) = &self.file {
            out += &element(name, file);
        }
        for text in self.texts() {
            out += &format!("<p>{}</p>\n", html(&text));
        }
        let notes = self.notes();
        if !notes.is_empty() {
            out += &format!("<small>{}</small>\n", html(&notes.join(", ")));
        }
        out + "</article>\n"
    }

    /// Returns the message as lines of text.
    pub fn text(&self) -> String {
        let at = self.zone.clock_text(self.message.occurred_at);
        let file = self.file.iter().map(|(name, _)| format!("<{name}>"));
        let parts: Vec<String> = file.chain(self.texts()).collect();
        let notes = self.notes().iter().map(|note| format!(" ({note})")).collect::<String>();
        let lines = parts.join("\n").lines().map(|line| escaped(line).into_owned()).collect::<Vec<_>>();
        format!("[{at}] {}: {}{notes}\n", escaped(&self.sender()), lines.join("\n    "))
    }

    fn sender(&self) -> String {
        let fields = &self.message.fields;
        let id = fields.group_sender.as_ref().or(fields.from_id.as_ref());
        fields.sender_name.as_ref().or(id).cloned().unwrap_or_else(|| "?".to_owned())
    }

    /// The texts besides the file: the body, the names on contact cards, and a place.
    fn texts(&self) -> Vec<String> {
        let fields = &self.message.fields;
        let contacts = fields.vcard.as_deref().map(card_names).into_iter().flatten().map(|name| format!("👤 {name}"));
        let place = fields.location.as_ref().map(|at| format!("📍 {}, {}", at.latitude, at.longitude));
        let lost =
            self.message.media.as_ref().filter(|job| job.file.is_none()).map(|job| format!("📎 ({})", job.state));
        fields
            .body
            .clone()
            .filter(|body| !body.is_empty())
            .into_iter()
            .chain(contacts)
            .chain(place)
            .chain(lost)
            .collect()
    }

    fn notes(&self) -> Vec<&'static str> {
        let notes = [(self.message.edited_at, "✎"), (self.message.revoked_at, "🗑")];
        notes.into_iter().filter_map(|(at, note)| at.map(|_| note)).collect()
    }
}

/// Returns the names on contact cards.
pub fn card_names(vcard: &str) -> Vec<String> {
    let name = |card: domain::vcard::ContactCard| card.name.unwrap_or_else(|| card.name_parts.join(" "));
    cards(vcard).into_iter().map(name).filter(|name| !name.is_empty()).collect()
}

/// Returns the element that shows a file, or a link to it.
fn element(name: &str, file: &StoredFile) -> String {
    let (kind, _) = file.content_type.split_once('/').unwrap_or_default();
    match kind {
        "image" if is_inline_safe(&file.content_type) => format!("<img src=\"{name}\" alt=\"\" loading=\"lazy\">\n"),
        "audio" | "video" if is_inline_safe(&file.content_type) => {
            format!("<{kind} src=\"{name}\" controls preload=\"none\"></{kind}>\n")
        }
        _ => {
            let shown = html(file.file_name.as_deref().unwrap_or(name));
            format!("<p>📎 <a href=\"{name}\" rel=\"noreferrer\">{shown}</a></p>\n")
        }
    }
}

/// Returns the name of the place of a message in a page.
fn anchor(id: &str) -> String {
    format!("m{}", &hex::encode(Sha256::digest(id))[..24])
}

/// Escapes text for HTML. Characters that change the direction of text or end a line are left out of one-line places by
/// the browser's own rules.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // Isolated controls would end the text for some readers.
            '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_an_element() {
        assert_eq!(html("<img src=x onerror='a'>&\"\0"), "&lt;img src=x onerror=&#39;a&#39;&gt;&amp;&quot;\u{fffd}");
    }

    #[test]
    fn a_page_asks_no_network_and_has_no_script() {
        let head = TranscriptHead { title: "</title><script>".to_owned(), zone: Zone::utc() };
        let page = Transcript::opening(&head, Some("conversation.html")) + &Transcript::closing(None);
        assert!(
            page.contains("default-src 'none'") && !page.contains("<script") && !page.contains("http://"),
            "{page}"
        );
    }
}
