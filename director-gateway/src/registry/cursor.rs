//! Pages the Compass way: an offset, wrapped up as a cursor.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Error;

/// What stands before the offset in a cursor.
const PREFIX: &str = "DpKtJ4j9jDq";

/// Which rows of a list are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows at most.
    pub first: u64,
    /// Rows to leave out.
    pub offset: u64,
    /// The cursor as the client gave it; empty for the first page.
    pub cursor: String,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Slice<T> {
    pub rows: Vec<T>,
    /// Whether rows follow.
    pub has_next: bool,
}

impl<T> Default for Slice<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            has_next: false,
        }
    }
}

impl Page {
    /// The page after `cursor`.
    pub fn after(first: u64, cursor: Option<String>) -> Result<Self, Error> {
        let cursor = cursor.unwrap_or_default();
        let offset = decode(&cursor)?;
        Ok(Self {
            first,
            offset,
            cursor,
        })
    }

    /// The cursor of the page behind this one.
    pub fn next(&self) -> String {
        STANDARD.encode(format!(
            "{PREFIX}{}",
            self.offset.saturating_add(self.first)
        ))
    }

    /// Cuts what was read, one row more than the page has, down to the page.
    pub(crate) fn cut<T>(&self, mut rows: Vec<T>) -> Slice<T> {
        let wanted = usize::try_from(self.first).unwrap_or(usize::MAX);
        let has_next = rows.len() > wanted;
        rows.truncate(wanted);
        Slice { rows, has_next }
    }
}

fn decode(cursor: &str) -> Result<u64, Error> {
    if cursor.is_empty() {
        return Ok(0);
    }
    let incorrect = |reason: String| {
        Error::Refused(format!(
            "while decoding page cursor: cursor is not correct: {reason}"
        ))
    };
    let bytes = STANDARD.decode(cursor).map_err(|_| {
        incorrect(format!(
            "illegal base64 data at input byte {}",
            first_illegal(cursor)
        ))
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let number = text.strip_prefix(PREFIX).unwrap_or(&text);
    match number.parse::<i64>() {
        Ok(offset) => u64::try_from(offset)
            .map_err(|_| Error::InvalidData("cursor is not correct".to_owned())),
        Err(error) => {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let fault = match error.kind() {
                PosOverflow | NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            Err(incorrect(format!(
                "strconv.Atoi: parsing {number:?}: {fault}"
            )))
        }
    }
}

/// Where a reader of base64 in groups of four gives up, as Compass reports it.
fn first_illegal(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    for (group, chunk) in bytes.chunks(4).enumerate() {
        let start = group * 4;
        match chunk.iter().position(|byte| !is_digit(*byte)) {
            None if chunk.len() == 4 => {}
            None => return start,
            Some(at @ (2 | 3)) if chunk[at] == b'=' => {
                let padded = start + at + 1;
                return match bytes.get(padded) {
                    Some(b'=') if at == 2 => padded + 1,
                    None if at == 2 => bytes.len(),
                    _ => padded,
                };
            }
            Some(at) => return start + at,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_the_offset_behind_the_page() {
        let page = Page::after(2, None).unwrap();
        assert_eq!(page.next(), "RHBLdEo0ajlqRHEy");
        assert_eq!(Page::after(2, Some(page.next())).unwrap().offset, 2);
    }

    #[test]
    fn a_bare_number_is_a_cursor_too() {
        assert_eq!(Page::after(2, Some("Mg==".to_owned())).unwrap().offset, 2);
    }

    #[test]
    fn what_is_no_cursor_is_refused_with_the_place() {
        for (cursor, reason) in [
            ("xx", "illegal base64 data at input byte 0"),
            ("aGVs*G8=", "illegal base64 data at input byte 4"),
            (
                "aGVsbG8=",
                "strconv.Atoi: parsing \"hello\": invalid syntax",
            ),
            ("OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "value out of range"),
        ] {
            let error = Page::after(1, Some(cursor.to_owned())).unwrap_err();
            assert!(error.to_string().contains(reason), "{cursor}: {error}");
        }
        let error = Page::after(1, Some("LTE=".to_owned())).unwrap_err();
        assert!(matches!(error, Error::InvalidData(_)), "{error}");
    }
}
