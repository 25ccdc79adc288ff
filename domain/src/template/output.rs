//! Where a rendering goes: plain text, or JSON that no value can break out of.

use std::fmt::Write as _;

use super::work::MAX_OUTPUT;

/// How far a text may be trusted to be what the template's author wants to stand there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trust {
    /// Written in the template.
    Author,
    /// Data that went through a function which escapes.
    Escaped,
    /// Data.
    #[default]
    Data,
}

/// Collects a rendering.
///
/// Compass pastes values as they are and then replaces what Go prints for nil: `"<nil>"` becomes
/// `""`, any other `<nil>` becomes `null`. Here the place decides the same way, for nils alone and
/// not for texts that happen to read so, and a value inside a JSON string is escaped.
#[derive(Debug, Default)]
pub(super) struct Output {
    text: String,
    json: Option<Json>,
}

#[derive(Debug, Default)]
struct Json {
    in_string: bool,
    escaped: bool,
    /// Where the string that is open begins, behind its quote.
    start: usize,
    /// Whether that string holds a nil and nothing else.
    only_nil: bool,
}

/// Most renderings are no longer.
const USUAL_LENGTH: usize = 256;

const NIL: &str = "<nil>";

impl Output {
    pub(super) fn text() -> Self {
        Self::default()
    }

    pub(super) fn json() -> Self {
        Self {
            text: String::with_capacity(USUAL_LENGTH),
            json: Some(Json::default()),
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// Adds a text; `nils` says that it holds nils, which read `<nil>`.
    pub(super) fn push(&mut self, text: &str, trust: Trust, nils: bool) -> Result<(), String> {
        if self.text.len().saturating_add(text.len()) > MAX_OUTPUT {
            return Err("the template renders too much".to_owned());
        }
        if self.json.is_none() {
            self.text.push_str(text);
            return Ok(());
        }
        if !(nils || trust == Trust::Author && text.contains('<')) {
            self.push_json(text, trust);
            return Ok(());
        }
        let mut parts = text.split(NIL);
        self.push_json(parts.next().unwrap_or_default(), trust);
        for part in parts {
            self.push_nil();
            self.push_json(part, trust);
        }
        Ok(())
    }

    fn push_nil(&mut self) {
        let at = self.text.len();
        if let Some(json) = self.json.as_mut().filter(|json| json.in_string) {
            json.only_nil = at == json.start;
        }
        self.text.push_str("null");
    }

    fn push_json(&mut self, text: &str, trust: Trust) {
        let Some(json) = self.json.as_mut() else {
            return;
        };
        if text.is_empty() {
            return;
        }
        if json.in_string {
            let safe = match trust {
                Trust::Author => true,
                Trust::Escaped => !breaks_out(text),
                Trust::Data => false,
            };
            if !safe {
                json.only_nil = false;
                escape(text, &mut self.text);
                return;
            }
        }
        json.push(text, &mut self.text);
    }
}

impl Json {
    fn push(&mut self, added: &str, text: &mut String) {
        // Both are found many bytes at a time, and each quote is looked for once.
        let find = |mark: char, from: usize, to: usize| {
            let found = added[from..to].find(mark);
            found.map_or(to, |found| from + found)
        };
        let mut at = 0;
        let mut quote = find('"', 0, added.len());
        loop {
            let plain = match (self.in_string, self.escaped) {
                (false, _) => quote,
                (true, false) => find('\\', at, quote),
                (true, true) => at,
            };
            if plain > at {
                self.only_nil = false;
                text.push_str(&added[at..plain]);
            }
            let Some(c) = added[plain..].chars().next() else {
                return;
            };
            self.step(c, text);
            at = plain + c.len_utf8();
            if at > quote {
                quote = find('"', at, added.len());
            }
        }
    }

    /// Adds a character that may begin or end something.
    fn step(&mut self, c: char, text: &mut String) {
        if !self.in_string {
            text.push(c);
            if c == '"' {
                *self = Self {
                    in_string: true,
                    start: text.len(),
                    ..Self::default()
                };
            }
            return;
        }
        if self.escaped {
            self.escaped = false;
        } else if c == '"' {
            if self.only_nil {
                text.truncate(self.start);
            }
            self.in_string = false;
        } else {
            self.escaped = c == '\\';
        }
        if self.in_string {
            self.only_nil = false;
        }
        text.push(c);
    }
}

/// Whether a text is more than the inside of a JSON string. One with an escape that JSON does not
/// know is not: it stays what it is, an error.
fn breaks_out(text: &str) -> bool {
    let mut escaped = false;
    for c in text.chars() {
        if c < ' ' {
            return true;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return true,
            _ => {}
        }
    }
    escaped
}

fn escape(text: &str, out: &mut String) {
    let is_special = |c: char| c < ' ' || c == '"' || c == '\\';
    for part in text.split_inclusive(is_special) {
        let mut chars = part.chars();
        let Some(special) = chars.next_back().filter(|c| is_special(*c)) else {
            out.push_str(part);
            continue;
        };
        out.push_str(chars.as_str());
        match special {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => _ = write!(out, "\\u{:04x}", u32::from(c)),
        }
    }
}
