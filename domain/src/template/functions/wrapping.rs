//! Texts made to fit a width.

use super::{Call, Function, Type, fixed};

const STRING: Type = Type::String;
const INT: Type = Type::Int;

pub(super) static TABLE: &[Function] = &[
    fixed("abbrev", &[INT, STRING], |call| {
        call.done(abbreviate(
            call.text(1),
            0,
            usize::try_from(call.int(0)).unwrap_or(0),
        ))
    }),
    fixed("abbrevboth", &[INT, INT, STRING], |call| {
        let (left, right) = (call.int(0), call.int(1));
        if right < 4 || (left > 0 && right < 7) {
            return Ok(call.arg(2).clone());
        }
        let width = usize::try_from(right).unwrap_or(0);
        call.done(abbreviate(
            call.text(2),
            usize::try_from(left).unwrap_or(0),
            width,
        ))
    }),
    fixed("wrap", &[INT, STRING], |call| {
        let wrapped = wrap(call, (call.int(0), call.text(1)), ("\n", false))?;
        call.done(wrapped)
    }),
    fixed("wrapWith", &[INT, STRING, STRING], |call| {
        let newline = if call.text(1).is_empty() {
            "\n"
        } else {
            call.text(1)
        };
        let wrapped = wrap(call, (call.int(0), call.text(2)), (newline, true))?;
        call.done(wrapped)
    }),
];

/// `Abbreviate` of the library that sprig uses.
fn abbreviate(text: &str, offset: usize, width: usize) -> String {
    if width < 4 || text.len() <= width {
        return text.to_owned();
    }
    let cut = |start: usize, end: usize| {
        String::from_utf8_lossy(&text.as_bytes()[start..end]).into_owned()
    };
    let room = width - 3;
    let mut offset = offset.min(text.len());
    if text.len() - offset < room {
        offset = text.len() - room;
    }
    if offset <= 4 {
        return format!("{}...", cut(0, room));
    }
    if width < 7 {
        return String::new();
    }
    if offset + room < text.len() {
        return format!("...{}", abbreviate(&cut(offset, text.len()), 0, room));
    }
    format!("...{}", cut(text.len() - room, text.len()))
}

fn wrap(
    call: &Call<'_>,
    (width, text): (i64, &str),
    (newline, breaks_words): (&str, bool),
) -> Result<String, String> {
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let bytes = text.as_bytes();
    let mut wrapped: Vec<u8> = Vec::new();
    let mut at = 0;
    while bytes.len() - at > width {
        call.work.charge(width.min(bytes.len()) + newline.len())?;
        if bytes[at] == b' ' {
            at += 1;
            continue;
        }
        let window = &bytes[at..=at + width];
        let (end, next) = match window.iter().rposition(|byte| *byte == b' ') {
            Some(space) => (at + space, at + space + 1),
            None if breaks_words => (at + width, at + width),
            None => match bytes[at + width..].iter().position(|byte| *byte == b' ') {
                Some(space) => (at + width + space, at + width + space + 1),
                None => break,
            },
        };
        wrapped.extend_from_slice(&bytes[at..end]);
        wrapped.extend_from_slice(newline.as_bytes());
        at = next;
    }
    wrapped.extend_from_slice(&bytes[at..]);
    Ok(String::from_utf8_lossy(&wrapped).into_owned())
}
