//! Phone numbers that WhatsApp knows in two ways, with and without a digit for mobile phones. Which one an event states
//! depends on when the person registered.

/// A country whose mobile numbers are written with and without a digit.
struct Plan {
    country: &'static str,
    digit: char,
    /// The number of digits before the digit.
    place: usize,
    /// The number of digits of a number with the digit.
    length: usize,
    /// The digits that may follow it. Where another one does, the longer number is no such number.
    followed_by: &'static str,
}

const ANY: &str = "0123456789";

/// The countries, with the sources of their rules.
const PLANS: [Plan; 3] = [
    // Mexico has had no 1 before mobile numbers since 3 August 2019 (Instituto Federal de Telecomunicaciones, Plan
    // Técnico Fundamental de Numeración). All numbers have 10 digits after the 52.
    Plan { country: "52", digit: '1', place: 2, length: 13, followed_by: ANY },
    // Argentina has a 9 before mobile numbers that are called from abroad (Plan Fundamental de Numeración Nacional,
    // resolution 46/1997 of the Secretaría de Comunicaciones). Area and subscriber have 10 digits together.
    Plan { country: "54", digit: '9', place: 2, length: 13, followed_by: ANY },
    // Brazil put a 9 before mobile numbers from 2012 to 2016 (Anatel, resolution 553/2010). They had begun with 6 to 9;
    // numbers that begin with 2 to 5 are of landlines.
    Plan { country: "55", digit: '9', place: 4, length: 13, followed_by: "6789" },
];

/// Returns the shorter way to write a number that is known in two ways, whichever of them is given. `None` for every
/// other number.
pub fn shorter_form(number: &str) -> Option<String> {
    both_forms(number).map(|[shorter, _]| shorter)
}

/// Returns all ways to write a number, itself first.
pub fn forms(number: &str) -> Vec<String> {
    let others = both_forms(number).into_iter().flatten().filter(|form| form != number);
    std::iter::once(number.to_owned()).chain(others).collect()
}

/// Returns the shorter and the longer way to write a number that is known in two ways.
fn both_forms(number: &str) -> Option<[String; 2]> {
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    PLANS.iter().find_map(|plan| plan.both_forms(number))
}

impl Plan {
    fn both_forms(&self, number: &str) -> Option<[String; 2]> {
        let rest = number.strip_prefix(self.country)?;
        let (area, rest) = rest.split_at_checked(self.place - self.country.len())?;
        let subscriber = match number.len() {
            length if length == self.length => rest.strip_prefix(self.digit)?,
            length if length + 1 == self.length => rest,
            _ => return None,
        };
        let followed = subscriber.starts_with(|next| self.followed_by.contains(next));
        let (country, digit) = (self.country, self.digit);
        followed.then(|| [format!("{country}{area}{subscriber}"), format!("{country}{area}{digit}{subscriber}")])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_mexico_argentina_and_brazil_are_known_in_two_ways() {
        for (longer, shorter) in [
            ("5215512345678", "525512345678"),
            ("5218112345678", "528112345678"),
            ("5491112345678", "541112345678"),
            ("5492914567890", "542914567890"),
            ("5531988887777", "553188887777"),
            ("5511961234567", "551161234567"),
        ] {
            for number in [longer, shorter] {
                assert_eq!(shorter_form(number).as_deref(), Some(shorter), "{number}");
            }
            assert_eq!(forms(longer), [longer, shorter]);
            assert_eq!(forms(shorter), [shorter, longer]);
        }
    }

    #[test]
    fn no_other_number_is() {
        for number in [
            "573001112233",
            // A landline in São Paulo, and the number that only looks like it with a ninth digit.
            "551133334444",
            "5511933334444",
            "551153334444",
            // The lengths are those of no such number.
            "52155123456789",
            "52551234567",
            "54911123456789",
            "54111234567",
            "55319888877771",
            "553188887",
            "5225512345678",
            "5481112345678",
            "5531888887777",
            "1",
            "52",
            "549",
            "",
            "٥٢١٥٥١٢٣٤٥٦٧٨",
        ] {
            assert_eq!(shorter_form(number), None, "{number}");
            assert_eq!(forms(number), [number], "{number}");
        }
    }
}
