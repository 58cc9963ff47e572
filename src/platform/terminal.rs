//! Text for people. Much of it was sent by strangers and may hold escape sequences that a terminal obeys, or characters
//! that make a line read differently from what it is. Everything that a command prints goes through this module.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Stdout, Write};

use rustix::termios::tcgetwinsize;

/// The escape for a character that cannot be shown as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapeForm {
    /// `\u{1b}`
    Text,
    /// `\u001b`, which is the same character in JSON.
    Json,
}

/// Returns whether a terminal obeys the character (C0, DEL and C1), or whether it changes the direction of text, ends a
/// line, or has no width. The joiners U+200C and U+200D are allowed, because emoji and some scripts are written with
/// them.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

impl EscapeForm {
    fn escape(self, text: &str, is_shown: impl Fn(char) -> bool) -> Cow<'_, str> {
        let is_escaped = |c| is_deceptive(c) && !is_shown(c);
        if !text.contains(is_escaped) {
            return Cow::Borrowed(text);
        }
        let mut escaped = String::with_capacity(2 * text.len());
        for c in text.chars() {
            match self {
                _ if !is_escaped(c) => escaped.push(c),
                Self::Text => escaped.extend(c.escape_unicode()),
                // All escaped characters are in the first plane, so four digits are enough.
                Self::Json => escaped += &format!("\\u{:04x}", u32::from(c)),
            }
        }
        Cow::Owned(escaped)
    }
}

/// Returns the text on one line, with each deceptive character escaped as `\u{1b}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    EscapeForm::Text.escape(text, |_| false)
}

/// Returns standard output for text that people read.
pub fn stdout() -> Escaping<Stdout> {
    Escaping::new(io::stdout(), EscapeForm::Text)
}

/// Returns standard output for data that programs read, byte for byte. At a terminal, where a person reads it, the data
/// is escaped.
pub fn data(form: EscapeForm) -> Box<dyn Write> {
    let out = io::stdout();
    if out.is_terminal() { Box::new(Escaping::new(out, form)) } else { Box::new(out) }
}

/// Returns the width of the terminal in characters, if standard output is a terminal.
pub fn width() -> Option<u16> {
    let out = io::stdout();
    let size = out.is_terminal().then(|| tcgetwinsize(&out));
    size.and_then(Result::ok).map(|size| size.ws_col).filter(|width| *width > 0)
}

/// Prints one line to standard error, and ignores errors, because nobody may be there to read it.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{}", escaped(line));
}

/// A writer that escapes deceptive characters, but leaves line breaks.
pub struct Escaping<W> {
    out: W,
    form: EscapeForm,
    /// The first bytes of a character whose other bytes have not been written yet.
    partial: Vec<u8>,
}

impl<W: Write> Escaping<W> {
    fn new(out: W, form: EscapeForm) -> Self {
        Self { out, form, partial: Vec::new() }
    }
}

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.partial.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.partial) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.partial.len(),
        };
        let text = String::from_utf8_lossy(&self.partial[..whole]);
        self.out.write_all(self.form.escape(&text, |c| c == '\n').as_bytes())?;
        self.partial.drain(..whole);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_what_deceives_is_escaped_and_nothing_else() {
        let c0 = '\0'..='\u{1f}';
        let c1 = '\u{7f}'..='\u{9f}';
        let bidi = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        let without_width = "\u{ad}\u{200b}\u{2060}\u{feff}\u{2028}\u{2029}";
        for c in c0.chain(c1).chain(bidi.chars()).chain(without_width.chars()) {
            assert_eq!(escaped(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
        }
        for text in ["", "¿Cuánto? 👍🏽 👨‍👩‍👧 ❤️", "שלום عربى", "می‌خواهم", "a\u{a0}b", "C:\\u{1b}"]
        {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn what_is_written_in_pieces_is_escaped_whole() {
        let text = "é\n\u{9b}31m\u{202e}ñ\n";
        for (form, shown) in
            [(EscapeForm::Text, "é\n\\u{9b}31m\\u{202e}ñ\n"), (EscapeForm::Json, "é\n\\u009b31m\\u202eñ\n")]
        {
            for size in 1..=text.len() {
                let mut out = Vec::new();
                let mut escaping = Escaping::new(&mut out, form);
                for piece in text.as_bytes().chunks(size) {
                    escaping.write_all(piece).unwrap();
                }
                assert_eq!(String::from_utf8(out).unwrap(), shown);
            }
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"a\u{9b}": "\u{1b}[2J \u{202e} ñ \u{2028}"});
        let escaped = EscapeForm::Json.escape(&value.to_string(), |c| c == '\n').into_owned();
        assert!(!escaped.contains(is_deceptive), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
