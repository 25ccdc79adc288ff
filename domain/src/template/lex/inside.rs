//! The tokens within an action.

use super::super::quoted;
use super::{Kind, Lexer, RIGHT, SPACES, has_right_trim};

impl Lexer<'_> {
    /// Takes the token that begins with the character just read.
    pub(super) fn inside(&mut self, c: char) -> Result<(), String> {
        match c {
            c if SPACES.contains(&c) => self.space(),
            '=' => self.emit(Kind::Assign),
            ':' => {
                if self.next() != Some('=') {
                    return Err("expected :=".to_owned());
                }
                self.emit(Kind::Declare);
            }
            '|' => self.emit(Kind::Pipe),
            '"' => self.quote('"', Kind::String, "unterminated quoted string")?,
            '\'' => self.quote('\'', Kind::CharConstant, "unterminated character constant")?,
            '`' => {
                let end = self
                    .rest()
                    .find('`')
                    .ok_or("unterminated raw quoted string")?;
                self.pos += end + 1;
                self.emit(Kind::RawString);
            }
            '$' => self.name(Kind::Variable)?,
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => self.name(Kind::Field)?,
            '.' | '+' | '-' | '0'..='9' => {
                self.pos -= 1;
                self.number()?;
            }
            c if is_alphanumeric(c) => self.identifier()?,
            ' '..='~' => self.emit(Kind::Char),
            c => {
                return Err(format!(
                    "unrecognized character in action: {}",
                    code_point(c)
                ));
            }
        }
        Ok(())
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|c| SPACES.contains(&c)) {
            self.pos += 1;
        }
        // The last space may belong to the marker of a delimiter that trims.
        if has_right_trim(&self.source[self.pos - 1..])
            && self.source[self.pos + 1..].starts_with(RIGHT)
        {
            self.pos -= 1;
            if self.pos == self.start {
                return;
            }
        }
        self.emit(Kind::Space);
    }

    fn quote(&mut self, end: char, kind: Kind, unclosed: &str) -> Result<(), String> {
        loop {
            match self.next() {
                Some('\\') if !matches!(self.peek(), None | Some('\n')) => {
                    self.next();
                }
                None | Some('\n' | '\\') => return Err(unclosed.to_owned()),
                Some(c) if c == end => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        Ok(())
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => SPACES.contains(&c) || self.rest().starts_with(RIGHT),
        }
    }

    fn name(&mut self, kind: Kind) -> Result<(), String> {
        if self.at_terminator() {
            self.emit(if kind == Kind::Field { Kind::Dot } else { kind });
            return Ok(());
        }
        self.word()?;
        self.emit(kind);
        Ok(())
    }

    fn word(&mut self) -> Result<(), String> {
        while self.peek().is_some_and(is_alphanumeric) {
            self.next();
        }
        if self.at_terminator() {
            return Ok(());
        }
        Err(format!(
            "bad character {}",
            self.peek().map(code_point).unwrap_or_default()
        ))
    }

    fn identifier(&mut self) -> Result<(), String> {
        self.word()?;
        let kind = match &self.source[self.start..self.pos] {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            "block" => Kind::Block,
            "break" => Kind::Break,
            "continue" => Kind::Continue,
            "define" => Kind::Define,
            "else" => Kind::Else,
            "end" => Kind::End,
            "if" => Kind::If,
            "range" => Kind::Range,
            "template" => Kind::Template,
            "with" => Kind::With,
            _ => Kind::Identifier,
        };
        self.emit(kind);
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        let kind = if !self.scan_number() {
            None
        } else if matches!(self.peek(), Some('+' | '-')) {
            let is_complex = self.scan_number() && self.source[..self.pos].ends_with('i');
            is_complex.then_some(Kind::Complex)
        } else {
            Some(Kind::Number)
        };
        let text = &self.source[self.start..self.pos];
        let kind = kind.ok_or_else(|| format!("bad number syntax: {}", quoted(text)))?;
        self.emit(kind);
        Ok(())
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        let exponent = match digits.len() {
            11 => self.accept("eE"),
            23 => self.accept("pP"),
            _ => false,
        };
        if exponent {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric())
}

/// A character as Go's `%#U` shows it.
fn code_point(c: char) -> String {
    let code = u32::from(c);
    if c.is_control() {
        format!("U+{code:04X}")
    } else {
        format!("U+{code:04X} '{c}'")
    }
}
