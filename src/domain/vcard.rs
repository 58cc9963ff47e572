//! Contact cards (vCard, RFC 6350 and its earlier versions), read tolerantly: whatever is no property is skipped.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Lines;

use percent_encoding::percent_decode_str;

/// The name and the numbers in a card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactCard {
    /// `FN`, the name as it is shown.
    pub name: Option<String>,
    /// `N`, the parts of the name that are not empty: family name, given name, and others.
    pub name_parts: Vec<String>,
    /// `ORG`, the company.
    pub organization: Option<String>,
    /// `TEL`
    pub numbers: Vec<CardNumber>,
}

/// A phone number in a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardNumber {
    /// The number as somebody wrote it.
    pub written: String,
    /// The digits by which WhatsApp knows it, if the card has them (`waid`).
    pub whatsapp_id: Option<String>,
}

/// A property of a card: `item1.TEL;waid=573005550001:+57 300 5550001`.
struct Property<'t> {
    name: &'t str,
    parameters: &'t str,
    value: Cow<'t, str>,
}

/// Returns the cards in a text, which may follow one another.
pub fn cards(text: &str) -> Vec<ContactCard> {
    let unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
    let mut lines = unfolded.lines().peekable();
    let mut cards = Vec::<ContactCard>::new();
    while let Some(line) = lines.next() {
        let Some(property) = Property::read(line, &mut lines) else { continue };
        if property.is("BEGIN") || cards.is_empty() {
            cards.push(ContactCard::default());
        }
        if let Some(card) = cards.last_mut() {
            card.take(&property);
        }
    }
    cards
}

impl ContactCard {
    fn take(&mut self, property: &Property<'_>) {
        let full = |text: &String| !text.trim().is_empty();
        if property.is("FN") {
            self.name = self.name.take().or_else(|| Some(property.parts().join(" ")).filter(full));
        } else if property.is("N") {
            self.name_parts.extend(property.parts().into_iter().filter(full));
        } else if property.is("ORG") {
            let parts = property.parts().into_iter().filter(full).collect::<Vec<String>>().join(" ");
            self.organization = self.organization.take().or_else(|| Some(parts).filter(full));
        } else if property.is("TEL") {
            let written = property.value.trim();
            let written = written.strip_prefix("tel:").unwrap_or(written).split(';').next().unwrap_or_default();
            let number = CardNumber { written: written.to_owned(), whatsapp_id: property.whatsapp_id() };
            self.numbers.extend(number.digits().map(|_| number));
        }
    }
}

impl CardNumber {
    /// Returns the digits as they are written, if there are any.
    pub fn digits(&self) -> Option<String> {
        Some(self.written.chars().filter(char::is_ascii_digit).collect()).filter(|digits: &String| !digits.is_empty())
    }

    /// Returns the texts under which somebody may look for the number: as it is written, and the digits without gaps,
    /// with the country code if it is known.
    pub fn forms(&self) -> Vec<String> {
        let groups = self.written.split(|letter: char| !letter.is_ascii_digit()).filter(|group| !group.is_empty());
        let written = (groups.count() > 1).then(|| self.written.clone());
        let digits = self.digits();
        let whatsapp_id = self.whatsapp_id.clone().filter(|id| digits.as_ref() != Some(id));
        written.into_iter().chain(digits).chain(whatsapp_id).collect()
    }
}

impl<'t> Property<'t> {
    /// Reads a line. A value in quoted-printable goes on in the next line after a `=`.
    fn read(line: &'t str, lines: &mut Peekable<Lines<'t>>) -> Option<Self> {
        let mut is_quoted = false;
        let colon = line.find(|letter| {
            is_quoted ^= letter == '"';
            letter == ':' && !is_quoted
        })?;
        let (head, value) = (&line[..colon], &line[colon + 1..]);
        let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
        let name = name.rsplit_once('.').map_or(name, |(_, name)| name);
        let mut property = Self { name: name.trim(), parameters, value: Cow::Borrowed(value) };
        if property.parameters.to_ascii_uppercase().contains("QUOTED-PRINTABLE") {
            let mut encoded = value.to_owned();
            while encoded.ends_with('=') {
                encoded.pop();
                encoded.push_str(lines.next().unwrap_or_default());
            }
            let percent_encoded = encoded.replace('%', "%25").replace('=', "%");
            property.value = Cow::Owned(percent_decode_str(&percent_encoded).decode_utf8_lossy().into_owned());
        }
        Some(property)
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Returns the parts of the value between semicolons, without the escapes in them.
    fn parts(&self) -> Vec<String> {
        let mut parts = vec![String::new()];
        let mut letters = self.value.chars();
        while let Some(letter) = letters.next() {
            let part = parts.last_mut().expect("there is a first part");
            match letter {
                ';' => parts.push(String::new()),
                '\\' => match letters.next() {
                    Some('n' | 'N') => part.push(' '),
                    Some(escaped) => part.push(escaped),
                    None => {}
                },
                letter => part.push(letter),
            }
        }
        parts
    }

    fn whatsapp_id(&self) -> Option<String> {
        let stated =
            |parameter: &'t str| parameter.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("waid"));
        let (_, id) = self.parameters.split(';').find_map(stated)?;
        (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then(|| id.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<Option<String>> {
        cards(text).into_iter().map(|card| card.name).collect()
    }

    #[test]
    fn a_card_has_a_name_its_parts_an_organization_and_numbers() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Mora;Luis;;Dr.;\r\nFN:Dr. Luis\\, Mora\r\nORG:Acme\\; Co;Ventas\r\n\
                    PHOTO;ENCODING=b:QUJD\r\n REVG\r\nitem1.TEL;type=CELL;waid=573005550001:+57 300 555\r\n  0001\r\n\
                    TEL;VALUE=uri:tel:+1-555-0100;ext=5\r\nTEL:none\r\nEND:VCARD\r\n";
        let number = |written: &str, whatsapp_id: Option<&str>| CardNumber {
            written: written.to_owned(),
            whatsapp_id: whatsapp_id.map(str::to_owned),
        };
        let card = ContactCard {
            name: Some("Dr. Luis, Mora".to_owned()),
            name_parts: ["Mora", "Luis", "Dr."].map(str::to_owned).to_vec(),
            organization: Some("Acme; Co Ventas".to_owned()),
            numbers: vec![number("+57 300 555 0001", Some("573005550001")), number("+1-555-0100", None)],
        };
        assert_eq!(cards(text), [card]);
    }

    #[test]
    fn cards_follow_one_another_and_what_is_no_card_is_skipped() {
        assert_eq!(
            names("BEGIN:VCARD\nFN:A\nEND:VCARD\nBEGIN:VCARD\nfn:B\nFN:C\nEND:VCARD"),
            [Some("A".to_owned()), Some("B".to_owned())]
        );
        assert_eq!(names("no card"), []);
        assert_eq!(names("FN:A"), [Some("A".to_owned())]);
        assert_eq!(names("BEGIN:VCARD\nFN: \nX;Y=\"a:b\":FN:C\n:\n"), [None]);
    }

    #[test]
    fn quoted_printable_is_decoded_over_several_lines() {
        let text = "BEGIN:VCARD\nFN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Jos=C3=A9 100% =\n=C3=91u=\nend\nEND:VCARD";
        assert_eq!(names(text), [Some("José 100% Ñuend".to_owned())]);
    }

    #[test]
    fn a_number_is_looked_for_as_it_is_written_and_by_its_digits() {
        let forms = |written: &str, whatsapp_id: Option<&str>| {
            CardNumber { written: written.to_owned(), whatsapp_id: whatsapp_id.map(str::to_owned) }.forms()
        };
        assert_eq!(forms("+573005550001", Some("573005550001")), ["573005550001"]);
        assert_eq!(forms("300 555 0001", Some("573005550001")), ["300 555 0001", "3005550001", "573005550001"]);
    }
}
