//! The names in a phone book, which is a file of contact cards (vCard).

use std::collections::BTreeMap;

use super::national_number::forms;
use crate::chat::chat_id;
use crate::vcard::{CardNumber, ContactCard, cards};

/// The digits of the shortest and of the longest number with its country code (ITU-T E.164, and some services below it).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// The names of persons, by the ids that their numbers have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhoneBook {
    pub names: BTreeMap<String, String>,
    /// The numbers that are known in no country, as they are written.
    pub without_country: Vec<String>,
}

impl PhoneBook {
    /// Reads cards. A number that is written without a country code is one of `country`, which is a country code in digits.
    /// The last of several names for a number counts.
    pub fn read(text: &str, country: Option<&str>) -> Self {
        let mut book = Self::default();
        for card in cards(text) {
            let Some(name) = name(&card) else { continue };
            for number in &card.numbers {
                match international(number, country) {
                    Some(digits) => {
                        let ids = forms(&digits).into_iter().map(|form| chat_id::of_number(&form));
                        book.names.extend(ids.map(|id| (id, name.clone())));
                    }
                    None => book.without_country.push(number.written.clone()),
                }
            }
        }
        book
    }
}

fn name(card: &ContactCard) -> Option<String> {
    let parts = || match card.name_parts.as_slice() {
        [] => None,
        [family, given @ ..] => Some(given.iter().chain([family]).cloned().collect::<Vec<_>>().join(" ")),
    };
    card.name.clone().or_else(parts).or_else(|| card.organization.clone())
}

/// Returns the digits of a number with its country code.
fn international(number: &CardNumber, country: Option<&str>) -> Option<String> {
    if let Some(digits) = &number.whatsapp_id {
        return Some(digits.clone()).filter(|digits| DIGITS.contains(&digits.len()));
    }
    let digits = number.digits()?;
    let digits = match digits.strip_prefix("00") {
        _ if number.written.trim_start().starts_with('+') => digits,
        Some(international) => international.to_owned(),
        None => format!("{}{}", country?, digits.trim_start_matches('0')),
    };
    Some(digits).filter(|digits| DIGITS.contains(&digits.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_cards_have_names_by_all_ways_to_write_them() {
        let text = "BEGIN:VCARD\nFN:Ana\nTEL;waid=573001112233:+57 300 1112233\nEND:VCARD\n\
                    BEGIN:VCARD\nN:Pérez;Juan;;;\nTEL:+52 1 55 1234 5678\nEND:VCARD\n\
                    BEGIN:VCARD\nORG:Taller Sol\nTEL:0057 300 4445566\nTEL:300 777 8899\nTEL:12\nEND:VCARD\n\
                    BEGIN:VCARD\nTEL:+57 300 0000000\nEND:VCARD\n";
        let names = |country| {
            let PhoneBook { names, without_country } = PhoneBook::read(text, country);
            let names = names.into_iter().map(|(id, name)| format!("{id} {name}")).collect::<Vec<_>>();
            (names, without_country)
        };
        let mut known = vec![
            "5215512345678@c.us Juan Pérez",
            "525512345678@c.us Juan Pérez",
            "573001112233@c.us Ana",
            "573004445566@c.us Taller Sol",
        ];
        let (found, without_country) = names(None);
        assert_eq!(found, known);
        assert_eq!(without_country, ["300 777 8899", "12"]);
        known.push("573007778899@c.us Taller Sol");
        let (found, without_country) = names(Some("57"));
        assert_eq!(found, known);
        assert_eq!(without_country, ["12"]);
    }
}
