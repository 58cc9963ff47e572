//! The texts of a message in which a search finds words.

use super::words::{MAX_UNFOLDED_BYTES, first_words, words};
use crate::media::file_name;
use crate::vcard::{CardNumber, cards};

/// The texts of a message that have its words. They follow from the columns of its row alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchedTexts<'t> {
    /// The text, or the caption of a file.
    pub body: Option<&'t str>,
    /// The name of the file, if the event states it.
    pub file_name: Option<&'t str>,
    /// The URL of the file, whose name is searched if the event states none.
    pub media_url: Option<&'t str>,
    /// The cards of contacts, of which names and numbers are searched.
    pub vcard: Option<&'t str>,
}

/// The limit for a URL in which a name is looked for.
pub const MAX_URL_BYTES: usize = 8 * 1024;

impl SearchedTexts<'_> {
    /// Returns the words for the index, separated by spaces.
    pub fn words(&self) -> String {
        let in_url = || self.media_url.filter(|url| url.len() <= MAX_URL_BYTES).and_then(file_name::in_url);
        let file_name = self.file_name.map(str::to_owned).or_else(in_url);
        // WhatsApp gives a document without a caption its own name for one.
        let file_name = file_name.filter(|name| self.body != Some(name));
        let contacts = self.vcard.map(contacts);
        let texts = [self.body, file_name.as_deref(), contacts.as_deref()];
        first_words(&Vec::from_iter(texts.into_iter().flatten()))
    }
}

/// Returns the names and numbers in the cards.
fn contacts(vcard: &str) -> String {
    let mut found = Vec::new();
    for card in cards(&vcard[..vcard.floor_char_boundary(MAX_UNFOLDED_BYTES)]) {
        let name = Vec::from_iter(card.name.iter().flat_map(|name| words(name)));
        // A card states the same name twice: as a whole, and in parts.
        let is_new = |part: &String| !words(part).all(|word| name.contains(&word));
        let parts = Vec::from_iter(card.name_parts.into_iter().filter(is_new));
        found.extend(card.name.into_iter().chain(parts).chain(card.organization));
        found.extend(card.numbers.iter().flat_map(CardNumber::forms));
    }
    found.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_body_the_file_name_and_the_contacts() {
        let vcard = "BEGIN:VCARD\nN:Mora;Luis;Ángel;;\nFN:Luis Mora\nORG:Panadería\\, S.A.;Ventas\n\
                     TEL;waid=573005550001:+57 300 555-0001\nEND:VCARD\nBEGIN:VCARD\nFN:Eva\nTEL:555\nEND:VCARD";
        for (texts, words) in [
            (SearchedTexts::default(), ""),
            (SearchedTexts { body: Some("¡Hola!"), ..SearchedTexts::default() }, "hola"),
            (SearchedTexts { media_url: Some("/u/Men%C3%BA%202.pdf?t=x"), ..SearchedTexts::default() }, "menu 2 pdf"),
            (SearchedTexts { media_url: Some("data:image/jpeg;sha256=ab"), ..SearchedTexts::default() }, ""),
            (
                SearchedTexts { body: Some("ve"), file_name: Some("a b.pdf"), media_url: Some("/c.pdf"), vcard: None },
                "ve a b pdf",
            ),
            (SearchedTexts { body: Some("a.pdf"), file_name: Some("a.pdf"), ..SearchedTexts::default() }, "a pdf"),
            (
                SearchedTexts { vcard: Some(vcard), ..SearchedTexts::default() },
                "luis mora angel panaderia s a ventas 57 300 555 0001 573005550001 eva 555",
            ),
        ] {
            assert_eq!(texts.words(), words, "{texts:?}");
        }
        let long = format!("/{}/a.pdf", "x".repeat(MAX_URL_BYTES));
        assert_eq!(SearchedTexts { media_url: Some(&long), ..SearchedTexts::default() }.words(), "");
    }
}
