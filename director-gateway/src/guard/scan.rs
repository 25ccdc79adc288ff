//! A pass over a document's text, before the parser sees it.

use std::borrow::Cow;

use async_graphql::Pos;

use super::{Code, NESTING, Refusal, TOKENS};

/// What the last token was, as far as empty parentheses are concerned.
#[derive(Clone, Copy)]
enum Last {
    Name,
    /// An opening parenthesis right after a name, and where.
    Opened(usize),
    Other,
}

/// Counts tokens and nesting, and blanks out the empty parentheses of `field()`: Compass takes
/// them and its clients send them. Blanks keep every position where it was.
pub(super) fn scan(source: &str) -> Result<Cow<'_, str>, Refusal> {
    let bytes = source.as_bytes();
    let (mut at, mut tokens, mut nesting) = (0, 0_usize, 0_usize);
    let mut last = Last::Other;
    let mut blanks = Vec::new();
    while let Some(&byte) = bytes.get(at) {
        let next = after(bytes, at);
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b'#' => {
                at = next;
                continue;
            }
            b'(' | b'[' | b'{' => nesting += 1,
            b')' | b']' | b'}' => nesting = nesting.saturating_sub(1),
            _ => {}
        }
        tokens += 1;
        if nesting > NESTING {
            let message = format!("the document nests more than {NESTING} brackets");
            return Err(Refusal::new(
                Code::TooDeep,
                message,
                Some(position(source, at)),
            ));
        }
        if tokens > TOKENS {
            let message = format!("the document has more than {TOKENS} tokens");
            return Err(Refusal::new(
                Code::TooLarge,
                message,
                Some(position(source, at)),
            ));
        }
        last = match (byte, last) {
            (b'(', Last::Name) => Last::Opened(at),
            (b')', Last::Opened(opened)) => {
                blanks.extend([opened, at]);
                Last::Other
            }
            (b'A'..=b'Z' | b'a'..=b'z' | b'_', _) => Last::Name,
            _ => Last::Other,
        };
        at = next;
    }
    Ok(blank(source, &blanks))
}

/// Where the token, comment or space that starts at `at` ends.
fn after(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let length = match rest[0] {
        b'#' => rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')),
        b'"' if rest.starts_with(br#"""""#) => block_text(rest),
        b'"' => text(rest),
        b'.' if rest.starts_with(b"...") => Some(3),
        b'A'..=b'Z' | b'a'..=b'z' | b'_' => rest
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_'),
        b'0'..=b'9' | b'-' => rest
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && !b"_.+-".contains(byte)),
        _ => Some(1),
    };
    at + length.unwrap_or(rest.len())
}

/// The length of a text in quotation marks. One that the line does not end is left to the parser.
fn text(rest: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match rest.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            b'\n' | b'\r' => return Some(at),
            _ => at += 1,
        }
    }
}

/// The length of a text in triple quotation marks.
fn block_text(rest: &[u8]) -> Option<usize> {
    let mut at = 3;
    loop {
        match rest.get(at)? {
            b'\\' if rest[at + 1..].starts_with(br#"""""#) => at += 4,
            b'"' if rest[at..].starts_with(br#"""""#) => return Some(at + 3),
            _ => at += 1,
        }
    }
}

fn blank<'a>(source: &'a str, blanks: &[usize]) -> Cow<'a, str> {
    if blanks.is_empty() {
        return Cow::Borrowed(source);
    }
    let mut blanked = String::with_capacity(source.len());
    let mut done = 0;
    for &at in blanks {
        blanked.push_str(&source[done..at]);
        blanked.push(' ');
        done = at + 1;
    }
    blanked.push_str(&source[done..]);
    Cow::Owned(blanked)
}

fn position(source: &str, at: usize) -> Pos {
    let before = &source.as_bytes()[..at];
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    Pos { line, column }
}
