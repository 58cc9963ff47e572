//! Text for a person. Much of it is what strangers sent: a terminal would obey some of it, and some of it would make a line
//! read otherwise than it is. Everything that a command prints goes through here.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Stdout, Write};

use rustix::termios::tcgetwinsize;

/// The escape for a character that cannot be shown as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapeForm {
    /// `\u{1b}`
    Text,
    /// `\u001b`, which JSON takes for the same character.
    Json,
}

/// True if a terminal would obey the character (C0, DEL and C1), or if it changes the direction of the text beside it,
/// ends a line, or has no width. The joiners U+200C and U+200D are none of these: emoji and some scripts are written
/// with them.
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
                // All of these characters are of the first plane.
                Self::Json => escaped += &format!("\\u{:04x}", u32::from(c)),
            }
        }
        Cow::Owned(escaped)
    }
}

/// The text on one line, with `\u{1b}` in the place of each character that a terminal would obey or that deceives.
pub fn escaped(text: &str) -> Cow<'_, str> {
    EscapeForm::Text.escape(text, |_| false)
}

/// Standard output for what people read.
pub fn stdout() -> Escaping<Stdout> {
    Escaping::new(io::stdout(), EscapeForm::Text)
}

/// Standard output for what programs read, byte for byte; at a terminal a person reads it, and it is escaped.
pub fn data(form: EscapeForm) -> Box<dyn Write> {
    let out = io::stdout();
    if out.is_terminal() { Box::new(Escaping::new(out, form)) } else { Box::new(out) }
}

/// The characters in a line of the terminal, if standard output is one.
pub fn width() -> Option<u16> {
    let out = io::stdout();
    let size = out.is_terminal().then(|| tcgetwinsize(&out));
    size.and_then(Result::ok).map(|size| size.ws_col).filter(|width| *width > 0)
}

/// Says one line on standard error. Nobody may be there to read it.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{}", escaped(line));
}

/// Passes text on, line breaks as they are and the rest escaped.
pub struct Escaping<W> {
    out: W,
    form: EscapeForm,
    /// The beginning of a character whose end is still to be written.
    begun: Vec<u8>,
}

impl<W: Write> Escaping<W> {
    fn new(out: W, form: EscapeForm) -> Self {
        Self { out, form, begun: Vec::new() }
    }
}

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.begun) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.begun.len(),
        };
        let text = String::from_utf8_lossy(&self.begun[..whole]);
        self.out.write_all(self.form.escape(&text, |c| c == '\n').as_bytes())?;
        self.begun.drain(..whole);
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
