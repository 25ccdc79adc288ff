//! Cuts a template into tokens, as Go's lexer does, down to its messages.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Eof,
    Text,
    LeftDelim,
    RightDelim,
    Space,
    Assign,
    Declare,
    Pipe,
    Char,
    String,
    RawString,
    CharConstant,
    Number,
    Complex,
    Bool,
    Identifier,
    Field,
    Variable,
    LeftParen,
    RightParen,
    // Keywords from here on, which messages show in angle brackets.
    Dot,
    Nil,
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

#[derive(Clone, Debug)]
pub(super) struct Token<'s> {
    pub kind: Kind,
    /// Where it begins in the source, in bytes.
    pub pos: usize,
    pub line: usize,
    pub text: &'s str,
    /// The message of an error token.
    pub message: String,
}

impl Token<'_> {
    /// The token as Go's messages show it.
    pub(super) fn shown(&self) -> String {
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            Kind::Error => self.message.clone(),
            kind if is_keyword(kind) => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                let start: String = self.text.chars().take(10).collect();
                format!("{}...", super::quoted(&start))
            }
            _ => super::quoted(self.text),
        }
    }
}

const fn is_keyword(kind: Kind) -> bool {
    kind as u8 >= Kind::Dot as u8
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// All tokens of the source. The last one is [`Kind::Eof`] or [`Kind::Error`].
pub(super) fn lex(source: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer {
        source,
        pos: 0,
        start: 0,
        tokens: Vec::new(),
    };
    let outcome = lexer.run();
    let (kind, message) = match outcome {
        Ok(()) => (Kind::Eof, String::new()),
        Err(message) => (Kind::Error, message),
    };
    let (pos, line) = (lexer.start, lexer.line());
    lexer.tokens.push(Token {
        kind,
        pos,
        line,
        text: "",
        message,
    });
    lexer.tokens
}

struct Lexer<'s> {
    source: &'s str,
    pos: usize,
    start: usize,
    tokens: Vec<Token<'s>>,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.pos..]
    }

    fn line(&self) -> usize {
        let last = self
            .tokens
            .last()
            .map_or((0, 1), |token| (token.pos, token.line));
        last.1 + self.source[last.0..self.start].matches('\n').count()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, valid: &str) -> bool {
        let accepted = self.peek().is_some_and(|c| valid.contains(c));
        if accepted {
            self.pos += 1;
        }
        accepted
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }

    fn emit(&mut self, kind: Kind) {
        let line = self.line();
        let text = &self.source[self.start..self.pos];
        self.tokens.push(Token {
            kind,
            pos: self.start,
            line,
            text,
            message: String::new(),
        });
        self.start = self.pos;
    }

    fn run(&mut self) -> Result<(), String> {
        while self.text()? {
            self.action()?;
        }
        Ok(())
    }

    /// Takes text and comments up to an action; false at the end of the source.
    fn text(&mut self) -> Result<bool, String> {
        loop {
            let Some(length) = self.rest().find(LEFT) else {
                self.pos = self.source.len();
                if self.pos > self.start {
                    self.emit(Kind::Text);
                }
                return Ok(false);
            };
            let delim = self.pos + length;
            let after = delim + LEFT.len();
            let trims = has_left_trim(&self.source[after..]);
            let text = &self.source[self.start..delim];
            let kept = if trims {
                text.trim_end_matches(SPACES)
            } else {
                text
            };
            self.pos = self.start + kept.len();
            if !kept.is_empty() {
                self.emit(Kind::Text);
            }
            self.start = delim;
            self.pos = after;
            let marker = if trims { 2 } else { 0 };
            if self.source[after + marker..].starts_with("/*") {
                self.pos += marker;
                self.start = self.pos;
                self.comment()?;
                continue;
            }
            self.emit(Kind::LeftDelim);
            self.pos += marker;
            self.start = self.pos;
            return Ok(true);
        }
    }

    fn comment(&mut self) -> Result<(), String> {
        let end = self.rest().find("*/").ok_or("unclosed comment")?;
        self.pos += end + 2;
        let trims = self
            .right_delim()
            .ok_or("comment ends before closing delimiter")?;
        self.close(trims);
        self.start = self.pos;
        Ok(())
    }

    /// Whether an action ends here, and if so, whether it trims the text behind it.
    fn right_delim(&self) -> Option<bool> {
        if has_right_trim(self.rest()) && self.rest()[2..].starts_with(RIGHT) {
            return Some(true);
        }
        self.rest().starts_with(RIGHT).then_some(false)
    }

    /// Steps behind the closing delimiter and what it trims.
    fn close(&mut self, trims: bool) {
        self.pos += RIGHT.len();
        if trims {
            self.pos += 2;
            self.pos += self.rest().len() - self.rest().trim_start_matches(SPACES).len();
        }
    }

    fn action(&mut self) -> Result<(), String> {
        let mut parens = 0_usize;
        loop {
            if let Some(trims) = self.right_delim() {
                if parens > 0 {
                    return Err("unclosed left paren".to_owned());
                }
                if trims {
                    self.start += 2;
                }
                self.pos = self.start + RIGHT.len();
                self.emit(Kind::RightDelim);
                if trims {
                    self.pos += self.rest().len() - self.rest().trim_start_matches(SPACES).len();
                    self.start = self.pos;
                }
                return Ok(());
            }
            let Some(c) = self.next() else {
                return Err("unclosed action".to_owned());
            };
            match c {
                '(' => {
                    parens += 1;
                    self.emit(Kind::LeftParen);
                }
                ')' => {
                    parens = parens.checked_sub(1).ok_or("unexpected right paren")?;
                    self.emit(Kind::RightParen);
                }
                c => self.inside(c)?,
            }
        }
    }

    /// Takes the token that begins with the character just read.
    fn inside(&mut self, c: char) -> Result<(), String> {
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
        let kind = kind.ok_or_else(|| format!("bad number syntax: {}", super::quoted(text)))?;
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

fn has_left_trim(text: &str) -> bool {
    text.strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(SPACES))
}

fn has_right_trim(text: &str) -> bool {
    text.starts_with(SPACES) && text[1..].starts_with('-')
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
