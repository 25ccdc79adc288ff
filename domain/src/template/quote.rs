//! Texts in quotes, as Go's `strconv` writes them.

use std::fmt::Write as _;

/// `strconv.Quote`, or `QuoteToASCII`.
pub(super) fn quoted(text: &str, ascii: bool) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        push_escaped(&mut quoted, c, ('"', ascii));
    }
    quoted.push('"');
    quoted
}

pub(super) fn quoted_char(c: char, ascii: bool) -> String {
    let mut quoted = "'".to_owned();
    push_escaped(&mut quoted, c, ('\'', ascii));
    quoted.push('\'');
    quoted
}

fn push_escaped(quoted: &mut String, c: char, (quote, ascii): (char, bool)) {
    let code = u32::from(c);
    match c {
        '\\' => quoted.push_str(r"\\"),
        c if c == quote => quoted.extend(['\\', c]),
        '\u{7}' => quoted.push_str(r"\a"),
        '\u{8}' => quoted.push_str(r"\b"),
        '\u{c}' => quoted.push_str(r"\f"),
        '\n' => quoted.push_str(r"\n"),
        '\r' => quoted.push_str(r"\r"),
        '\t' => quoted.push_str(r"\t"),
        '\u{b}' => quoted.push_str(r"\v"),
        c if c.is_ascii() && !c.is_ascii_control() => quoted.push(c),
        c if !c.is_ascii() && !ascii && is_printable(c) => quoted.push(c),
        _ if code < 0x80 => _ = write!(quoted, "\\x{code:02x}"),
        _ if code < 0x10000 => _ = write!(quoted, "\\u{code:04x}"),
        _ => _ = write!(quoted, "\\U{code:08x}"),
    }
}

/// Whether Go prints a character as it is. Rust's debug form decides alike, behind a letter.
fn is_printable(c: char) -> bool {
    format!("{:?}", String::from_iter(['a', c])).len() == c.len_utf8() + 3
}
