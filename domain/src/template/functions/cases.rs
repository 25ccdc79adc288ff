//! Texts in snake, kebab and camel case.

use super::strings;
use super::{Call, Function, Type, fixed};
use crate::template::value::Value;

const STRING: Type = Type::String;

pub(super) static TABLE: &[Function] = &[
    fixed("snakecase", &[STRING], |call| lower_case(call, '_')),
    fixed("kebabcase", &[STRING], |call| lower_case(call, '-')),
    fixed("camelcase", &[STRING], |call| {
        call.done(camel_case(call.text(0)))
    }),
];

fn is_connector(c: char) -> bool {
    matches!(c, '-' | '_') || c.is_whitespace()
}

fn changed(c: char, upper: bool) -> char {
    if upper {
        strings::upper(c)
    } else {
        strings::lower(c)
    }
}

/// Connectors in front stay, those within go, and the letter behind one is a capital.
fn camel_case(text: &str) -> String {
    let start = text.find(|c| !is_connector(c)).unwrap_or(text.len());
    let (lead, rest) = text.split_at(start);
    let mut camel = lead.to_owned();
    let mut chars = rest.chars();
    let Some(first) = chars.next() else {
        return camel;
    };
    let mut previous = changed(first, true);
    for c in chars {
        let next = match (is_connector(previous), is_connector(c)) {
            (true, true) => {
                camel.push(previous);
                c
            }
            (true, false) => changed(c, true),
            (false, _) => {
                camel.push(previous);
                changed(c, false)
            }
        };
        previous = next;
    }
    camel.push(previous);
    camel
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    None,
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

impl Word {
    /// Whether a connector may stand in front of it.
    const fn takes_connector(self) -> bool {
        !matches!(self, Self::None | Self::Connector | Self::Punctuation)
    }
}

fn is_punctuation(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c);
    }
    matches!(u32::from(c), 0xa1 | 0xa7 | 0xab | 0xb6 | 0xb7 | 0xbb | 0xbf | 0x2010..=0x2027 | 0x2030..=0x205e | 0x3001..=0x3003 | 0x3008..=0x3011)
}

/// Letters that have no case are no letters here.
fn is_letter(c: char) -> bool {
    c.is_alphabetic() && (c.is_uppercase() || c.is_lowercase())
}

fn kind(c: char) -> Word {
    match c {
        c if is_connector(c) => Word::Connector,
        c if is_punctuation(c) => Word::Punctuation,
        c if c.is_uppercase() => Word::Upper,
        c if is_letter(c) => Word::Letters,
        c if c.is_numeric() => Word::Number,
        _ => Word::Other,
    }
}

/// Takes the next word. Of a run of capitals before a small letter, the last begins a new word.
fn next_word<'t>(rest: &mut &'t str) -> (Word, &'t str) {
    let Some(first) = rest.chars().next() else {
        return (Word::None, "");
    };
    let word = kind(first);
    let run = |text: &str, wanted: Word| text.find(|c| kind(c) != wanted).unwrap_or(text.len());
    let mut length = run(rest, word);
    if word == Word::Upper {
        let capitals = rest[..length].chars().count();
        let small = run(&rest[length..], Word::Letters);
        if capitals == 1 {
            length += small;
        } else if small > 0 {
            length -= rest[..length].chars().next_back().map_or(0, char::len_utf8);
        }
    }
    let (taken, tail) = rest.split_at(length);
    *rest = tail;
    (word, taken)
}

fn push_lower(out: &mut String, (word, text): (Word, &str), connector: char) {
    if !matches!(word, Word::Upper | Word::Connector) {
        out.push_str(text);
        return;
    }
    out.extend(text.chars().map(|c| {
        if is_connector(c) {
            connector
        } else {
            changed(c, false)
        }
    }));
}

fn lower_case(call: &Call<'_>, connector: char) -> Result<Value, String> {
    let mut rest = call.text(0);
    let mut out = String::new();
    let (mut word, mut text) = next_word(&mut rest);
    while !rest.is_empty() {
        if word != Word::Connector {
            push_lower(&mut out, (word, text), connector);
        }
        let previous = (word, text);
        (word, text) = next_word(&mut rest);
        match previous.0 {
            Word::Number => {
                (word, text) = join_letters(&mut out, &mut rest, (word, text), connector);
            }
            Word::Connector => push_lower(&mut out, previous, connector),
            Word::Punctuation => {}
            _ if word != Word::Number => {
                if word.takes_connector() || word == Word::None {
                    out.push(connector);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = text;
                (word, text) = next_word(&mut rest);
                if word == Word::Letters {
                    out.push(connector);
                    push_lower(&mut out, (Word::Number, number), connector);
                    (word, text) = join_letters(&mut out, &mut rest, (word, text), connector);
                } else {
                    push_lower(&mut out, (Word::Number, number), connector);
                    if !matches!(word, Word::Connector | Word::Punctuation) {
                        out.push(connector);
                    }
                }
            }
        }
    }
    push_lower(&mut out, (word, text), connector);
    call.done(out)
}

/// Small letters and numbers behind a number belong to it.
fn join_letters<'t>(
    out: &mut String,
    rest: &mut &'t str,
    mut next: (Word, &'t str),
    connector: char,
) -> (Word, &'t str) {
    while matches!(next.0, Word::Letters | Word::Number) {
        push_lower(out, next, connector);
        next = next_word(rest);
    }
    if next.0.takes_connector() {
        out.push(connector);
    }
    next
}
