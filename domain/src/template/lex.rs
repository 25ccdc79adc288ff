//! Cuts a template into tokens, as Go's lexer does, down to its messages.

mod inside;

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
}

fn has_left_trim(text: &str) -> bool {
    text.strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(SPACES))
}

fn has_right_trim(text: &str) -> bool {
    text.starts_with(SPACES) && text[1..].starts_with('-')
}
