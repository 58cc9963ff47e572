//! Text in spreadsheets, which take some text for a formula.

/// Guards text that a spreadsheet would execute because it begins like a formula, since strangers send text. A
/// spreadsheet that expects other separators begins a cell inside our cell, after a semicolon (as Excel does in
/// Spanish), a tab or a line break.
pub fn guarded(text: String) -> String {
    if !text.contains(SIGNS) && !text.starts_with(BREAKS) {
        return text;
    }
    let mut guarded = String::with_capacity(text.len() + 1);
    let mut begins_with_break = text.starts_with(BREAKS);
    for part in text.split_inclusive(SEPARATORS) {
        if std::mem::take(&mut begins_with_break) || is_formula(part) {
            guarded.push('\'');
        }
        guarded += part;
    }
    guarded
}

/// The characters that begin a formula. Spreadsheets treat the full-width signs like the others.
const SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// Text that begins with one of these is shown on another line or in another cell.
const BREAKS: [char; 3] = ['\t', '\r', '\n'];
const SEPARATORS: [char; 4] = [';', '\t', '\r', '\n'];

/// Returns whether a spreadsheet takes a cell with this text for a formula. It skips blanks before a formula. If it
/// began the cell inside ours, it also skips quotation marks.
fn is_formula(text: &str) -> bool {
    let is_left_out = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\u{200b}' | '\u{feff}');
    text.trim_start_matches(is_left_out).starts_with(SIGNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_that_a_spreadsheet_would_begin_with_a_formula_is_guarded() {
        for (text, shown) in [
            (" =1", "' =1"),
            ("\u{a0}\u{3000}=1", "'\u{a0}\u{3000}=1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            ("\n=1", "'\n'=1"),
            ("\nhola", "'\nhola"),
            ("＝1", "'＝1"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠a", "'＠a"),
            ("x;=cmd|' /C calc'!A0", "x;'=cmd|' /C calc'!A0"),
            (";=1", ";'=1"),
            ("x; =1;+2;y", "x;' =1;'+2;y"),
            ("x;\"=1\"", "x;'\"=1\""),
            ("x\t=1", "x\t'=1"),
            ("x\n@a", "x\n'@a"),
            ("x\r\n-1", "x\r\n'-1"),
        ] {
            assert_eq!(guarded(text.to_owned()), shown, "{text:?}");
        }
        for text in ["", " hola", "a=1", "a - b", "¿Sí?; no", "3;4", "a\nb", "'=1", "don't"] {
            assert_eq!(guarded(text.to_owned()), text);
        }
    }
}
